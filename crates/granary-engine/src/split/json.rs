//! Splits `{"operations": […]}`.

use memchr::memchr_iter;
use serde::de::IgnoredAny;

use super::run::{Gatherer, Run};
use super::scan::{InString, Scan, blank};
use super::{Faults, Place, SplitError};

const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];
const OPERATIONS: &str = "operations";
/// How much of the name of a member is held: more than any spelling of `operations` with escapes takes.
const NAME_HELD: usize = 256;

/// What stands at the place that the splitter has reached.
#[derive(Clone, Debug, PartialEq, Eq)]
enum At {
    /// The start of the body; so many bytes of a byte order mark were seen.
    Start(usize),
    /// The document.
    Document,
    /// After `{`: a member, or `}`.
    FirstMember,
    /// After a comma: a member.
    Member,
    /// In the name of a member.
    Name(InString),
    /// The colon after a name.
    Colon,
    /// The value of a member.
    Value,
    /// In the value of a member that is not looked at.
    Skipped(Scan),
    /// In a document that is no object.
    NoObject(Scan),
    /// After `[`: an operation, or `]`.
    FirstOperation,
    /// After a comma: an operation.
    NextOperation,
    /// In an operation.
    Operation(Scan),
    /// In an operation that is over the limit and was given out as such.
    OverLimit(Scan),
    /// After an operation: a comma, or `]`.
    AfterOperation,
    /// After the value of a member: a comma, or `}`.
    AfterMember,
    /// After the document: white space.
    End,
}

/// Splits `{"operations": […]}`.
#[derive(Debug)]
pub struct JsonSplitter {
    pub(super) run: Gatherer,
    at: At,
    /// The name of the member, with its quotes, as far as it is held.
    name: Vec<u8>,
    name_place: Place,
    /// Whether the value that comes is the first `operations`.
    operations_next: bool,
    operations_seen: bool,
    faults: Faults,
    faults_max: u64,
}

/// Why the walk over an input stopped before its end.
enum Stop {
    /// There is a run to give out.
    Cut,
    Failed(SplitError),
}

impl JsonSplitter {
    /// A splitter at the start of a body. `operation_bytes_max` is the limit on one operation, `faults_max` how many
    /// faults of the request itself are told one by one.
    pub fn new(operation_bytes_max: u64, faults_max: u64) -> Self {
        let run = Gatherer::new(operation_bytes_max);
        Self {
            name_place: run.here(),
            run,
            at: At::Start(0),
            name: Vec::new(),
            operations_next: false,
            operations_seen: false,
            faults: Faults::default(),
            faults_max,
        }
    }

    pub(super) fn feed(&mut self, input: &mut &[u8]) -> Result<Option<Run>, SplitError> {
        let bytes = *input;
        let mut at = 0;
        let walked = self.walk(bytes, &mut at);
        self.run.take_in(bytes, at);
        *input = &bytes[at..];
        match walked {
            Err(Stop::Failed(error)) => Err(error),
            Err(Stop::Cut) => Ok(self.run.cut()),
            Ok(()) if self.between_operations() && self.run.full(0) => Ok(self.run.cut()),
            Ok(()) => Ok(None),
        }
    }

    pub(super) fn finish(&mut self) -> Result<(), SplitError> {
        let here = self.here();
        let error = match &self.at {
            At::End | At::NoObject(Scan::Bare) => {
                if !self.operations_seen {
                    let message = "the request has no member 'operations'; it must be {\"operations\": […]}";
                    self.fault(message, String::new());
                } else if self.run.found() == 0 && self.faults.total == 0 {
                    self.fault(
                        "'operations' is empty; send at least one operation",
                        pointer(OPERATIONS),
                    );
                }
                return Ok(());
            }
            At::Start(_) | At::Document => SplitError::not_json(here, "it is empty"),
            At::Operation(_) => match self.earlier_fault(&[], 0) {
                Some(error) => error,
                None => SplitError::broken_off(here, "the operation does not end"),
            },
            At::OverLimit(_) => SplitError::broken_off(here, "the operation does not end"),
            At::FirstOperation | At::NextOperation | At::AfterOperation => {
                SplitError::broken_off(here, "'operations' does not end")
            }
            _ => SplitError::broken_off(here, "the object does not end"),
        };
        Err(error.inside(self.in_operation()))
    }

