//! The scanner itself.

use super::text::hex_unit;
use super::{Halt, Text};

/// What kind of value stands next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `{`
    Object,
    /// `[`
    Array,
    /// `"`
    String,
    /// `-` or a digit.
    Number,
    /// `true`
    True,
    /// `false`
    False,
    /// `null`
    Null,
}

impl Kind {
    /// What to call a value of this kind in a message.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Object => "an object",
            Self::Array => "an array",
            Self::String => "a string",
            Self::Number => "a number",
            Self::True | Self::False => "a boolean",
            Self::Null => "null",
        }
    }
}

/// Reads one JSON value, token by token.
///
/// The caller asks [`peek`](Self::peek) what stands next and then takes it with the method for that kind. Objects and
/// arrays are entered with [`open`](Self::open) and walked with [`member`](Self::member) or
/// [`element`](Self::element), which take the closing bracket when there is nothing more.
pub struct Scanner<'a, 'o> {
    /// As much of the input as is UTF-8.
    text: &'a str,
    at: usize,
    /// True where the input goes on after `text` with something that is not UTF-8.
    broken_utf8: bool,
    depth: usize,
    depth_max: usize,
    out: &'o mut Vec<u8>,
    /// Where the run begins that is still to be copied; `None` while not copying.
    run: Option<usize>,
}

/// The next member of an object of which one was expected.
#[derive(Clone, Copy, Debug)]
pub enum Member<'a> {
    /// The expected one.
    Expected,
    /// Another, with this name.
    Other(Text<'a>),
    /// There is no more.
    End,
}

/// A place to come back to.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    at: usize,
    depth: usize,
}

impl<'a, 'o> Scanner<'a, 'o> {
    /// A scanner of `bytes` that halts at objects and arrays nested deeper than `depth_max` (the outermost counts 1)
    /// and copies to the end of `out`.
    pub fn new(bytes: &'a [u8], depth_max: usize, out: &'o mut Vec<u8>) -> Self {
        let (text, broken_utf8) = match std::str::from_utf8(bytes) {
            Ok(text) => (text, false),
            Err(error) => {
                let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
                (std::str::from_utf8(good).unwrap_or_default(), true)
            }
        };
        Self {
            text,
            at: 0,
            broken_utf8,
            depth: 0,
            depth_max,
            out,
            run: None,
        }
    }

    /// The byte that is next.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// This place, to come back to with [`go_back`](Self::go_back).
    pub fn place(&self) -> Place {
        Place {
            at: self.at,
            depth: self.depth,
        }
    }

    /// Goes back to `place`. Nothing may be being copied.
    pub fn go_back(&mut self, place: Place) {
        debug_assert!(self.run.is_none());
        self.at = place.at;
        self.depth = place.depth;
    }

    // --- copying ---

    /// Starts to copy, from the next token on.
    pub fn start_copy(&mut self) {
        self.space();
        self.run = Some(self.at);
    }

    /// Stops copying; what was passed is in the output.
    pub fn stop_copy(&mut self) {
        self.flush();
        self.run = None;
    }

    /// True while copying.
    pub fn copying(&self) -> bool {
        self.run.is_some()
    }

    /// Puts what was passed into the output, and gives the output to write something of one's own.
    pub fn flush(&mut self) -> &mut Vec<u8> {
        if let Some(from) = self.run {
            self.out.extend_from_slice(&self.text.as_bytes()[from..self.at]);
            self.run = Some(self.at);
        }
        self.out
    }

    /// The output so far. What was passed since the last flush may be missing.
    pub fn out(&mut self) -> &mut Vec<u8> {
        self.out
    }

    // --- tokens ---

    #[inline(always)]
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Passes white space.
    #[inline(always)]
    fn space(&mut self) {
        if self.byte().is_some_and(|b| b <= b' ') {
            self.space_now();
        }
    }

