//! The envelope of an operation of a bulk request: `action` and its payload.

use super::Run;
use super::members::{Known, Next, Walk, members, names};
use super::value::Seen;
use crate::fault::{Path, shown};
use crate::json::{Halt, Kind};
use crate::operation::{Action, TargetType};

const MEMBERS: [Known; 4] = members!["action", "create", "upsert", "delete"];

/// What was said of the action.
enum Given {
    Absent,
    /// It was, and is a fault already.
    Wrong,
    As(Action),
}

impl Run<'_, '_, '_> {
    pub(super) fn envelope(&mut self) -> Result<(), Halt> {
        let path = Path::ROOT;
        if !self.enter_object(&path, "an operation, which is an object")? {
            return Ok(());
        }
        let mut action = Given::Absent;
        let mut payloads = [false; 3];
        let mut seen = Seen::default();
        let mut walk = Walk::default();
        loop {
            let member = match self.next_member(&mut walk, &MEMBERS)? {
                Next::Known(member) => member,
                Next::Unknown(name) => {
                    let name = name.decode();
                    self.faults
                        .add_unknown(&path.name(&name), "unknown", "member", &name, names(&MEMBERS));
                    self.scan.skip()?;
                    continue;
                }
                Next::End => break,
            };
            let name = MEMBERS[member].name;
            let here = path.name(name);
            if !seen.mark(member) {
                self.second(&here, name)?;
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
            payloads[place] = true;
            match self.target {
                TargetType::Resource => self.resource(action, &here, None, None)?,
                TargetType::Relationship => self.relationship(action, &here, None)?,
            }
        }
        self.matching(action, payloads);
        Ok(())
    }

    /// The payload must be that of the action, and the only one.
    fn matching(&mut self, action: Given, payloads: [bool; 3]) {
        if matches!(action, Given::As(action) if payloads == Action::ALL.map(|one| one == action)) {
            return;
        }
        let sent = || {
            Action::ALL
                .into_iter()
                .zip(payloads)
                .filter(|(_, sent)| *sent)
                .map(|(action, _)| action)
        };
        let action = match action {
            Given::As(action) => action,
            Given::Wrong => return,
            Given::Absent => {
                let mut sent = sent();
                let hint = match (sent.next(), sent.next()) {
                    (Some(action), None) => format!(", here it is '{}'", action.name()),
                    _ => String::new(),
                };
                self.faults.add(&Path::ROOT.name("action"), "required", || {
                    format!("'action' is required{hint}")
                });
                return;
            }
        };
        for other in sent().filter(|other| *other != action) {
            self.faults.add(&Path::ROOT.name(other.payload()), "payload", || {
                let (action, wanted, found) = (action.name(), action.payload(), other.payload());
                format!("action {action} has its payload in '{wanted}', not in '{found}'")
            });
        }
        if sent().next().is_none() {
            self.faults
                .add(&Path::ROOT.name(action.payload()), "required", || {
                    format!(
                        "action {} needs its payload in '{}'",
                        action.name(),
                        action.payload()
                    )
                });
        }
    }

    fn action(&mut self, path: &Path<'_>) -> Result<Given, Halt> {
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
