//! Reading what is sent: one vocabulary or concept, or one operation of a bulk request on them, with every fault.
//!
//! No tree is built: what is not wanted is passed over, so that memory does not grow with what is sent.

use std::collections::HashSet;

use super::{Change, Concept, ConceptChange, LanguageTag, Vocabulary, VocabularyChange};
use crate::check::{DEPTH_MAX, Rejection};
use crate::error::ErrorObject;
use crate::fault::{Faults, Path, shown};
use crate::json::{Halt, Kind, Scanner, without_byte_order_mark};
use crate::keys::{ConceptCode, Key};
use crate::limits::Limits;
use crate::operation::Action;
use crate::profile::document::lone_surrogate;

/// Reads the body of a PUT of a vocabulary.
pub fn read_vocabulary(bytes: &[u8], limits: &Limits) -> Result<Vocabulary, ErrorObject> {
    read_one(bytes, limits)
}

/// Reads the body of a PUT of a concept.
pub fn read_concept(bytes: &[u8], limits: &Limits) -> Result<Concept, ErrorObject> {
    read_one(bytes, limits)
}

/// Reads one operation of a bulk request on vocabularies; `bytes` is exactly one JSON value.
pub fn read_vocabulary_change(bytes: &[u8], limits: &Limits) -> Result<VocabularyChange, Rejection> {
    run(bytes, limits, |reading| reading.operation())
}

/// Reads one operation of a bulk request on concepts; `bytes` is exactly one JSON value.
pub fn read_concept_change(bytes: &[u8], limits: &Limits) -> Result<ConceptChange, Rejection> {
    run(bytes, limits, |reading| reading.operation())
}

fn read_one<C: Content>(bytes: &[u8], limits: &Limits) -> Result<C, ErrorObject> {
    let read = run(bytes, limits, |reading| {
        let (_, content) = reading.payload(&Path::ROOT, false, true)?;
        Ok(Some(content))
    });
    read.map_err(|rejection| match rejection {
        Rejection::Invalid(error) => error,
        Rejection::Syntax { offset, message } => {
            ErrorObject::invalid(format!("the body is not JSON at byte {offset}: {message}"))
        }
    })
}

fn run<'a, T>(
    bytes: &'a [u8],
    limits: &Limits,
    read: impl FnOnce(&mut Reading<'a, '_>) -> Result<Option<T>, Halt>,
) -> Result<T, Rejection> {
    let sent = bytes.len();
    let bytes = without_byte_order_mark(bytes);
    let depth_max = limits.json_depth.min(DEPTH_MAX);
    let mut nothing = Vec::new();
    let mut reading = Reading {
        scan: Scanner::new(bytes, depth_max as usize, &mut nothing),
        faults: Faults::new(limits.details_per_error),
    };
    let outcome = match read(&mut reading).and_then(|read| reading.scan.finish().map(|()| read)) {
        Err(Halt::TooDeep) => Err(reading.scan.check_syntax().err().unwrap_or(Halt::TooDeep)),
        outcome => outcome,
    };
    let invalid = match (outcome, reading.faults.into_error()) {
        (Err(Halt::Syntax { offset, message }), _) => {
            return Err(Rejection::Syntax {
                offset: offset + sent - bytes.len(),
                message: message.to_owned(),
            });
        }
        (Err(Halt::TooDeep), _) => ErrorObject::over_limit("the nesting of the JSON", "jsonDepth", depth_max),
        (Ok(_), Some(error)) => error,
        (Ok(Some(read)), None) => return Ok(read),
        // What is not there is a fault, so there is one.
        (Ok(None), None) => ErrorObject::invalid("nothing is said to be done"),
    };
    Err(Rejection::Invalid(invalid))
}

/// What can be read: a vocabulary or a concept.
trait Content: Default {
    /// What one is called by.
    type Name;
    /// The name of the member that names it in a bulk request.
    const NAMED_BY: &'static str;
    /// What it is called in a message.
    const NOUN: &'static str;
    /// Its members: those that must be there first.
    const MEMBERS: &'static [&'static str];
    /// How many of the members must be there.
    const REQUIRED: usize;
    /// The name that `raw` spells.
    fn name(raw: &str) -> Result<Self::Name, String>;
    /// Takes the value of the member at this place.
    fn take(&mut self, member: usize, reading: &mut Reading<'_, '_>, path: &Path<'_>) -> Result<(), Halt>;
}

