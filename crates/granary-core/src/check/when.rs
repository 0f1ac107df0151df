//! The second pass over data whose definition has conditional rules.
//!
//! It reads the data as it is kept. On entering the data, and each array element that a condition may call current, the
//! tests about it are done first, in a pass over it alone; then its rules are judged. So the data is read once more for
//! each level of arrays that has such conditions, and never more.

use super::Run;
use super::value::Seen;
use crate::fault::{Faults, Path};
use crate::json::{Halt, Kind, Scanner};
use crate::profile::fields::Fields;
use crate::profile::rules::Judged;
use crate::profile::value::{Decimal, integer};
use crate::profile::when::{Found, Spot, SpotKind, Whens};

impl Run<'_, '_, '_> {
    /// Takes the data that is next, which is being copied: an object with these properties, and conditional rules.
    pub(super) fn data(
        &mut self,
        fields: &Fields,
        whens: Option<&Whens>,
        path: &Path<'_>,
    ) -> Result<(), Halt> {
        let Some(whens) = whens else {
            return self.fields(fields, path);
        };
        let start = self.scan.flush().len();
        self.fields(fields, path)?;
        let kept = self.scan.flush().get(start..).unwrap_or_default();
        judge(kept, whens, path, &mut self.faults);
        Ok(())
    }

    /// Judges the conditional rules of data that was not sent.
    pub(super) fn no_data(&mut self, whens: Option<&Whens>, path: &Path<'_>) {
        if let Some(whens) = whens {
            judge(b"{}", whens, path, &mut self.faults);
        }
    }
}

/// Adds the faults of what breaks a rule whose condition holds in `data`.
fn judge(data: &[u8], whens: &Whens, path: &Path<'_>, faults: &mut Faults) {
    let mut nothing = Vec::new();
    let mut pass = Pass {
        scan: Scanner::new(data, super::DEPTH_MAX as usize, &mut nothing),
        whens,
        passed: vec![false; whens.tests.len()],
        faults,
    };
    // The data was read before, so that nothing halts here.
    let _ = pass.value(&whens.root, path);
}

struct Pass<'w, 'd, 'o, 'f> {
    scan: Scanner<'d, 'o>,
    whens: &'w Whens,
    /// What became of the tests about what is current.
    passed: Vec<bool>,
    faults: &'f mut Faults,
}

impl<'w> Pass<'w, '_, '_, '_> {
    /// Takes the value at a spot, and judges its rules and those inside it.
    fn value(&mut self, spot: &'w Spot, path: &Path<'_>) -> Result<(), Halt> {
        if !spot.scope.is_empty() {
            for place in &spot.scope {
                self.passed[*place as usize] = false;
            }
            let place = self.scan.place();
            self.test(spot, spot.depth)?;
            self.scan.go_back(place);
        }
        match self.scan.peek()? {
            Kind::Object => {
                self.scan.open()?;
                let mut seen = Seen::default();
                let mut first = true;
                while let Some(name) = self.scan.member(first)? {
                    first = false;
                    let name = name.decode();
                    match spot.names.find(&name) {
                        Some(place) if self.scan.peek()? != Kind::Null => {
                            seen.mark(place);
                            self.value(&spot.members[place], &path.name(&name))?;
                        }
                        _ => self.scan.skip()?,
                    }
                }
                for (place, member) in spot.members.iter().enumerate() {
                    if !seen.has(place) {
                        self.missing(spot.names.get(place), member, path);
                    }
                }
            }
            Kind::Array => {
                self.scan.open()?;
                let mut count = 0;
                while self.scan.element(count == 0)? {
                    match &spot.element {
                        Some(element) => self.value(element, &path.index(count))?,
                        None => self.scan.skip()?,
                    }
                    count += 1;
                }
                self.rules(spot, &Judged::Elements(count as u64), path);
            }
            Kind::String => {
                let text = self.scan.string()?.decode();
                // What does not have its form is a fault already.
                if let SpotKind::Text(text_type) = spot.kind
                    && text_type.form.is_none_or(|form| form(&text).is_ok())
                {
                    self.rules(spot, &Judged::Text(&text), path);
                }
            }
            Kind::Number => {
                let raw = self.scan.number()?;
                match (spot.kind, Decimal::parse(raw)) {
                    (SpotKind::Integer, _) => {
                        if let Ok(value) = integer(raw) {
                            self.rules(spot, &Judged::Integer(value), path);
                        }
                    }
                    (SpotKind::Decimal, Ok(value)) => {
                        self.rules(spot, &Judged::Decimal(raw, value), path);
                    }
                    _ => {}
                }
            }
            kind => self.scan.literal(kind)?,
        }
        Ok(())
    }

    fn missing(&mut self, name: &str, spot: &Spot, path: &Path<'_>) {
        let mut guarded = spot.guarded.iter();
        if guarded.any(|guarded| guarded.required && guarded.when.holds(&self.passed)) {
            self.faults.add(&path.name(name), "required", || {
                format!("property '{name}' is required, since the 'when' of its rule holds")
            });
        }
    }

    fn rules(&mut self, spot: &Spot, judged: &Judged<'_>, path: &Path<'_>) {
        for guarded in &spot.guarded {
            if !guarded.rules.is_empty() && guarded.when.holds(&self.passed) {
                for rule in guarded.rules.iter().filter(|rule| !rule.holds(judged)) {
                    self.faults.add(path, rule.name(), || rule.complaint(judged));
                }
            }
        }
    }

    /// Takes the value at a spot, and does those tests in it that name `depth` current elements.
    fn test(&mut self, spot: &'w Spot, depth: u32) -> Result<(), Halt> {
        match self.scan.peek()? {
            Kind::Null => return self.scan.literal(Kind::Null),
            Kind::Object => {
                self.found(spot, depth, &Found::Other);
                self.scan.open()?;
                let mut first = true;
                while let Some(name) = self.scan.member(first)? {
                    first = false;
                    match spot.names.find(&name.decode()) {
                        Some(place) => self.test(&spot.members[place], depth)?,
                        None => self.scan.skip()?,
                    }
                }
            }
            Kind::Array => {
                self.scan.open()?;
                let mut first = true;
                while self.scan.element(first)? {
                    first = false;
                    match &spot.element {
                        Some(element) => self.test(element, depth)?,
                        None => self.scan.skip()?,
                    }
                }
            }
            Kind::String => {
                let text = self.scan.string()?.decode();
                self.found(spot, depth, &Found::Text(&text));
            }
            Kind::Number => {
                let raw = self.scan.number()?;
                let found = match spot.kind {
                    SpotKind::Integer => integer(raw).map(Found::Integer),
                    _ => Decimal::parse(raw).map(Found::Decimal),
                };
                self.found(spot, depth, &found.unwrap_or(Found::Other));
            }
            kind @ (Kind::True | Kind::False) => {
                self.scan.literal(kind)?;
                self.found(spot, depth, &Found::Boolean(kind == Kind::True));
            }
        }
        Ok(())
    }

    fn found(&mut self, spot: &Spot, depth: u32, found: &Found<'_>) {
        for place in &spot.tests {
            let (test, passed) = (
                &self.whens.tests[*place as usize],
                &mut self.passed[*place as usize],
            );
            if test.depth == depth && !*passed {
                *passed = test.passes(found);
            }
        }
    }
}
