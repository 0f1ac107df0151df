//! The paths of conditions: found in the definition, and laid out for the pass over the data.

use std::collections::BTreeMap;

use super::Reading;
use crate::fault::{Path, shown};
use crate::profile::fields::{Fields, Value, ValueType};
use crate::profile::names::Names;
use crate::profile::when::{Guarded, Spot, SpotKind, Test};

/// The suffix of a name in a path that names the element that the rule is on.
const CURRENT: &str = "[current]";

/// A step from the data to a value in it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step<'n> {
    Member(&'n str),
    Element,
}

/// What was laid out so far.
pub(super) struct Layout<'n> {
    /// The properties of the definition.
    pub(super) fields: &'n Fields,
    pub(super) root: Unfinished<'n>,
    pub(super) tests: Vec<Test>,
    /// How many values there are to compare with.
    pub(super) values: usize,
}

/// A spot that is still being laid out.
#[derive(Default)]
pub(super) struct Unfinished<'n> {
    pub(super) kind: SpotKind,
    members: BTreeMap<&'n str, Unfinished<'n>>,
    element: Option<Box<Unfinished<'n>>>,
    tests: Vec<u32>,
    scope: Vec<u32>,
    pub(super) guarded: Vec<Guarded>,
}

impl<'n> Unfinished<'n> {
    pub(super) fn at(&mut self, steps: &[Step<'n>]) -> &mut Self {
        steps.iter().fold(self, |spot, step| match step {
            Step::Member(name) => spot.members.entry(name).or_default(),
            Step::Element => spot.element.get_or_insert_default(),
        })
    }

    pub(super) fn finish(self, depth: u32) -> Spot {
        Spot {
            kind: self.kind,
            names: Names::new(self.members.keys().copied()),
            members: self
                .members
                .into_values()
                .map(|spot| spot.finish(depth))
                .collect(),
            element: self.element.map(|spot| Box::new(spot.finish(depth + 1))),
            tests: self.tests.into(),
            scope: self.scope.into(),
            depth,
            guarded: self.guarded.into(),
        }
    }
}

/// A path that was found in the definition.
pub(super) struct Target<'n> {
    steps: Vec<Step<'n>>,
    /// Up to which of the steps elements are the current ones, and how many.
    pub(super) current: (usize, u32),
    pub(super) value: &'n Value,
}

impl Reading<'_> {
    /// Finds the value that a path names, seen from the value that `steps` lead to.
    pub(super) fn target<'n>(
        &mut self,
        root: &'n Fields,
        text: &'n str,
        path: &Path<'_>,
        steps: &[Step<'n>],
    ) -> Option<Target<'n>> {
        let mut target: Option<Target<'n>> = None;
        for part in text.split('.') {
            let (name, currents) = match part.find('[') {
                Some(at) => part.split_at(at),
                None => (part, ""),
            };
            let fields = match &mut target {
                None => root,
                Some(target) => {
                    target.step_into_arrays();
                    match &target.value.value_type {
                        ValueType::Object(fields) => fields,
                        ValueType::Complex(_, fields) => &**fields,
                        other => {
                            let message = || {
                                let (part, other) = (shown(part), other.name());
                                format!("what '{part}' is looked for in is {other}, which has no properties")
                            };
                            self.faults.add(path, "when", message);
                            return None;
                        }
                    }
                }
            };
            let Some(place) = fields.names.find(name) else {
                // What is at fault itself is not in the fields, and one fault is enough.
                if !self.at_fault.contains(name) {
                    self.faults
                        .add_unknown(path, "when", "property", name, fields.names.iter());
                }
                return None;
            };
            let value = &fields.properties[place].value;
            let step = Step::Member(name);
            let next = match target {
                None => Target {
                    steps: vec![step],
                    current: (0, 0),
                    value,
                },
                Some(mut target) => {
                    target.steps.push(step);
                    target.value = value;
                    target
                }
            };
            target = Some(self.current(next, part, currents, path, steps)?);
        }
        let mut target = target?;
        target.step_into_arrays();
        Some(target)
    }

    /// Goes to the current elements that the rest of a part names.
    fn current<'n>(
        &mut self,
        mut target: Target<'n>,
        part: &str,
        mut currents: &str,
        path: &Path<'_>,
        steps: &[Step<'n>],
    ) -> Option<Target<'n>> {
        while !currents.is_empty() {
            let Some(rest) = currents.strip_prefix(CURRENT) else {
                let message = || format!("'{}' is not a property, nor one with {CURRENT}", shown(part));
                self.faults.add(path, "when", message);
                return None;
            };
            currents = rest;
            let ValueType::Array(item) = &target.value.value_type else {
                let message = || format!("'{}' is not an array, so it has no current element", shown(part));
                self.faults.add(path, "when", message);
                return None;
            };
            target.steps.push(Step::Element);
            target.value = item;
            let all_current = target.elements() == target.current.1 + 1;
            if !steps.starts_with(&target.steps) || !all_current {
                let message = || match all_current {
                    true => format!("the rule is not inside an element of '{}'", shown(part)),
                    false => format!("an array before '{}' needs {CURRENT} too", shown(part)),
                };
                self.faults.add(path, "when", message);
                return None;
            }
            target.current = (target.steps.len(), target.current.1 + 1);
        }
        Some(target)
    }
}

impl<'n> Target<'n> {
    /// Goes from an array to its elements.
    fn step_into_arrays(&mut self) {
        while let ValueType::Array(item) = &self.value.value_type {
            self.steps.push(Step::Element);
            self.value = item;
        }
    }

    /// How many of the steps go to an element.
    fn elements(&self) -> u32 {
        self.steps.iter().filter(|step| **step == Step::Element).count() as u32
    }
}

impl<'n> Layout<'n> {
    /// Lays out a test and tells its place.
    pub(super) fn add(&mut self, target: &Target<'n>, test: Test) -> u32 {
        let place = self.tests.len() as u32;
        self.tests.push(test);
        let spot = self.root.at(&target.steps);
        spot.kind = kind(target.value);
        spot.tests.push(place);
        self.root.at(&target.steps[..target.current.0]).scope.push(place);
        place
    }
}

pub(super) fn kind(value: &Value) -> SpotKind {
    match &value.value_type {
        ValueType::Text(text) => SpotKind::Text(text),
        ValueType::Integer => SpotKind::Integer,
        ValueType::Decimal => SpotKind::Decimal,
        _ => SpotKind::Other,
    }
}
