//! The translation of a class, `[…]`.

use super::BadPattern;
use super::translate::{Escape, Reader, escape, push_literal};

/// One member of a class.
enum Member {
    Char(char),
    Set(String),
}

/// Translates the class whose opening bracket is taken.
pub(super) fn translate(reader: &mut Reader<'_>, out: &mut String) -> Result<(), BadPattern> {
    let opened = reader.wrong("this class is not closed");
    let negated = reader.take('^');
    if reader.take(']') {
        // Nothing, or anything.
        out.push_str(if negated {
            r"[\x{0}-\x{10ffff}]"
        } else {
            r"[^\x{0}-\x{10ffff}]"
        });
        return Ok(());
    }
    out.push_str(if negated { "[^" } else { "[" });
    while let Some(member) = member(reader, &opened)? {
        let low = match member {
            Member::Char(c) => c,
            Member::Set(set) => {
                out.push_str(&set);
                continue;
            }
        };
        if reader.peek() != Some('-') {
            push_literal(out, low);
            continue;
        }
        reader.next();
        if reader.peek() == Some(']') {
            push_literal(out, low);
            push_literal(out, '-');
            continue;
        }
        match self::member(reader, &opened)? {
            Some(Member::Char(high)) if high < low => {
                return Err(reader.wrong(format!("the range {low}-{high} is in the wrong order")));
            }
            Some(Member::Char(high)) => {
                push_literal(out, low);
                out.push('-');
                push_literal(out, high);
            }
            // A set ends no range: the three are members each.
            Some(Member::Set(set)) => {
                push_literal(out, low);
                push_literal(out, '-');
                out.push_str(&set);
            }
            None => break,
        }
    }
    out.push(']');
    Ok(())
}

/// The next member of the class; `None` at its end.
fn member(reader: &mut Reader<'_>, opened: &BadPattern) -> Result<Option<Member>, BadPattern> {
    let c = match reader.next() {
        None => return Err(opened.clone()),
        Some(']') => return Ok(None),
        Some('\\') => match reader.next() {
            None => return Err(opened.clone()),
            Some('b') => '\u{8}',
            Some('-') => '-',
            Some('B') => return Err(reader.wrong("\\B is no character")),
            Some(c) => match escape(reader, c)? {
                Escape::Char(c) => c,
                Escape::Set(set, false) => return Ok(Some(Member::Set(set.to_owned()))),
                Escape::Set(set, true) => return Ok(Some(Member::Set(format!("[^{set}]")))),
                Escape::Property(written) => return Ok(Some(Member::Set(written))),
            },
        },
        Some(c) => c,
    };
    Ok(Some(Member::Char(c)))
}
