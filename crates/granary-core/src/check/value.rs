//! The check of properties against their compiled types and rules, and the small steps that all checks are made of.

use super::Run;
use crate::fault::{Path, shown};
use crate::json::{Halt, Kind, Member, Text};
use crate::profile::document::lone_surrogate;
use crate::profile::fields::{Binding, Fields, Strength, Value, ValueType};
use crate::profile::rules::Judged;
use crate::profile::value::{Decimal, integer};

/// Which places of a table were seen; without allocation for the first 256.
#[derive(Default)]
pub(super) struct Seen {
    first: [u64; 4],
    more: Vec<u64>,
}

impl Seen {
    /// Marks the place; false if it was marked before.
    #[inline]
    pub(super) fn mark(&mut self, place: usize) -> bool {
        let (word, bit) = (place / 64, 1 << (place % 64));
        let word = match self.first.get_mut(word) {
            Some(word) => word,
            None => {
                let word = word - self.first.len();
                if self.more.len() <= word {
                    self.more.resize(word + 1, 0);
                }
                &mut self.more[word]
            }
        };
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    #[inline]
    pub(super) fn has(&self, place: usize) -> bool {
        let (word, bit) = (place / 64, 1 << (place % 64));
        let words = match self.first.get(word) {
            Some(word) => Some(word),
            None => self.more.get(word - self.first.len()),
        };
        words.is_some_and(|word| word & bit != 0)
    }
}

impl<'a> Run<'_, 'a, '_> {
    /// Takes the object that is next, whose members are these properties.
    pub(super) fn fields(&mut self, fields: &Fields, path: &Path<'_>) -> Result<(), Halt> {
        self.fields_keeping(fields, path, &mut [])
    }