impl Content for Vocabulary {
    type Name = Key;
    const NAMED_BY: &'static str = "key";
    const NOUN: &'static str = "a vocabulary";
    const MEMBERS: &'static [&'static str] = &["title", "description"];
    const REQUIRED: usize = 1;

    fn name(raw: &str) -> Result<Key, String> {
        Key::parse(raw).map_err(|bad| bad.to_string())
    }

    fn take(&mut self, member: usize, reading: &mut Reading<'_, '_>, path: &Path<'_>) -> Result<(), Halt> {
        if member == 0 {
            self.title = reading.filled(path)?.unwrap_or_default();
        } else {
            self.description = reading.text(path)?;
        }
        Ok(())
    }
}

impl Content for Concept {
    type Name = ConceptCode;
    const NAMED_BY: &'static str = "code";
    const NOUN: &'static str = "a concept";
    const MEMBERS: &'static [&'static str] = &["definition", "designation"];
    const REQUIRED: usize = 0;

    fn name(raw: &str) -> Result<ConceptCode, String> {
        ConceptCode::parse(raw).map_err(|bad| bad.to_string())
    }

    fn take(&mut self, member: usize, reading: &mut Reading<'_, '_>, path: &Path<'_>) -> Result<(), Halt> {
        if member == 0 {
            self.definition = reading.text(path)?;
            return Ok(());
        }
        let mut languages = HashSet::new();
        reading
            .object(path, "an object of terms by language", |reading, name, here| {
                let Some(language) = LanguageTag::parse(name) else {
                    reading.faults.add(here, "language", || {
                        format!("'{}': {}", shown(name), LanguageTag::RULE)
                    });
                    return reading.scan.skip();
                };
                // Tags are the same whatever their case.
                if !languages.insert(name.to_ascii_lowercase()) {
                    return reading.second(here, name);
                }
                if !reading.absent()?
                    && let Some(term) = reading.filled(here)?
                {
                    self.designation.insert(language, term);
                }
                Ok(())
            })
            .map(drop)
    }
}

/// One value being read.
struct Reading<'a, 'o> {
    scan: Scanner<'a, 'o>,
    faults: Faults,
}

impl Reading<'_, '_> {
    fn operation<C: Content>(&mut self) -> Result<Option<Change<C::Name, C>>, Halt> {
        const MEMBERS: [&str; 4] = ["action", "create", "upsert", "delete"];
        let (mut action, mut wrong_action) = (None, false);
        let mut sent: [Option<(Option<C::Name>, C)>; 3] = [None, None, None];
        let entered = self.members(
            &Path::ROOT,
            "an operation, which is an object",
            &MEMBERS,
            |reading, member, here| {
                if member == 0 {
                    action = reading.action(here)?;
                    wrong_action = action.is_none();
                } else {
                    sent[member - 1] = Some(reading.payload(here, true, member < 3)?);
                }
                Ok(())
            },
        )?;
        if entered.is_none() || wrong_action {
            return Ok(None);
        }
        let Some(action) = action else {
            let path = Path::ROOT.name("action");
            self.faults
                .add(&path, "required", || "'action' is required".to_owned());
            return Ok(None);
        };
        let mut own = None;
        for (payload, other) in sent.into_iter().zip(Action::ALL) {
            match payload {
                Some(payload) if other == action => own = Some(payload),
                Some(_) => {
                    let path = Path::ROOT.name(other.payload());
                    self.faults.add(&path, "payload", || {
                        let (name, wanted, found) = (action.name(), action.payload(), other.payload());
                        format!("action {name} has its payload in '{wanted}', not in '{found}'")
                    });
                }
                None if other == action => {
                    let (name, wanted) = (action.name(), action.payload());
                    self.faults.add(&Path::ROOT.name(wanted), "required", || {
                        format!("action {name} needs its payload in '{wanted}'")
                    });
                }
                None => {}
            }
        }
        let Some((Some(name), content)) = own else {
            return Ok(None);
        };
        Ok(Some(match action {
            Action::Create => Change::Create(name, content),
            Action::Upsert => Change::Upsert(name, content),
            Action::Delete => Change::Delete(name),
        }))
    }

    fn action(&mut self, path: &Path<'_>) -> Result<Option<Action>, Halt> {
        let Some(text) = self.text(path)? else {
            return Ok(None);
        };
        let found = Action::ALL.into_iter().find(|action| action.name() == &*text);
        if found.is_none() {
            let near = Action::ALL
                .into_iter()
                .find(|action| action.name().eq_ignore_ascii_case(&text));
            match near {
                Some(near) => self.faults.add(path, "enum", || {
                    let name = near.name();
                    format!("action '{text}' is not known: actions are upper case, use '{name}'")
                }),
                None => {
                    let known = Action::ALL.map(Action::name);
                    self.faults.add_unknown(path, "enum", "action", &text, known);
                }
            }
        }
        Ok(found)
    }

