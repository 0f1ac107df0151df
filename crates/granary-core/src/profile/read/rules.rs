//! Reading rules, and judging whether they can hold together.

use super::Reading;
use crate::error::{ErrorObject, ErrorType};
use crate::fault::{Path, shown};
use crate::profile::document::Node;
use crate::profile::fields::{Value, ValueType};
use crate::profile::pattern::{COMPILED_BYTES_MAX, Pattern};
use crate::profile::rules::{Bound, Judged, Options, Rule};
use crate::profile::value::{self, Decimal};

pub(super) const MEMBERS: [&str; 6] = ["required", "min", "max", "enum", "pattern", "when"];

/// A rule and where it stands.
struct Placed {
    /// Which rule object it is in; `None` for one that holds anyway: of the type itself or, beside a conditional one, of
    /// the other rule objects.
    entry: Option<usize>,
    rule: Rule,
    /// Of an `enum`: the places of those values that fit the type.
    places: Vec<usize>,
}

impl Reading<'_> {
    /// Reads the rules of a value of this type (`None`: not known), and whether it is required. `of_type` are those that
    /// the type itself has on it.
    pub(super) fn rules(
        &mut self,
        node: &Node<'_>,
        path: &Path<'_>,
        value_type: Option<&ValueType>,
        of_type: Vec<Rule>,
    ) -> (Vec<Rule>, bool) {
        let Node::Array(entries) = node else {
            self.wrong_type(node, path, "an array of rule objects");
            return (of_type, false);
        };
        if let Some(beside) = self.beside
            && entries.len() as u64 > beside.limits.definition_rules
        {
            let what = format!("the number of rule objects ({})", entries.len());
            let error = ErrorObject::over_limit(&what, "definitionRules", beside.limits.definition_rules);
            self.faults
                .add_as(ErrorType::ContentTooLarge, path, "definitionRules", || {
                    error.message
                });
            return (of_type, false);
        }
        let of_type = of_type.into_iter().map(|rule| Placed {
            entry: None,
            rule,
            places: Vec::new(),
        });
        let mut placed: Vec<Placed> = of_type.collect();
        let mut required = false;
        for (entry, node) in entries.iter().enumerate() {
            let here = path.index(entry);
            self.object(node, &here, &MEMBERS);
            // These are read when all that they may name has been.
            let conditional = node.member("when").is_some();
            self.conditional |= conditional;
            match node.member("required") {
                Some(Node::Boolean(value)) => required |= *value && !conditional,
                Some(other) => self.wrong_type(other, &here.name("required"), "a boolean"),
                None => {}
            }
            if let (Some(value_type), false) = (value_type, conditional) {
                self.rules_of_entry(node, entry, path, value_type, &mut placed);
            }
        }
        if let Some(value_type) = value_type {
            self.bounds_hold(&placed, path, value_type);
            self.options_hold(&placed, path);
        }
        (placed.into_iter().map(|placed| placed.rule).collect(), required)
    }

    /// Reads the rules of a rule object that has a condition, and judges them beside the `value`'s other rules.
    pub(super) fn guarded_rules(
        &mut self,
        node: &Node<'_>,
        entry: usize,
        path: &Path<'_>,
        value: &Value,
    ) -> Vec<Rule> {
        let others = value.rules.iter().map(|rule| Placed {
            entry: None,
            rule: rule.clone(),
            places: Vec::new(),
        });
        let mut placed: Vec<Placed> = others.collect();
        self.rules_of_entry(node, entry, path, &value.value_type, &mut placed);
        self.bounds_hold(&placed, path, &value.value_type);
        self.options_hold(&placed, path);
        let own = placed.into_iter().filter(|placed| placed.entry.is_some());
        own.map(|placed| placed.rule).collect()
    }

    /// Reads the rules of one rule object.
    fn rules_of_entry(
        &mut self,
        node: &Node<'_>,
        entry: usize,
        path: &Path<'_>,
        value_type: &ValueType,
        placed: &mut Vec<Placed>,
    ) {
        for name in ["min", "max", "enum", "pattern"] {
            if let Some(value) = node.member(name)
                && let Some((rule, places)) =
                    self.rule(name, value, &path.index(entry).name(name), value_type)
            {
                let entry = Some(entry);
                placed.push(Placed { entry, rule, places });
            }
        }
    }

    fn rule(
        &mut self,
        name: &'static str,
        node: &Node<'_>,
        path: &Path<'_>,
        value_type: &ValueType,
    ) -> Option<(Rule, Vec<usize>)> {
        let fits = match value_type {
            ValueType::Text(_) => true,
            ValueType::Integer | ValueType::Decimal => name != "pattern",
            ValueType::Array(_) => matches!(name, "min" | "max"),
            ValueType::Boolean | ValueType::Object(_) | ValueType::Complex(..) => false,
        };
        if !fits {
            self.faults.add(path, name, || {
                let on = match name {
                    "enum" => "numbers and strings",
                    "pattern" => "strings",
                    _ => "numbers, strings and arrays",
                };
                let hint = match value_type {
                    ValueType::Array(_) => "; rules on the elements go in 'items'",
                    _ => "",
                };
                format!(
                    "the rule {name} is for {on}, not for the type {}{hint}",
                    value_type.name()
                )
            });
            return None;
        }
        match name {
            "enum" => self
                .options(node, path, value_type)
                .map(|(options, places)| (Rule::Enum(options), places)),
            "pattern" => self
                .pattern(node, path)
                .map(|pattern| (Rule::Pattern(pattern), Vec::new())),
            _ => {
                let bound = self.bound(name, node, path, value_type)?;
                let rule = if name == "min" {
                    Rule::Min(bound)
                } else {
                    Rule::Max(bound)
                };
                Some((rule, Vec::new()))
            }
        }
    }

    fn bound(
        &mut self,
        name: &str,
        node: &Node<'_>,
        path: &Path<'_>,
        value_type: &ValueType,
    ) -> Option<Bound> {
        let Node::Number(raw) = node else {
            self.wrong_type(node, path, "a number");
            return None;
        };
        let count = || {
            raw.parse::<u64>()
                .map_err(|_| "a count is a whole number and not negative")
        };
        let bound = match value_type {
            ValueType::Integer => value::integer(raw).map(Bound::Integer),
            ValueType::Decimal => Decimal::parse(raw).map(|_| Bound::Decimal((*raw).into())),
            ValueType::Array(_) => count().map(Bound::Elements),
            _ => count().map(Bound::Chars),
        };
        bound
            .map_err(|wrong| {
                self.faults
                    .add(path, name, || format!("'{}': {wrong}", shown(raw)))
            })
            .ok()
    }

    fn pattern(&mut self, node: &Node<'_>, path: &Path<'_>) -> Option<Pattern> {
        let Some(source) = node.text() else {
            self.wrong_type(node, path, "a regular expression, which is a string");
            return None;
        };
        // What turns out too large has cost as much as the largest that is not.
        let parsed = (self.pattern_bytes_left > 0).then(|| Pattern::parse(source));
        let cost = match &parsed {
            Some(Ok(pattern)) => pattern.compiled_bytes_max(),
            Some(Err(bad)) if bad.compiled => COMPILED_BYTES_MAX,
            _ => 0,
        };
        let affordable = cost <= self.pattern_bytes_left;
        self.pattern_bytes_left = self.pattern_bytes_left.saturating_sub(cost);
        match parsed {
            Some(Ok(pattern)) if affordable => return Some(pattern),
            Some(Err(bad)) => self.faults.add(path, "pattern", || bad.to_string()),
            _ => self.faults.add(path, "pattern", || {
                "not looked at: the patterns of this definition are too large together when compiled"
                    .to_owned()
            }),
        }
        None
    }

    fn options(
        &mut self,
        node: &Node<'_>,
        path: &Path<'_>,
        value_type: &ValueType,
    ) -> Option<(Options, Vec<usize>)> {
        let Node::Array(elements) = node else {
            self.wrong_type(node, path, "an array of values");
            return None;
        };
        if elements.is_empty() {
            self.faults
                .add(path, "enum", || "is empty, so that no value could hold".into());
            return None;
        }
        let (mut texts, mut integers, mut decimals) = (Vec::new(), Vec::new(), Vec::new());
        let mut places = Vec::new();
        for (place, element) in elements.iter().enumerate() {
            let wrong = match (value_type, element) {
                (ValueType::Text(text_type), Node::String(text)) => {
                    match text_type.form.map(|form| form(text)) {
                        Some(Err(wrong)) => Some(wrong.to_owned()),
                        _ => {
                            texts.push((**text).into());
                            None
                        }
                    }
                }
                (ValueType::Integer, Node::Number(raw)) => match value::integer(raw) {
                    Ok(value) => {
                        integers.push(value);
                        None
                    }
                    Err(wrong) => Some(wrong.to_owned()),
                },
                (ValueType::Decimal, Node::Number(raw)) => match Decimal::parse(raw) {
                    Ok(_) => {
                        decimals.push((*raw).into());
                        None
                    }
                    Err(wrong) => Some(wrong.to_owned()),
                },
                (value_type, other) => Some(format!(
                    "expected {} ({}), found {}",
                    value_type.json(),
                    value_type.name(),
                    other.kind_name()
                )),
            };
            match wrong {
                None => places.push(place),
                Some(wrong) => self.faults.add(&path.index(place), "enum", || wrong),
            }
        }
        let options = match value_type {
            ValueType::Integer => Options::integers(integers),
            ValueType::Decimal => Options::decimals(decimals),
            _ => Options::texts(texts),
        };
        Some((options, places))
    }

    /// No value could hold where a `min` is above a `max`, or past what the type allows.
    fn bounds_hold(&mut self, placed: &[Placed], path: &Path<'_>, value_type: &ValueType) {
        let bounds = |want_max: bool| {
            placed.iter().filter_map(move |p| match &p.rule {
                Rule::Min(bound) if !want_max => Some((p.entry, bound)),
                Rule::Max(bound) if want_max => Some((p.entry, bound)),
                _ => None,
            })
        };
        let min = bounds(false).max_by(|(_, a), (_, b)| a.compare_bounds(b));
        let max = bounds(true).min_by(|(_, a), (_, b)| a.compare_bounds(b));
        if let (Some((of_min, min)), Some((of_max, max))) = (min, max)
            && min.compare_bounds(max).is_gt()
        {
            let message = || format!("min {min} is above max {max}, so that no value could hold");
            match (of_min, of_max) {
                (Some(entry), _) => self.faults.add(&path.index(entry).name("min"), "min", message),
                (None, Some(entry)) => self.faults.add(&path.index(entry).name("max"), "max", message),
                // Both were judged before.
                (None, None) => {}
            }
        }
        let ValueType::Text(text) = value_type else { return };
        if let Some((Some(entry), Bound::Chars(min))) = min
            && *min > text.chars_max
        {
            let message = || {
                format!(
                    "a {} has at most {} characters, so that no value could hold",
                    text.name, text.chars_max
                )
            };
            self.faults.add(&path.index(entry).name("min"), "min", message);
        }
        if let Some((Some(entry), Bound::Chars(max))) = max
            && *max < text.chars_min
        {
            let message = || {
                format!(
                    "a {} has at least {} characters, so that no value could hold",
                    text.name, text.chars_min
                )
            };
            self.faults.add(&path.index(entry).name("max"), "max", message);
        }
    }

    /// Each value of an `enum` must be allowed by the other rules of the same value.
    fn options_hold(&mut self, placed: &[Placed], path: &Path<'_>) {
        for (number, one) in placed.iter().enumerate() {
            let (Rule::Enum(options), Some(entry)) = (&one.rule, one.entry) else {
                continue;
            };
            let others = || {
                placed
                    .iter()
                    .enumerate()
                    .filter(move |(other, _)| *other != number)
            };
            for (position, place) in one.places.iter().enumerate() {
                let Some(judged) = judged(options, position) else {
                    continue;
                };
                for (_, other) in others() {
                    let Some(left) = self.comparisons_left.checked_sub(1) else {
                        return;
                    };
                    self.comparisons_left = left;
                    if !other.rule.holds(&judged) {
                        let here = path.index(entry);
                        self.faults.add(&here.name("enum").index(*place), "enum", || {
                            let why = other.rule.complaint(&judged);
                            format!("breaks the rule {} beside it: {why}", other.rule.name())
                        });
                    }
                }
            }
        }
    }
}

/// The value of an `enum` as rules judge it.
fn judged(options: &Options, position: usize) -> Option<Judged<'_>> {
    Some(match options {
        Options::Texts(all) => Judged::Text(all.given.get(position)?),
        Options::Integers(all) => Judged::Integer(*all.given.get(position)?),
        Options::Decimals(all) => {
            let raw = all.given.get(position)?;
            Judged::Decimal(raw, Decimal::parse(raw).ok()?)
        }
    })
}