    #[inline(never)]
    fn space_now(&mut self) {
        let end = self.text.as_bytes()[self.at..]
            .iter()
            .position(|b| !matches!(b, b' ' | b'\t' | b'\n' | b'\r'))
            .map_or(self.text.len(), |n| self.at + n);
        if end > self.at {
            self.flush();
            self.at = end;
            if self.run.is_some() {
                self.run = Some(end);
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn wrong(&self, offset: usize, message: &'static str) -> Halt {
        if offset >= self.text.len() {
            let message = if self.broken_utf8 {
                "this is not UTF-8"
            } else {
                "the value ends too early"
            };
            let offset = self.text.len();
            return Halt::Syntax { offset, message };
        }
        Halt::Syntax { offset, message }
    }

    /// What stands next. Takes white space and nothing else.
    #[inline(always)]
    pub fn peek(&mut self) -> Result<Kind, Halt> {
        self.space();
        match self.byte() {
            Some(b'"') => Ok(Kind::String),
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't') => Ok(Kind::True),
            Some(b'f') => Ok(Kind::False),
            Some(b'n') => Ok(Kind::Null),
            _ => Err(self.wrong(self.at, "a value is expected here")),
        }
    }

    /// Enters the object or array that [`peek`](Self::peek) found.
    #[inline]
    pub fn open(&mut self) -> Result<(), Halt> {
        if self.depth == self.depth_max {
            return Err(Halt::TooDeep);
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// The name of the next member of the object that was entered, standing at its value then; or takes the closing
    /// bracket. `first` is true where no member was taken yet.
    #[inline(always)]
    pub fn member(&mut self, first: bool) -> Result<Option<Text<'a>>, Halt> {
        if !self.member_begins(first)? {
            return Ok(None);
        }
        let name = self.string()?;
        self.colon()?;
        Ok(Some(name))
    }

    /// The same for an object whose next member is probably `expected`, which is what it looks like without white space,
    /// `,"name":`, where the name has nothing to escape; or nothing. Then it is not read but compared.
    #[inline(always)]
    pub fn member_or(&mut self, first: bool, expected: &str) -> Result<Member<'a>, Halt> {
        let compact = expected.as_bytes().get(usize::from(first)..).unwrap_or_default();
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if !compact.is_empty() && rest.starts_with(compact) {
            self.at += compact.len();
            return Ok(Member::Expected);
        }
        if rest.first() == Some(&b'}') {
            self.at += 1;
            self.depth -= 1;
            return Ok(Member::End);
        }
        self.member_spaced(first, expected)
    }

    /// The next member where it is not the expected one, or has white space in it.
    #[inline(never)]
    fn member_spaced(&mut self, first: bool, expected: &str) -> Result<Member<'a>, Halt> {
        let Some(name) = self.member(first)? else {
            return Ok(Member::End);
        };
        let wanted = expected.get(2..expected.len().saturating_sub(2));
        Ok(match wanted {
            Some(wanted) if !name.escaped && name.raw == wanted => Member::Expected,
            _ => Member::Other(name),
        })
    }

    /// Goes to the quote at which the next member begins; false where it took the closing bracket instead.
    #[inline]
    fn member_begins(&mut self, first: bool) -> Result<bool, Halt> {
        self.space();
        match self.byte() {
            Some(b',') if !first => {
                self.at += 1;
                self.space();
                if self.byte() != Some(b'"') {
                    return Err(self.wrong(self.at, "a member name is expected here"));
                }
                Ok(true)
            }
            Some(b'}') => {
                self.at += 1;
                self.depth -= 1;
                Ok(false)
            }
            Some(b'"') if first => Ok(true),
            _ if first => Err(self.wrong(self.at, "a member name or '}' is expected here")),
            _ => Err(self.wrong(self.at, "',' or '}' is expected here")),
        }
    }

    #[inline(always)]
    fn colon(&mut self) -> Result<(), Halt> {
        self.space();
        if self.byte() != Some(b':') {
            return Err(self.wrong(self.at, "':' is expected here"));
        }
        self.at += 1;
        self.space();
        Ok(())
    }

    /// True where the array that was entered has another element, which is next; otherwise takes the closing bracket.
    #[inline]
    pub fn element(&mut self, first: bool) -> Result<bool, Halt> {
        self.space();
        match self.byte() {
            Some(b']') => {
                self.at += 1;
                self.depth -= 1;
                Ok(false)
            }
            Some(b',') if !first => {
                self.at += 1;
                self.space();
                Ok(true)
            }
            _ if first => Ok(true),
            _ => Err(self.wrong(self.at, "',' or ']' is expected here")),
        }
    }

    /// Takes the string that is next.
    #[inline(always)]
    pub fn string(&mut self) -> Result<Text<'a>, Halt> {
        let start = self.at + 1;
        let end = find_special(self.text.as_bytes(), start);
        if self.text.as_bytes().get(end) == Some(&b'"') {
            self.at = end + 1;
            return Ok(Text {
                raw: &self.text[start..end],
                escaped: false,
                lone: false,
            });
        }
        self.string_with_escapes(start, end)
    }

