//! Faults being collected: where each is, and how they become one error.

use std::fmt::Write as _;

use crate::error::{Detail, ErrorObject, ErrorType};

/// A place in what is being checked: a list on the stack, so that nothing is built while nothing is wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path<'p> {
    above: Option<&'p Path<'p>>,
    step: Step<'p>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'p> {
    Root,
    Name(&'p str),
    Index(usize),
}

impl<'p> Path<'p> {
    /// The whole.
    pub(crate) const ROOT: Path<'static> = Path {
        above: None,
        step: Step::Root,
    };

    /// The member of this.
    pub(crate) fn name<'q>(&'q self, name: &'q str) -> Path<'q>
    where
        'p: 'q,
    {
        Path {
            above: Some(self),
            step: Step::Name(name),
        }
    }

    /// The element of this.
    pub(crate) fn index<'q>(&'q self, index: usize) -> Path<'q>
    where
        'p: 'q,
    {
        Path {
            above: Some(self),
            step: Step::Index(index),
        }
    }

    /// The RFC 6901 pointer. Names past 200 characters are cut, so that an error does not grow with what was sent.
    pub(crate) fn pointer(&self) -> String {
        let mut steps = Vec::new();
        let mut here = Some(self);
        while let Some(path) = here {
            steps.push(path.step);
            here = path.above;
        }
        let mut pointer = String::new();
        for step in steps.iter().rev() {
            match step {
                Step::Root => {}
                Step::Index(index) => {
                    // Writing to a string cannot fail.
                    let _ = write!(pointer, "/{index}");
                }
                Step::Name(name) => {
                    pointer.push('/');
                    for c in name.chars().take(200) {
                        match c {
                            '~' => pointer.push_str("~0"),
                            '/' => pointer.push_str("~1"),
                            c => pointer.push(c),
                        }
                    }
                }
            }
        }
        pointer
    }
}

/// The faults found so far; the first of them are kept, all are counted.
#[derive(Debug)]
pub(crate) struct Faults {
    details: Vec<Detail>,
    total: u64,
    details_max: u64,
    /// How many characters may still be compared to find names that are close: what is sent must not make it slow.
    comparisons_left: usize,
}

impl Faults {
    pub(crate) fn new(details_max: u64) -> Self {
        Self {
            details: Vec::new(),
            total: 0,
            // An error shows one fault at least.
            details_max: details_max.max(1),
            comparisons_left: 100_000,
        }
    }

    /// Adds a fault; the message is only made if it is kept.
    #[cold]
    pub(crate) fn add(&mut self, path: &Path<'_>, rule: &str, message: impl FnOnce() -> String) {
        self.add_as(ErrorType::InvalidArgument, path, rule, message);
    }

    /// Adds the fault that `name` is not one of the `known`, and names the closest of them.
    #[cold]
    pub(crate) fn add_unknown<'k>(
        &mut self,
        path: &Path<'_>,
        rule: &str,
        noun: &str,
        name: &str,
        known: impl IntoIterator<Item = &'k str>,
    ) {
        let mut left = self.comparisons_left;
        let affordable = known.into_iter().take_while(|near| {
            let cost = 10 + near.len() * name.len().min(NAME_LEN_COMPARED);
            let enough = cost <= left;
            left = left.saturating_sub(cost);
            enough
        });
        let kept = self.total < self.details_max;
        let hint = if kept {
            did_you_mean(name, affordable)
        } else {
            String::new()
        };
        self.comparisons_left = left;
        self.add(path, rule, || {
            format!("{noun} '{}' is not known{hint}", shown(name))
        });
    }

    /// Adds a fault of another type than `INVALID_ARGUMENT`.
    #[cold]
    pub(crate) fn add_as(
        &mut self,
        error_type: ErrorType,
        path: &Path<'_>,
        rule: &str,
        message: impl FnOnce() -> String,
    ) {
        self.total += 1;
        let is_full = self.total > self.details_max;
        // A limit is told however many other faults there are: the code says that it was passed.
        let is_limit = error_type == ErrorType::ContentTooLarge
            && self.details.iter().all(|detail| detail.error_type != error_type);
        if is_full && !is_limit {
            return;
        }
        let detail = Detail {
            error_type,
            message: message(),
            path: Some(path.pointer()),
            rule: Some(rule.to_owned()),
        };
        match self.details.last_mut().filter(|_| is_full) {
            Some(last) => *last = detail,
            None => self.details.push(detail),
        }
    }

    /// Adds a fault whose pointer was made before.
    #[cold]
    pub(crate) fn add_at(&mut self, pointer: String, rule: &str, message: impl FnOnce() -> String) {
        self.total += 1;
        if self.total <= self.details_max {
            self.details.push(Detail {
                error_type: ErrorType::InvalidArgument,
                message: message(),
                path: Some(pointer),
                rule: Some(rule.to_owned()),
            });
        }
    }

    pub(crate) fn any(&self) -> bool {
        self.total > 0
    }

    /// One error of all faults; `None` if there are none. Its type is that of the faults where they agree; a limit
    /// that was passed wins; otherwise it is `INVALID_ARGUMENT`.
    pub(crate) fn into_error(self) -> Option<ErrorObject> {
        let first = self.details.first()?;
        let has = |t: ErrorType| self.details.iter().any(|d| d.error_type == t);
        let same = self.details.iter().all(|d| d.error_type == first.error_type);
        let error_type = if has(ErrorType::ContentTooLarge) {
            ErrorType::ContentTooLarge
        } else if same && self.total == self.details.len() as u64 {
            first.error_type
        } else {
            ErrorType::InvalidArgument
        };
        let shown = self
            .details
            .iter()
            .find(|d| d.error_type == error_type)
            .unwrap_or(first);
        let place = match shown.path.as_deref() {
            None | Some("") => String::new(),
            Some(path) => format!("{path}: "),
        };
        let message = match self.total {
            1 => format!("{place}{}", shown.message),
            n if place.is_empty() => format!("{n} faults, the first: {}", shown.message),
            n => format!("{n} faults, the first at {place}{}", shown.message),
        };
        let mut error = ErrorObject::new(error_type, message);
        error.details_total = (self.total > self.details.len() as u64).then_some(self.total);
        Some(error.with_details(self.details))
    }
}