    /// Reads one with its name, if it is `named` here, and what is in it, if it is `filled`.
    fn payload<C: Content>(
        &mut self,
        path: &Path<'_>,
        named: bool,
        filled: bool,
    ) -> Result<(Option<C::Name>, C), Halt> {
        let (mut name, mut content) = (None, C::default());
        let mut known = Vec::new();
        if filled {
            known.extend(C::MEMBERS);
        }
        let own = known.len();
        if named {
            known.push(C::NAMED_BY);
        }
        let seen = self.members(path, C::NOUN, &known, |reading, member, here| {
            if member < own {
                return content.take(member, reading, here);
            }
            if let Some(text) = reading.text(here)? {
                match C::name(&text) {
                    Ok(parsed) => name = Some(parsed),
                    Err(bad) => reading.faults.add(here, C::NAMED_BY, || bad),
                }
            }
            Ok(())
        })?;
        let Some(seen) = seen else {
            return Ok((None, content));
        };
        let must = (0..C::REQUIRED.min(own)).chain(own..known.len());
        for member in must.filter(|member| !seen[*member]) {
            let name = known[member];
            self.faults
                .add(&path.name(name), "required", || format!("'{name}' is required"));
        }
        Ok((name, content))
    }

    // --- small steps ---

    /// Takes the object that is next, of which these members are `known` (five at most), and tells which of them are
    /// there; `None` if it is no object. Null counts as absent.
    fn members(
        &mut self,
        path: &Path<'_>,
        expected: &str,
        known: &[&'static str],
        mut take: impl FnMut(&mut Self, usize, &Path<'_>) -> Result<(), Halt>,
    ) -> Result<Option<[bool; 5]>, Halt> {
        let (mut given, mut there) = ([false; 5], [false; 5]);
        let entered = self.object(path, expected, |reading, name, here| {
            let Some(member) = known.iter().position(|known| *known == name) else {
                let known = known.iter().copied();
                reading.faults.add_unknown(here, "unknown", "member", name, known);
                return reading.scan.skip();
            };
            if std::mem::replace(&mut given[member], true) {
                return reading.second(here, name);
            }
            if reading.absent()? {
                return Ok(());
            }
            there[member] = true;
            take(reading, member, here)
        })?;
        Ok(entered.then_some(there))
    }

    /// Takes the object that is next, member by member; false, and a fault, if it is none.
    fn object(
        &mut self,
        path: &Path<'_>,
        expected: &str,
        mut take: impl FnMut(&mut Self, &str, &Path<'_>) -> Result<(), Halt>,
    ) -> Result<bool, Halt> {
        let found = self.scan.peek()?;
        if found != Kind::Object {
            self.wrong_kind(path, expected, found)?;
            return Ok(false);
        }
        self.scan.open()?;
        let mut first = true;
        while let Some(name) = self.scan.member(std::mem::take(&mut first))? {
            let text = name.decode();
            let here = path.name(&text);
            if name.lone_surrogate() {
                self.faults.add(&here, "key", lone_surrogate);
                self.scan.skip()?;
            } else {
                take(self, &text, &here)?;
            }
        }
        Ok(true)
    }

    /// Takes the string that is next; `None`, and a fault, if it is none.
    fn text(&mut self, path: &Path<'_>) -> Result<Option<Box<str>>, Halt> {
        let found = self.scan.peek()?;
        if found != Kind::String {
            self.wrong_kind(path, "a string", found)?;
            return Ok(None);
        }
        let text = self.scan.string()?;
        if text.lone_surrogate() {
            self.faults.add(path, "type", lone_surrogate);
            return Ok(None);
        }
        Ok(Some(text.decode().into()))
    }

    /// The same, and an empty string is a fault.
    fn filled(&mut self, path: &Path<'_>) -> Result<Option<Box<str>>, Halt> {
        let text = self.text(path)?;
        if text.as_deref().is_some_and(str::is_empty) {
            self.faults
                .add(path, "min", || "has at least one character".to_owned());
            return Ok(None);
        }
        Ok(text)
    }

    fn absent(&mut self) -> Result<bool, Halt> {
        let null = self.scan.peek()? == Kind::Null;
        if null {
            self.scan.literal(Kind::Null)?;
        }
        Ok(null)
    }

    fn wrong_kind(&mut self, path: &Path<'_>, expected: &str, found: Kind) -> Result<(), Halt> {
        self.faults.add(path, "type", || {
            format!("expected {expected}, found {}", found.name())
        });
        self.scan.skip()
    }

    fn second(&mut self, path: &Path<'_>, name: &str) -> Result<(), Halt> {
        self.faults
            .add(path, "duplicate", || format!("'{}' is given twice", shown(name)));
        self.scan.skip()
    }
}