    /// The same, and keeps the texts of the first properties, where they are texts and nothing is wrong with them.
    pub(super) fn fields_keeping(
        &mut self,
        fields: &Fields,
        path: &Path<'_>,
        kept: &mut [Option<Text<'a>>],
    ) -> Result<(), Halt> {
        self.scan.open()?;
        let mut seen = Seen::default();
        let mut guess = 0;
        let mut first = true;
        loop {
            // Records mostly name their properties in one order, that of the definition.
            let member = self.scan.member_or(first, fields.names.member(guess))?;
            first = false;
            let place = match member {
                Member::Expected => guess,
                Member::End => break,
                Member::Other(name) => match self.place_of(name, fields, path)? {
                    Some(place) => place,
                    None => continue,
                },
            };
            guess = place + 1;
            let here = path.name(fields.names.get(place));
            if !seen.mark(place) {
                self.second(&here, fields.names.get(place))?;
                continue;
            }
            let property = &fields.properties[place];
            let kind = self.scan.peek()?;
            if kind == Kind::Null {
                self.scan.literal(Kind::Null)?;
                if property.required {
                    let name = fields.names.get(place);
                    let message = || format!("property '{name}' is required, null counts as absent");
                    self.faults.add(&here, "required", message);
                }
                continue;
            }
            self.value(&property.value, kind, &here, kept.get_mut(place))?;
        }
        for place in &fields.required {
            if !seen.has(*place as usize) {
                let name = fields.names.get(*place as usize);
                self.faults.add(&path.name(name), "required", || {
                    format!("property '{name}' is required")
                });
            }
        }
        Ok(())
    }

    /// The place of a property that was not the expected one; skips one that is unknown.
    fn place_of(&mut self, name: Text<'a>, fields: &Fields, path: &Path<'_>) -> Result<Option<usize>, Halt> {
        let name = name.decode();
        let place = fields.names.find(&name);
        if place.is_none() {
            let known = fields.names.iter();
            self.faults
                .add_unknown(&path.name(&name), "unknown", "property", &name, known);
            self.scan.skip()?;
        }
        Ok(place)
    }

    /// Takes the value of this kind that is next. The text that it is, if its form is right, goes to `kept`.
    #[inline(always)]
    fn value(
        &mut self,
        value: &Value,
        kind: Kind,
        path: &Path<'_>,
        kept: Option<&mut Option<Text<'a>>>,
    ) -> Result<(), Halt> {
        match (&value.value_type, kind) {
            (ValueType::Text(text_type), Kind::String) => {
                let text = self.scan.string()?;
                if text.lone_surrogate() {
                    self.faults.add(path, "type", lone_surrogate);
                    return Ok(());
                }
                if let Some(named) = text_type.names {
                    self.named(named, value, text, path)?;
                } else if text_type.form.is_some() || !value.rules.is_empty() {
                    let text = text.decode();
                    match text_type.form.map(|form| form(&text)) {
                        Some(Err(wrong)) => {
                            self.faults
                                .add(path, "type", || format!("'{}': {wrong}", shown(&text)));
                            return Ok(());
                        }
                        _ => self.rules(value, &Judged::Text(&text), path),
                    }
                    if let Some(binding) = &value.binding {
                        self.bound(binding, &text, path);
                    }
                }
                if let Some(kept) = kept {
                    *kept = Some(text);
                }
            }
            (ValueType::Boolean, kind @ (Kind::True | Kind::False)) => self.scan.literal(kind)?,
            (ValueType::Integer, Kind::Number) => {
                let raw = self.scan.number()?;
                match integer(raw) {
                    Ok(number) => {
                        if raw == "-0" {
                            self.put_in_place(raw.len(), "0");
                        }
                        self.rules(value, &Judged::Integer(number), path);
                    }
                    Err(wrong) => self
                        .faults
                        .add(path, "type", || format!("{}: {wrong}", shown(raw))),
                }
            }
            (ValueType::Decimal, Kind::Number) => {
                let raw = self.scan.number()?;
                match Decimal::parse(raw) {
                    Ok(number) => self.rules(value, &Judged::Decimal(raw, number), path),
                    Err(wrong) => self
                        .faults
                        .add(path, "type", || format!("{}: {wrong}", shown(raw))),
                }
            }
            (value_type, kind) => self.nested(value_type, kind, value, path)?,
        }
        Ok(())
    }

    /// Takes an element of an array.
    #[inline(never)]
    fn element(&mut self, value: &Value, kind: Kind, path: &Path<'_>) -> Result<(), Halt> {
        self.value(value, kind, path, None)
    }

    /// Takes an array or an object that is next, or what is of another kind than its type.
    #[inline(never)]
    fn nested(
        &mut self,
        value_type: &ValueType,
        kind: Kind,
        value: &Value,
        path: &Path<'_>,
    ) -> Result<(), Halt> {
        match (value_type, kind) {
            (ValueType::Array(items), Kind::Array) => {
                self.scan.open()?;
                let mut count = 0;
                while self.scan.element(count == 0)? {
                    let kind = self.scan.peek()?;
                    self.element(items, kind, &path.index(count))?;
                    count += 1;
                }
                self.rules(value, &Judged::Elements(count as u64), path);
            }
            (ValueType::Object(fields), Kind::Object) => self.fields(fields, path)?,
            (ValueType::Complex(complex, fields), Kind::Object) => match complex.law {
                None => self.fields(fields, path)?,
                Some(law) => {
                    let mut kept = [None; 2];
                    self.fields_keeping(fields, path, &mut kept)?;
                    if let [Some(first), Some(second)] = kept
                        && let Err(wrong) = law(&first.decode(), &second.decode())
                    {
                        self.faults.add(path, "type", || wrong.to_owned());
                    }
                }
            },
            (value_type, found) => self.wrong_value(value_type, found, path)?,
        }
        Ok(())
    }

    /// Replaces the last `length` bytes that were passed in the copy.
    #[cold]
    pub(super) fn put_in_place(&mut self, length: usize, text: &str) {
        if self.scan.copying() {
            let out = self.scan.flush();
            out.truncate(out.len() - length);
            out.extend_from_slice(text.as_bytes());
        }
    }

    /// A code that must be of a vocabulary is.
    fn bound(&mut self, binding: &Binding, code: &str, path: &Path<'_>) {
        let key = binding.vocabulary.as_str();
        if binding.strength == Strength::Preferred {
            return;
        }
        let codes = self.vocabularies.get(key);
        if !codes.is_some_and(|codes| codes.contains(code)) {
            self.faults.add(path, "binding", || match codes {
                Some(_) => format!("'{}' is not a code of the vocabulary '{key}'", shown(code)),
                None => format!("the vocabulary '{key}' of this code does not exist"),
            });
        }
    }

    #[inline]
    pub(super) fn rules(&mut self, value: &Value, judged: &Judged<'_>, path: &Path<'_>) {
        for rule in &value.rules {
            if !rule.holds(judged) {
                self.faults.add(path, rule.name(), || rule.complaint(judged));
            }
        }
    }

    #[cold]
    fn wrong_value(&mut self, value_type: &ValueType, found: Kind, path: &Path<'_>) -> Result<(), Halt> {
        self.faults.add(path, "type", || {
            let hint = match (value_type, found) {
                (_, Kind::Null) => "; an array holds no null elements",
                (ValueType::Boolean | ValueType::Integer | ValueType::Decimal, Kind::String) => {
                    "; write it without quotes"
                }
                (ValueType::Text(_), Kind::Number | Kind::True | Kind::False) => "; write it in quotes",
                (ValueType::Array(_), _) => "; write it in brackets",
                _ => "",
            };
            let (json, name) = (value_type.json(), value_type.name());
            match json.ends_with(name) {
                true => format!("expected {json}, found {}{hint}", found.name()),
                false => format!("expected {json} ({name}), found {}{hint}", found.name()),
            }
        });
        self.scan.skip()
    }

    // --- small steps ---

    /// Enters the object that is next; if another value is, that is a fault and it is skipped.
    pub(super) fn enter_object(&mut self, path: &Path<'_>, expected: &str) -> Result<bool, Halt> {
        match self.scan.peek()? {
            Kind::Object => {
                self.scan.open()?;
                Ok(true)
            }
            found => {
                self.wrong_kind(path, expected, found)?;
                Ok(false)
            }
        }
    }

    /// True where null is next, which counts as absent; takes it.
    #[inline]
    pub(super) fn absent(&mut self) -> Result<bool, Halt> {
        let null = self.scan.peek()? == Kind::Null;
        if null {
            self.scan.literal(Kind::Null)?;
        }
        Ok(null)
    }

    /// Takes the string that is next; `None` if another value is, or one that is no text, which are faults.
    #[inline]
    pub(super) fn text(&mut self, path: &Path<'_>) -> Result<Option<Text<'a>>, Halt> {
        match self.scan.peek()? {
            Kind::String => {
                let text = self.scan.string()?;
                if text.lone_surrogate() {
                    self.faults.add(path, "type", lone_surrogate);
                    return Ok(None);
                }
                Ok(Some(text))
            }
            found => {
                self.wrong_kind(path, "a string", found)?;
                Ok(None)
            }
        }
    }

    /// Skips the value that is next, which is of another kind than expected.
    #[cold]
    pub(super) fn wrong_kind(&mut self, path: &Path<'_>, expected: &str, found: Kind) -> Result<(), Halt> {
        self.faults.add(path, "type", || {
            format!("expected {expected}, found {}", found.name())
        });
        self.scan.skip()
    }

    /// The place of a member among those that there may be, marked in `given`; `None` where it is another, or is given once more:
    /// these are faults, and are skipped.
    pub(super) fn known_member(
        &mut self,
        known: &[&str],
        given: &mut [bool],
        path: &Path<'_>,
        name: &str,
    ) -> Result<Option<usize>, Halt> {
        let Some(place) = known.iter().position(|known| *known == name) else {
            self.faults
                .add_unknown(path, "unknown", "member", name, known.iter().copied());
            self.scan.skip()?;
            return Ok(None);
        };
        if std::mem::replace(&mut given[place], true) {
            self.second(path, name)?;
            return Ok(None);
        }
        Ok(Some(place))
    }

    /// Skips the value of a member that was given before.
    #[cold]
    pub(super) fn second(&mut self, path: &Path<'_>, name: &str) -> Result<(), Halt> {
        self.faults
            .add(path, "duplicate", || format!("'{}' is given twice", shown(name)));
        self.scan.skip()
    }

    #[cold]
    pub(super) fn required(&mut self, path: &Path<'_>, name: &str) {
        self.faults
            .add(&path.name(name), "required", || format!("'{name}' is required"));
    }

    /// The text of the member `type` that comes later in this object, whose value that is next belongs to another
    /// member. Goes on from here afterwards.
    #[cold]
    pub(super) fn type_ahead(&mut self) -> Result<Option<Text<'a>>, Halt> {
        let copying = self.scan.copying();
        self.scan.stop_copy();
        let place = self.scan.place();
        let mut found = None;
        self.scan.skip()?;
        while let Some(name) = self.scan.member(false)? {
            if name.decode() == "type" && self.scan.peek()? == Kind::String {
                found = Some(self.scan.string()?);
                break;
            }
            self.scan.skip()?;
        }
        self.scan.go_back(place);
        if copying {
            self.scan.start_copy();
        }
        Ok(found)
    }
}