/// Longer names are close to none: no key has more than 62 characters.
const NAME_LEN_COMPARED: usize = 100;

/// `text` short enough for a message.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(100).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// `, did you mean '…'?` with the one of `known` that is closest to `name`, if one is close.
pub fn did_you_mean<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    closest(name, known).map_or_else(String::new, |near| format!(", did you mean '{near}'?"))
}

/// The one of `known` that is closest to `name`: equal but for case, or at most a third of it differs.
pub fn closest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    if name.len() > NAME_LEN_COMPARED {
        return None;
    }
    let lower = name.to_lowercase();
    let distance = |near: &str| match near.eq_ignore_ascii_case(name) {
        true => 0,
        false => strsim::osa_distance(&lower, &near.to_lowercase()),
    };
    let (distance, near) = known
        .into_iter()
        .filter(|near| near.len().abs_diff(name.len()) <= near.len().max(name.len()) / 3 + 1)
        .map(|near| (distance(near), near))
        .min_by_key(|(distance, _)| *distance)?;
    let longest = name.chars().count().max(near.len());
    (distance <= (longest / 3).max(1) && distance < longest).then_some(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_names_each_step_and_escapes() {
        let data = Path::ROOT.name("data");
        let odd = data.name("a/b~c");
        assert_eq!(odd.index(3).pointer(), "/data/a~1b~0c/3");
        assert_eq!(Path::ROOT.pointer(), "");
    }

    #[test]
    fn the_closest_name_is_near_or_none() {
        let known = ["name", "practiceNumber", "specialities"];
        assert_eq!(closest("nmae", known), Some("name"));
        assert_eq!(closest("PRACTICENUMBER", known), Some("practiceNumber"));
        assert_eq!(closest("specialties", known), Some("specialities"));
        assert_eq!(closest("colour", known), None);
        assert_eq!(closest("x", ["a"]), None);
        assert_eq!(closest(&"n".repeat(1_000_000), known), None);
    }

    #[test]
    fn faults_past_the_cap_are_counted() {
        let mut faults = Faults::new(2);
        for n in 0..5 {
            faults.add(&Path::ROOT.index(n), "type", || format!("fault {n}"));
        }
        let error = faults.into_error().unwrap();
        assert_eq!((error.details.len(), error.details_total), (2, Some(5)));
        assert_eq!(error.message, "5 faults, the first at /0: fault 0");
    }

    #[test]
    fn a_limit_is_told_behind_many_other_faults() {
        let mut faults = Faults::new(2);
        for n in 0..5 {
            faults.add(&Path::ROOT.index(n), "type", || format!("fault {n}"));
        }
        for n in 5..7 {
            let path = Path::ROOT.index(n);
            faults.add_as(ErrorType::ContentTooLarge, &path, "limit", || {
                format!("limit {n}")
            });
        }
        let error = faults.into_error().unwrap();
        assert_eq!((error.code, error.details_total), (413, Some(7)));
        let messages: Vec<&str> = error.details.iter().map(|detail| &*detail.message).collect();
        assert_eq!(messages, ["fault 0", "limit 5"]);
    }

    #[test]
    fn the_type_is_that_of_the_faults() {
        let error = |types: &[ErrorType]| {
            let mut faults = Faults::new(9);
            for t in types {
                faults.add_as(*t, &Path::ROOT, "r", String::new);
            }
            faults.into_error().unwrap().code
        };
        use ErrorType::*;
        assert_eq!(error(&[Unimplemented, Unimplemented]), 501);
        assert_eq!(error(&[Unimplemented, InvalidArgument]), 400);
        assert_eq!(error(&[InvalidArgument, ContentTooLarge]), 413);
    }
}