    /// The place that the splitter has reached.
    pub(super) fn here(&self) -> Place {
        let here = self.run.here();
        let given_out = u64::from(matches!(self.at, At::OverLimit(_)));
        Place {
            operation: here.operation - given_out,
            ..here
        }
    }

    pub(super) fn in_operation(&self) -> bool {
        matches!(self.at, At::Operation(_))
    }

    pub(super) fn faults(&self) -> &Faults {
        &self.faults
    }

    fn between_operations(&self) -> bool {
        !matches!(self.at, At::Operation(_))
    }

    fn fault(&mut self, message: impl Into<String>, path: String) {
        self.faults.add(self.faults_max, message, path);
    }

    /// Walks over `bytes` from `at` on, until their end or until there is a run to give out.
    fn walk(&mut self, bytes: &[u8], at: &mut usize) -> Result<(), Stop> {
        while *at < bytes.len() {
            let inside = matches!(
                self.at,
                At::Start(_)
                    | At::Name(_)
                    | At::Skipped(_)
                    | At::NoObject(_)
                    | At::Operation(_)
                    | At::OverLimit(_)
            );
            if inside {
                self.go_on(bytes, at)?;
            } else if blank(bytes[*at]) {
                *at += 1;
            } else {
                self.token(bytes, at)?;
            }
        }
        Ok(())
    }