    #[inline(never)]
    fn string_with_escapes(&mut self, start: usize, mut at: usize) -> Result<Text<'a>, Halt> {
        let bytes = self.text.as_bytes();
        let mut lone = false;
        loop {
            match bytes.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {}
                Some(_) => return Err(self.wrong(at, "a control character in a string must be escaped")),
                None => return Err(self.wrong(at, "the string is not closed")),
            }
            match bytes.get(at + 1) {
                Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => at += 2,
                Some(b'u') => {
                    let unit = self.unit(at)?;
                    at += 6;
                    match unit {
                        0xd800..0xdc00 if bytes[at..].starts_with(b"\\u") => {
                            if matches!(self.unit(at)?, 0xdc00..0xe000) {
                                at += 6;
                            } else {
                                lone = true;
                            }
                        }
                        0xd800..0xe000 => lone = true,
                        _ => {}
                    }
                }
                Some(_) => return Err(self.wrong(at, "this escape is not known")),
                None => return Err(self.wrong(at + 1, "the string is not closed")),
            }
            at = find_special(bytes, at);
        }
        self.at = at + 1;
        Ok(Text {
            raw: &self.text[start..at],
            escaped: true,
            lone,
        })
    }

    /// The unit that the `\u` escape at `at` names.
    fn unit(&self, at: usize) -> Result<u16, Halt> {
        let digits = self.text.as_bytes().get(at + 2..).unwrap_or_default();
        hex_unit(digits).ok_or_else(|| {
            let good = digits
                .iter()
                .take(4)
                .take_while(|b| b.is_ascii_hexdigit())
                .count();
            self.wrong(at + 2 + good, "four hexadecimal digits are expected here")
        })
    }

    /// Takes the number that is next, as it is written.
    #[inline]
    pub fn number(&mut self) -> Result<&'a str, Halt> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut at = start + usize::from(bytes.get(start) == Some(&b'-'));
        at = match bytes.get(at) {
            Some(b'0') => at + 1,
            Some(b'1'..=b'9') => digits_end(bytes, at),
            _ => return Err(self.wrong(at, "a digit is expected here")),
        };
        match bytes.get(at) {
            Some(b'.' | b'e' | b'E') => at = self.fraction_and_exponent(at)?,
            Some(b'0'..=b'9') => return Err(self.wrong(at, "a number has no leading zeros")),
            _ => {}
        }
        self.at = at;
        Ok(&self.text[start..at])
    }

    fn fraction_and_exponent(&self, mut at: usize) -> Result<usize, Halt> {
        let bytes = self.text.as_bytes();
        if bytes.get(at) == Some(&b'.') {
            at = self.some_digits(at + 1)?;
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            at = self.some_digits(at + 1 + sign)?;
        }
        Ok(at)
    }

    fn some_digits(&self, at: usize) -> Result<usize, Halt> {
        match digits_end(self.text.as_bytes(), at) {
            end if end > at => Ok(end),
            _ => Err(self.wrong(at, "a digit is expected here")),
        }
    }

    /// Takes the `true`, `false` or `null` that [`peek`](Self::peek) found the start of.
    #[inline]
    pub fn literal(&mut self, kind: Kind) -> Result<(), Halt> {
        let word: &[u8] = match kind {
            Kind::True => b"true",
            Kind::False => b"false",
            _ => b"null",
        };
        let rest = &self.text.as_bytes()[self.at..];
        if rest.starts_with(word) {
            self.at += word.len();
            return Ok(());
        }
        let good = rest.iter().zip(word).take_while(|(a, b)| a == b).count();
        Err(self.wrong(
            self.at + good,
            "only true, false and null are written without quotes",
        ))
    }

    /// Takes the value that is next, whatever it is.
    pub fn skip(&mut self) -> Result<(), Halt> {
        let mut open = Nest::default();
        let mut first = false;
        // Each turn takes one value, or enters it; then leaves what ends there.
        loop {
            match self.peek()? {
                Kind::String => {
                    self.string()?;
                }
                Kind::Number => {
                    self.number()?;
                }
                kind @ (Kind::True | Kind::False | Kind::Null) => self.literal(kind)?,
                kind @ (Kind::Object | Kind::Array) => {
                    self.open()?;
                    open.push(kind == Kind::Object);
                    first = true;
                }
            }
            loop {
                let more = match open.top() {
                    None => return Ok(()),
                    Some(true) => self.member(first)?.is_some(),
                    Some(false) => self.element(first)?,
                };
                first = false;
                if more {
                    break;
                }
                open.pop();
            }
        }
    }

    /// Checks that nothing but white space follows.
    pub fn finish(&mut self) -> Result<(), Halt> {
        self.space();
        if self.at < self.text.len() || self.broken_utf8 {
            return Err(self.wrong(self.at, "nothing is expected after the value"));
        }
        Ok(())
    }

    /// Checks that the whole input is one JSON value, however deep, from its start.
    pub fn check_syntax(&mut self) -> Result<(), Halt> {
        self.run = None;
        self.at = 0;
        self.depth = 0;
        self.depth_max = usize::MAX;
        self.skip()?;
        self.finish()
    }
}

