//! Where a pointer (RFC 6901) leads to in JSON without white space between tokens.

use std::ops::Range;

use crate::fault::shown;
use crate::json::{Halt, Kind, Scanner, push_string};

/// A JSON pointer that was read.
#[derive(Debug)]
pub(super) struct Pointer {
    pub(super) raw: String,
    steps: Vec<String>,
}

/// Where a pointer leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Landing {
    /// To a value.
    There {
        /// The value.
        value: Range<usize>,
        /// The value with its name, where it has one; `None` for the whole document.
        entry: Option<Range<usize>>,
        in_array: bool,
    },
    /// To a place where a value can be put.
    Free {
        at: usize,
        /// True where a comma comes before it,
        comma: bool,
        /// and what names it then.
        name: Vec<u8>,
    },
}

impl Pointer {
    pub(super) fn parse(raw: String) -> Result<Self, &'static str> {
        let steps = match raw.strip_prefix('/') {
            None if raw.is_empty() => Vec::new(),
            None => return Err("a path is empty or starts with '/'"),
            Some(rest) => rest.split('/').map(unescaped).collect::<Result<_, _>>()?,
        };
        Ok(Self { raw, steps })
    }

    pub(super) fn nothing_there(&self) -> String {
        format!("there is nothing at '{}'", shown(&self.raw))
    }

    /// Where it leads to in `document`; an error says why it leads nowhere.
    pub(super) fn land(&self, document: &[u8]) -> Result<Landing, String> {
        let mut nothing = Vec::new();
        let mut scan = Scanner::new(document, usize::MAX, &mut nothing);
        // The document was read before: it is JSON.
        self.walk(&mut scan).unwrap_or_else(|_| Err(self.nothing_there()))
    }

    fn walk(&self, scan: &mut Scanner<'_, '_>) -> Result<Result<Landing, String>, Halt> {
        let Some((last, steps)) = self.steps.split_last() else {
            scan.peek()?;
            let start = scan.offset();
            scan.skip()?;
            return Ok(Ok(Landing::There {
                value: start..scan.offset(),
                entry: None,
                in_array: false,
            }));
        };
        for step in steps {
            let found = match scan.peek()? {
                Kind::Object => enter_member(scan, step)?.is_ok(),
                Kind::Array => match index(step) {
                    Some(index) => enter_element(scan, index)?.is_ok(),
                    None => false,
                },
                _ => false,
            };
            if !found {
                return Ok(Err(self.nothing_there()));
            }
        }
        let (entered, in_array) = match scan.peek()? {
            Kind::Object => (enter_member(scan, last)?, false),
            Kind::Array => {
                let entered = match (last.as_str(), index(last)) {
                    ("-", _) => enter_element(scan, usize::MAX)?,
                    (_, Some(index)) => match enter_element(scan, index)? {
                        Err(end) if end.count < index => {
                            let count = end.count;
                            let why = format!("the array at '{}' has {count} elements", shown(self.parent()));
                            return Ok(Err(why));
                        }
                        entered => entered,
                    },
                    (_, None) => {
                        let why = format!("'{}' is no index of an array", shown(last));
                        return Ok(Err(why));
                    }
                };
                (entered, true)
            }
            found => {
                let why = format!(
                    "'{}' is {}, which holds nothing",
                    shown(self.parent()),
                    found.name()
                );
                return Ok(Err(why));
            }
        };
        Ok(Ok(match entered {
            Ok(start) => {
                let value = scan.offset();
                scan.skip()?;
                let end = scan.offset();
                Landing::There {
                    value: value..end,
                    entry: Some(start..end),
                    in_array,
                }
            }
            Err(end) => {
                let mut name = Vec::new();
                if !in_array {
                    push_string(&mut name, last);
                    name.push(b':');
                }
                Landing::Free {
                    at: end.bracket,
                    comma: end.count > 0,
                    name,
                }
            }
        }))
    }

    fn parent(&self) -> &str {
        self.raw.rsplit_once('/').map_or("", |(parent, _)| parent)
    }
}

/// The entry with the comma that goes with it.
pub(super) fn with_comma(document: &[u8], entry: Range<usize>) -> Range<usize> {
    let is_comma = |at: usize| document.get(at) == Some(&b',');
    if is_comma(entry.end) {
        entry.start..entry.end + 1
    } else if entry.start.checked_sub(1).is_some_and(is_comma) {
        entry.start - 1..entry.end
    } else {
        entry
    }
}

/// What was found in place of an entry: the end of what holds it.
struct End {
    /// The closing bracket.
    bracket: usize,
    /// How many entries stand before it.
    count: usize,
}

/// Enters the object that is next and goes to the value of this member. Tells where its name begins.
fn enter_member(scan: &mut Scanner<'_, '_>, wanted: &str) -> Result<Result<usize, End>, Halt> {
    scan.open()?;
    let mut count = 0;
    loop {
        let start = scan.offset() + usize::from(count > 0);
        let Some(name) = scan.member(count == 0)? else {
            let bracket = scan.offset() - 1;
            return Ok(Err(End { bracket, count }));
        };
        if name.decode() == wanted {
            return Ok(Ok(start));
        }
        scan.skip()?;
        count += 1;
    }
}

/// Enters the array that is next and goes to the element with this index. Tells where it begins.
fn enter_element(scan: &mut Scanner<'_, '_>, wanted: usize) -> Result<Result<usize, End>, Halt> {
    scan.open()?;
    let mut count = 0;
    while scan.element(count == 0)? {
        if count == wanted {
            return Ok(Ok(scan.offset()));
        }
        scan.skip()?;
        count += 1;
    }
    let bracket = scan.offset() - 1;
    Ok(Err(End { bracket, count }))
}

/// The index that a step spells: digits without a leading zero.
fn index(step: &str) -> Option<usize> {
    let digits = step.bytes().all(|b| b.is_ascii_digit());
    let leading = step.len() > 1 && step.starts_with('0');
    // More than any array has is past its end.
    (digits && !leading && !step.is_empty()).then(|| step.parse().unwrap_or(usize::MAX - 1))
}

/// A step with `~0` and `~1` resolved.
fn unescaped(step: &str) -> Result<String, &'static str> {
    let mut parts = step.split('~');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (escape, rest) = match part.split_at_checked(1) {
            Some(("0", rest)) => ('~', rest),
            Some(("1", rest)) => ('/', rest),
            _ => return Err("in a path '~' is written ~0 and '/' in a name ~1"),
        };
        text.push(escape);
        text.push_str(rest);
    }
    Ok(text)
}