    /// Goes on inside something that has no white space to skip.
    fn go_on(&mut self, bytes: &[u8], at: &mut usize) -> Result<(), Stop> {
        match &mut self.at {
            At::Start(seen) => {
                if bytes[*at] == BOM[*seen] {
                    *seen += 1;
                    *at += 1;
                    if *seen == BOM.len() {
                        self.at = At::Document;
                    }
                } else if *seen == 0 {
                    self.at = At::Document;
                } else {
                    return Err(self.not_json(bytes, *at, "it begins with a part of a byte order mark"));
                }
            }
            At::Name(string) => {
                let mut scan = Scan::Text(*string);
                let end = scan.advance(&bytes[*at..]);
                let until = end.map_or(bytes.len(), |end| *at + end);
                let room = NAME_HELD.saturating_sub(self.name.len());
                self.name.extend(bytes[*at..until].iter().take(room));
                if let Scan::Text(now) = scan {
                    *string = now;
                }
                *at = until;
                if end.is_some() {
                    self.end_of_name()?;
                    self.at = At::Colon;
                }
            }
            At::Skipped(scan) | At::NoObject(scan) | At::OverLimit(scan) => {
                let end = scan.advance(&bytes[*at..]);
                *at = end.map_or(bytes.len(), |end| *at + end);
                if end.is_some() {
                    self.at = match self.at {
                        At::OverLimit(_) => At::AfterOperation,
                        At::NoObject(_) => At::End,
                        _ => At::AfterMember,
                    };
                }
            }
            At::Operation(scan) => {
                let end = scan.advance(&bytes[*at..]);
                let scan = *scan;
                *at = end.map_or(bytes.len(), |end| *at + end);
                if self.run.over_limit(*at, 0) {
                    if let Some(error) = self.earlier_fault(bytes, *at) {
                        return Err(Stop::Failed(error.inside(true)));
                    }
                    self.run.close_over_limit(bytes);
                    self.at = if end.is_some() {
                        At::AfterOperation
                    } else {
                        At::OverLimit(scan)
                    };
                    return Err(Stop::Cut);
                }
                if end.is_some() {
                    self.run.close(*at, 0);
                    self.at = At::AfterOperation;
                    if self.run.full(*at) {
                        return Err(Stop::Cut);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes one token between values.
    fn token(&mut self, bytes: &[u8], at: &mut usize) -> Result<(), Stop> {
        let byte = bytes[*at];
        let starts_value = matches!(byte, b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n');
        let next = match (&self.at, byte) {
            (At::Document, b'{') => At::FirstMember,
            (At::Document, _) if starts_value => {
                let hint = if byte == b'[' {
                    "; put the array into it"
                } else {
                    ""
                };
                self.fault(
                    format!("the request must be an object {{\"operations\": […]}}{hint}"),
                    String::new(),
                );
                self.operations_seen = true;
                self.at = At::NoObject(Scan::Start);
                return Ok(());
            }
            (At::FirstMember | At::Member, b'"') => {
                self.name_place = self.run.next_place(bytes, *at);
                self.name.clear();
                self.name.push(byte);
                At::Name(InString::Yes)
            }
            (At::FirstMember | At::AfterMember, b'}') => At::End,
            (At::AfterMember, b',') => At::Member,
            (At::Colon, b':') => At::Value,
            (At::Value, b'[') if self.operations_next => At::FirstOperation,
            (At::Value, _) if starts_value => {
                if self.operations_next {
                    self.fault("'operations' must be an array", pointer(OPERATIONS));
                }
                self.at = At::Skipped(Scan::Start);
                return Ok(());
            }
            (At::FirstOperation | At::AfterOperation, b']') => At::AfterMember,
            (At::AfterOperation, b',') => At::NextOperation,
            (At::FirstOperation | At::NextOperation, byte) if !matches!(byte, b',' | b':' | b']' | b'}') => {
                self.run.open(bytes, *at);
                self.at = At::Operation(Scan::Start);
                return Ok(());
            }
            _ => return Err(self.not_json(bytes, *at, self.expected())),
        };
        self.at = next;
        *at += 1;
        Ok(())
    }

    fn expected(&self) -> &'static str {
        match self.at {
            At::Document => "expected an object",
            At::FirstMember => "expected a member or '}'",
            At::Member => "expected a member",
            At::Colon => "expected ':'",
            At::Value => "expected a value",
            At::FirstOperation => "expected an operation or ']'",
            At::NextOperation => "expected an operation",
            At::AfterOperation => "expected ',' or ']'",
            At::AfterMember => "expected ',' or '}'",
            _ => "something follows the end of the document",
        }
    }

    /// The name of a member is known: decides what becomes of its value.
    fn end_of_name(&mut self) -> Result<(), Stop> {
        self.operations_next = false;
        let cut = self.name.len() >= NAME_HELD;
        let name = if cut {
            String::from_utf8_lossy(&self.name[1..]).into_owned() + "…"
        } else {
            serde_json::from_slice::<String>(&self.name).map_err(|_| {
                let why = "the name of a member is not a JSON string";
                Stop::Failed(SplitError::not_json(self.name_place, why))
            })?
        };
        if name != OPERATIONS {
            let message = format!("unknown member '{name}'; the request has the member 'operations' alone");
            self.fault(message, pointer(&name));
        } else if self.operations_seen {
            self.fault("the member 'operations' is there twice", pointer(OPERATIONS));
        } else {
            self.operations_next = true;
            self.operations_seen = true;
        }
        Ok(())
    }

    /// Where the open operation is not JSON before `at`, if that can be told. A bracket that is missing makes all that
    /// follows a part of the operation; the place where that began helps more than the end of the body.
    fn earlier_fault(&self, bytes: &[u8], at: usize) -> Option<SplitError> {
        let open = self.run.open_bytes(bytes, at);
        // No further than it is known however the body arrives.
        let known = open.len().min(self.run.operation_bytes_max().saturating_add(1));
        let error = serde_json::from_slice::<IgnoredAny>(&open[..known]).err()?;
        if !error.is_syntax() {
            return None;
        }
        let line_starts_at = memchr_iter(b'\n', &open)
            .take(error.line().saturating_sub(1))
            .last()
            .map_or(0, |newline| newline + 1);
        let offset = (line_starts_at + error.column().saturating_sub(1)).min(open.len());
        let end = self.run.place(bytes, at);
        let place = Place {
            byte: end.byte - (open.len() - offset) as u64,
            line: end.line - memchr_iter(b'\n', &open[offset..]).count() as u64,
            operation: end.operation,
        };
        Some(SplitError::not_json(place, "the operation goes wrong here"))
    }

    fn not_json(&self, bytes: &[u8], at: usize, why: &str) -> Stop {
        Stop::Failed(SplitError::not_json(self.run.place(bytes, at), why))
    }
}

/// The RFC 6901 pointer to a member of the request.
fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}
