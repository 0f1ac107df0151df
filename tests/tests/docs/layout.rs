//! JSON as it stands in a page: members in their order, what fits on one line, the rest broken up.

use anyhow::Result;
use granary_api::definitions::Members;
use serde_json::value::RawValue;

/// Columns that a line of a block may have.
const WIDTH: usize = 100;

/// The same JSON, laid out to be read.
pub(crate) fn pretty(json: &str) -> Result<String> {
    let mut out = String::new();
    write(&mut out, json.trim(), 0, 0)?;
    Ok(out)
}

/// Appends one value that begins at column `at`, on a line that is indented by `indent`.
fn write(out: &mut String, json: &str, indent: usize, at: usize) -> Result<()> {
    let line = one_line(json);
    if at + line.chars().count() < WIDTH || !json.starts_with(['{', '[']) {
        out.push_str(&line);
        return Ok(());
    }
    let inner = indent + 2;
    let (open, close) = if json.starts_with('{') {
        ('{', '}')
    } else {
        ('[', ']')
    };
    let members: Vec<(String, Box<RawValue>)> = if open == '{' {
        let Members(members) = serde_json::from_str(json)?;
        let named = members.into_iter().map(|(name, value)| {
            let name = serde_json::to_string(&name)?;
            Ok((format!("{name}: "), value))
        });
        named.collect::<Result<_>>()?
    } else {
        let elements: Vec<Box<RawValue>> = serde_json::from_str(json)?;
        elements.into_iter().map(|value| (String::new(), value)).collect()
    };
    out.push(open);
    for (n, (name, value)) in members.iter().enumerate() {
        out.push_str(if n == 0 { "\n" } else { ",\n" });
        out.extend(std::iter::repeat_n(' ', inner));
        out.push_str(name);
        write(out, value.get(), inner, inner + name.chars().count())?;
    }
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', indent));
    out.push(close);
    Ok(())
}

/// The same JSON with a blank after each colon and comma, and nowhere else.
pub(crate) fn one_line(json: &str) -> String {
    spaced(json, |c| if matches!(c, ':' | ',') { " " } else { "" })
}

/// The same JSON without white space between its tokens.
pub(crate) fn compact(json: &str) -> String {
    spaced(json, |_| "")
}

fn spaced(json: &str, after: impl Fn(char) -> &'static str) -> String {
    let (mut out, mut in_string, mut escaped) = (String::new(), false, false);
    for c in json.chars() {
        if in_string {
            out.push(c);
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if !c.is_ascii_whitespace() {
            out.push(c);
            out.push_str(after(c));
            in_string = c == '"';
        }
    }
    out
}

#[test]
fn what_fits_stays_on_a_line_and_texts_are_left_alone() {
    assert_eq!(
        pretty(r#" {"b":[1.10,{}],"a":"x:\" y, z"} "#).unwrap(),
        r#"{"b": [1.10, {}], "a": "x:\" y, z"}"#
    );
    let long = "x".repeat(80);
    let json = format!(r#"{{"name":"{long}","list":[1,2]}}"#);
    assert_eq!(
        pretty(&json).unwrap(),
        format!("{{\n  \"name\": \"{long}\",\n  \"list\": [1, 2]\n}}")
    );
    assert_eq!(compact(&pretty(&json).unwrap()), json);
}
