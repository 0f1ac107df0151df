//! The `meta` that a create or an upsert may send (contract, section 4).

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};

use super::Run;
use super::value::Seen;
use crate::error::{ErrorObject, ErrorType};
use crate::fault::{Path, did_you_mean, shown};
use crate::json::{Halt, Kind, Text};
use crate::meta::{Identifiers, SentMeta, Triple};
use crate::operation::ContentHash;
use crate::profile::complex::IDENTIFIER;
use crate::profile::value::instant;
use crate::time::Timestamp;

const MEMBERS: [&str; 3] = ["createdAt", "updatedAt", "identifier"];
/// What a record that was read has beside them.
const OF_SERVER: [&str; 2] = ["source", "version"];
/// The use and the system that identifiers of the server itself have.
const RESERVED_USE: &str = "source";
const RESERVED_SYSTEM: &str = "mdm";

impl<'a> Run<'_, 'a, '_> {
    /// Takes the `meta` that is next; `None` if it says nothing.
    pub(super) fn meta(&mut self, path: &Path<'_>) -> Result<Option<Box<SentMeta>>, Halt> {
        self.meta_beside(path, Some(self.now), |_, _, _| Ok(false))
    }

    /// The same, where times are not after `until`, if there is one, and `beside` may take other members: true where it took
    /// one.
    pub(super) fn meta_beside(
        &mut self,
        path: &Path<'_>,
        until: Option<Timestamp>,
        mut beside: impl FnMut(&mut Self, &str, &Path<'_>) -> Result<bool, Halt>,
    ) -> Result<Option<Box<SentMeta>>, Halt> {
        if !self.enter_object(path, "an object")? {
            return Ok(None);
        }
        let mut meta = SentMeta::default();
        let mut created_given = false;
        let mut seen = Seen::default();
        let mut first = true;
        while let Some(name) = self.scan.member(first)? {
            first = false;
            let name = name.decode();
            let here = path.name(&name);
            let Some(member) = MEMBERS.iter().position(|member| *member == name) else {
                if !beside(self, &name, &here)? {
                    self.unknown_meta(&here, &name)?;
                }
                continue;
            };
            if !seen.mark(member) {
                self.second(&here, &name)?;
                continue;
            }
            if self.absent()? {
                continue;
            }
            match MEMBERS[member] {
                "createdAt" => {
                    created_given = true;
                    meta.created_at = self.moment(&here, until)?;
                }
                "updatedAt" => meta.updated_at = self.moment(&here, until)?,
                _ => meta.identifiers = self.identifiers(&here)?,
            }
        }
        match (meta.created_at, meta.updated_at) {
            (None, Some(_)) if !created_given => {
                let message = || "'createdAt' is required beside 'updatedAt'".to_owned();
                self.faults.add(&path.name("createdAt"), "required", message);
            }
            (Some(created), Some(updated)) if updated < created => {
                let message = || format!("is {updated}, before 'createdAt', which is {created}");
                self.faults.add(&path.name("updatedAt"), "min", message);
            }
            _ => {}
        }
        Ok((!meta.is_empty()).then(|| Box::new(meta)))
    }

    #[cold]
    fn unknown_meta(&mut self, path: &Path<'_>, name: &str) -> Result<(), Halt> {
        self.faults.add(path, "unknown", || {
            if OF_SERVER.contains(&name) {
                return format!("'{name}' is given by the server, leave it out");
            }
            let hint = did_you_mean(name, MEMBERS);
            format!("member '{}' is not known{hint}", shown(name))
        });
        self.scan.skip()
    }

    /// Takes a date-time with a zone, cut to milliseconds, which is not after `until`: now, where there is one.
    fn moment(&mut self, path: &Path<'_>, until: Option<Timestamp>) -> Result<Option<Timestamp>, Halt> {
        let Some(text) = self.text(path)? else {
            return Ok(None);
        };
        let text = text.decode();
        let moment = match instant(&text) {
            Ok(()) => match Timestamp::parse(&text) {
                Some(moment) => Some(moment),
                None => {
                    self.faults.add(path, "type", || {
                        format!("'{}': it is outside the years 0001 to 9999 in UTC", shown(&text))
                    });
                    return Ok(None);
                }
            },
            Err(wrong) => {
                self.faults
                    .add(path, "type", || format!("'{}': {wrong}", shown(&text)));
                return Ok(None);
            }
        };
        if let Some(now) = until.filter(|until| moment.is_some_and(|moment| moment > *until)) {
            self.faults.add(path, "max", || {
                format!("'{}' is in the future, it is {now} here", shown(&text))
            });
        }
        Ok(moment)
    }

    /// Takes the array of identifiers.
    fn identifiers(&mut self, path: &Path<'_>) -> Result<Option<Identifiers>, Halt> {
        match self.scan.peek()? {
            Kind::Array => {}
            found => {
                self.wrong_kind(path, "an array of identifiers", found)?;
                return Ok(None);
            }
        }
        let count_max = self.limits.identifiers_per_record;
        // Copied to where the body grows, and taken from there.
        let start = self.scan.out().len();
        self.scan.start_copy();
        self.scan.open()?;
        let mut triples = Vec::new();
        let mut count = 0;
        while self.scan.element(count == 0)? {
            let here = path.index(count);
            if let Some(parts) = self.identifier(&here)?
                && (count as u64) < count_max
            {
                triples.push((self.triple(parts, &here), count));
            }
            count += 1;
        }
        self.scan.stop_copy();
        let json = self.scan.out().split_off(start);
        if count as u64 > count_max {
            let what = format!("the number of identifiers ({count})");
            let error = ErrorObject::over_limit(&what, "identifiersPerRecord", count_max);
            self.faults
                .add_as(ErrorType::ContentTooLarge, path, "identifiersPerRecord", || {
                    error.message
                });
        }
        self.distinct(&mut triples, path);
        if self.faults.any() {
            return Ok(None);
        }
        let hash = (count > 0).then(|| {
            let mut hasher = SipHasher24::new_with_key(self.hash_key);
            hasher.write(&json);
            ContentHash(hasher.finish128().as_bytes())
        });
        Ok(String::from_utf8(json).ok().map(|json| Identifiers {
            json: json.into(),
            triples: triples.into_iter().map(|(triple, _)| triple).collect(),
            hash,
        }))
    }

    /// Takes one identifier: its system, value and use.
    fn identifier(&mut self, path: &Path<'_>) -> Result<Option<[Option<Text<'a>>; 3]>, Halt> {
        match self.scan.peek()? {
            Kind::Object => {
                let mut parts = [None; 3];
                self.fields_keeping(IDENTIFIER.plain(), path, &mut parts)?;
                Ok(Some(parts))
            }
            found => {
                self.wrong_kind(path, "an object (identifier)", found)?;
                Ok(None)
            }
        }
    }

    /// What an identifier is found by, after judging it.
    fn triple(&mut self, parts: [Option<Text<'_>>; 3], path: &Path<'_>) -> Triple {
        let [system, value, usage] = parts.map(|part| part.map_or_else(|| "".into(), |text| text.decode()));
        let lengths = [
            ("system", &system, Triple::SYSTEM_BYTES_MAX),
            ("value", &value, Triple::VALUE_BYTES_MAX),
            ("use", &usage, Triple::USE_BYTES_MAX),
        ];
        for (name, part, bytes_max) in lengths {
            if part.len() > bytes_max {
                let message = || format!("has {} bytes, at most {bytes_max} allowed", part.len());
                self.faults.add(&path.name(name), "max", message);
            }
        }
        for (name, part, reserved) in [
            ("use", &usage, RESERVED_USE),
            ("system", &system, RESERVED_SYSTEM),
        ] {
            if *part == reserved {
                let message = || format!("'{reserved}' is kept for identifiers that the server gives");
                self.faults.add(&path.name(name), "enum", message);
            }
        }
        Triple {
            system: system.into(),
            value: value.into(),
            usage: usage.into(),
        }
    }

    /// No two identifiers are found by the same.
    fn distinct(&mut self, triples: &mut [(Triple, usize)], path: &Path<'_>) {
        triples.sort_unstable();
        for pair in triples.windows(2) {
            let [(triple, place), (again, place_again)] = pair else {
                continue;
            };
            if triple == again {
                self.faults.add(&path.index(*place_again), "duplicate", || {
                    format!("has the system, value and use of the identifier at place {place}")
                });
            }
        }
        triples.sort_unstable_by_key(|(_, place)| *place);
    }
}
