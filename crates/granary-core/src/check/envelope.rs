//! The envelope of an operation of a bulk request: `action` and its payload.

use super::Run;
use super::value::Seen;
use crate::fault::{Path, shown};
use crate::json::{Halt, Kind};
use crate::operation::{Action, Operation, TargetType};

const MEMBERS: [&str; 4] = ["action", "create", "upsert", "delete"];

/// What was said of the action.
enum Given<T> {
    Absent,
    /// It was, and is a fault already.
    Wrong,
    As(T),
}

impl Run<'_, '_, '_> {
    pub(super) fn envelope(&mut self) -> Result<Option<Operation>, Halt> {
        let path = Path::ROOT;
        if !self.enter_object(&path, "an operation, which is an object")? {
            return Ok(None);
        }
        let mut action = Given::Absent;
        let mut payloads: [Option<Option<Operation>>; 3] = [None, None, None];
        let mut seen = Seen::default();
        let mut first = true;
        while let Some(name) = self.scan.member(first)? {
            first = false;
            let name = name.decode();
            let here = path.name(&name);
            let Some(member) = MEMBERS.iter().position(|member| *member == name) else {
                self.faults
                    .add_unknown(&here, "unknown", "member", &name, MEMBERS);
                self.scan.skip()?;
                continue;
            };
            if !seen.mark(member) {
                self.second(&here, &name)?;
                continue;
            }
            if self.absent()? {
                continue;
            }
            // After 'action' come the payloads, in the order of the actions.
            let Some(place) = member.checked_sub(1) else {
                action = self.action(&here)?;
                continue;
            };
            let action = Action::ALL[place];
            payloads[place] = Some(match self.target {
                TargetType::Resource => self.resource(action, &here, None, None)?,
                TargetType::Relationship => self.relationship(action, &here, None)?,
            });
        }
        Ok(self.matching(action, payloads))
    }

    /// The payload that goes with the action.
    fn matching(
        &mut self,
        action: Given<Action>,
        mut payloads: [Option<Option<Operation>>; 3],
    ) -> Option<Operation> {
        let action = match action {
            Given::As(action) => action,
            Given::Wrong => return None,
            Given::Absent => {
                let mut sent = Action::ALL
                    .iter()
                    .zip(&payloads)
                    .filter(|(_, payload)| payload.is_some());
                let hint = match (sent.next(), sent.next()) {
                    (Some((action, _)), None) => format!(", here it is '{}'", action.name()),
                    _ => String::new(),
                };
                self.faults.add(&Path::ROOT.name("action"), "required", || {
                    format!("'action' is required{hint}")
                });
                return None;
            }
        };
        let place = Action::ALL.iter().position(|known| *known == action)?;
        let operation = payloads[place].take();
        // Nothing is allocated where no other payload was sent.
        let others = Action::ALL
            .into_iter()
            .zip(&payloads)
            .filter(|(_, payload)| payload.is_some());
        let given: Vec<Action> = others.map(|(other, _)| other).collect();
        for other in &given {
            self.faults.add(&Path::ROOT.name(other.payload()), "payload", || {
                let (action, wanted, found) = (action.name(), action.payload(), other.payload());
                format!("action {action} has its payload in '{wanted}', not in '{found}'")
            });
        }
        if operation.is_none() && given.is_empty() {
            self.faults
                .add(&Path::ROOT.name(action.payload()), "required", || {
                    format!(
                        "action {} needs its payload in '{}'",
                        action.name(),
                        action.payload()
                    )
                });
        }
        operation.flatten()
    }

    fn action(&mut self, path: &Path<'_>) -> Result<Given<Action>, Halt> {
        match self.scan.peek()? {
            Kind::String => {}
            found => {
                self.wrong_kind(path, "the name of an action, which is a string", found)?;
                return Ok(Given::Wrong);
            }
        }
        let text = self.scan.string()?;
        let text = text.decode();
        if let Some(action) = Action::ALL.into_iter().find(|action| action.name() == text) {
            return Ok(Given::As(action));
        }
        match Action::ALL
            .into_iter()
            .find(|action| action.name().eq_ignore_ascii_case(&text))
        {
            Some(action) => self.faults.add(path, "enum", || {
                format!(
                    "action '{}' is not known: actions are upper case, use '{}'",
                    shown(&text),
                    action.name()
                )
            }),
            None => {
                let known = Action::ALL.map(Action::name);
                self.faults.add_unknown(path, "enum", "action", &text, known);
            }
        }
        Ok(Given::Wrong)
    }
}