/// Which of the open brackets are objects, innermost last.
#[derive(Default)]
struct Nest {
    bits: u64,
    spilled: Vec<u64>,
    len: usize,
}

impl Nest {
    #[inline]
    fn push(&mut self, object: bool) {
        if self.len > 0 && self.len.is_multiple_of(64) {
            self.spilled.push(self.bits);
        }
        self.bits = self.bits << 1 | u64::from(object);
        self.len += 1;
    }

    #[inline]
    fn top(&self) -> Option<bool> {
        (self.len > 0).then_some(self.bits & 1 == 1)
    }

    #[inline]
    fn pop(&mut self) {
        self.len -= 1;
        self.bits >>= 1;
        if self.len > 0 && self.len.is_multiple_of(64) {
            self.bits = self.spilled.pop().unwrap_or_default();
        }
    }
}

#[inline]
fn digits_end(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|b| b.is_ascii_digit()).count()
}

/// The first quote, backslash or control character at or after `at`, or the end.
#[inline(always)]
fn find_special(bytes: &[u8], at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = ONES << 7;
    // In each, the lowest bit that is set is right; only bits above it may be wrong.
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let (words, rest) = bytes.get(at..).unwrap_or_default().as_chunks::<8>();
    let mut at = at;
    for word in words {
        let word = u64::from_le_bytes(*word);
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let found = control | zero(word ^ (ONES * b'"' as u64)) | zero(word ^ (ONES * b'\\' as u64));
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let special = |b: &u8| matches!(b, b'"' | b'\\' | 0..0x20);
    rest.iter().position(special).map_or(bytes.len(), |n| at + n)
}
