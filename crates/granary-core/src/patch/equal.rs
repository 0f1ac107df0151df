//! When two JSON values are equal (RFC 6902, section 4.6): numbers by value, texts by their characters, objects whatever
//! the order of their members.

use crate::json::{Halt, Kind, Scanner, push_string};

/// True where the two, each one JSON value, are equal.
pub(super) fn equal(one: &[u8], other: &[u8]) -> bool {
    one == other || matches!((canonical(one), canonical(other)), (Ok(one), Ok(other)) if one == other)
}

/// The one spelling of all values that are equal. Recursion is bounded by the depth that was read before.
fn canonical(bytes: &[u8]) -> Result<Vec<u8>, Halt> {
    let (mut nothing, mut out) = (Vec::new(), Vec::new());
    let mut scan = Scanner::new(bytes, crate::check::DEPTH_MAX as usize, &mut nothing);
    write(&mut scan, &mut out)?;
    Ok(out)
}

fn write(scan: &mut Scanner<'_, '_>, out: &mut Vec<u8>) -> Result<(), Halt> {
    match scan.peek()? {
        Kind::String => text(scan, out)?,
        Kind::Number => number(scan.number()?, out),
        kind @ (Kind::True | Kind::False | Kind::Null) => {
            scan.literal(kind)?;
            out.extend_from_slice(match kind {
                Kind::True => b"true",
                Kind::False => b"false",
                _ => b"null",
            });
        }
        Kind::Array => {
            scan.open()?;
            out.push(b'[');
            let mut first = true;
            while scan.element(first)? {
                first = false;
                write(scan, out)?;
                out.push(b',');
            }
            out.push(b']');
        }
        Kind::Object => {
            scan.open()?;
            let mut members = Vec::new();
            while let Some(name) = scan.member(members.is_empty())? {
                let mut member = Vec::new();
                push_string(&mut member, &name.decode());
                write(scan, &mut member)?;
                members.push(member);
            }
            members.sort_unstable();
            out.push(b'{');
            for member in members {
                out.extend(member);
                out.push(b',');
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn text(scan: &mut Scanner<'_, '_>, out: &mut Vec<u8>) -> Result<(), Halt> {
    let text = scan.string()?;
    if text.lone_surrogate() {
        // No text is meant, so it is equal to its own spelling alone.
        out.extend(format!("\"{}\"", text.raw()).bytes());
    } else {
        push_string(out, &text.decode());
    }
    Ok(())
}

/// Digits without zeros at their ends, and the power of ten of the last. An exponent that no number needs stays as
/// it is written.
fn number(raw: &str, out: &mut Vec<u8>) {
    let (sign, rest) = match raw.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", raw),
    };
    let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0').trim_end_matches('0');
    if digits.is_empty() {
        out.push(b'0');
        return;
    }
    let zeros = all.len() - all.trim_end_matches('0').len();
    let power = exponent.parse::<i64>().ok();
    match power.and_then(|power| power.checked_add(zeros as i64 - fraction.len() as i64)) {
        Some(power) => out.extend(format!("{sign}{digits}e{power}").bytes()),
        None => out.extend_from_slice(raw.as_bytes()),
    }
}
