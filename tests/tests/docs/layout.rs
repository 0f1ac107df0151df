//! JSON as it stands in a page: members in their order, what fits on one line, the rest broken up.

use anyhow::Result;
use granary_api::definitions::Members;
use serde_json::value::RawValue;

/// Columns that a line of a block may have.
const WIDTH: usize = 120;

/// The same JSON, laid out to be read.
pub(crate) fn pretty(json: &str) -> Result<String> {
    let mut page = Page::default();
    page.write(json.trim(), 0)?;
    Ok(page.out)
}

#[derive(Default)]
struct Page {
    out: String,
    /// Characters on the line that is being written.
    column: usize,
}

impl Page {
    fn push(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    fn new_line(&mut self, indent: usize) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n(' ', indent));
        self.column = indent;
    }

    /// True where so much fits on the line, and a comma behind it.
    fn fits(&self, text: &str) -> bool {
        self.column + text.chars().count() < WIDTH
    }

    /// Appends one value. Members that do not fit on one line share lines as far as they go; what holds others begins a
    /// line of its own.
    fn write(&mut self, json: &str, indent: usize) -> Result<()> {
        let line = one_line(json);
        if self.fits(&line) || !json.starts_with(['{', '[']) {
            self.push(&line);
            return Ok(());
        }
        let (open, close) = if json.starts_with('{') {
            ("{", "}")
        } else {
            ("[", "]")
        };
        self.push(open);
        let mut shares = false;
        for (at, (name, value)) in members(json)?.iter().enumerate() {
            let member = format!("{name}{}", one_line(value.get()));
            let scalar = !value.get().starts_with(['{', '[']);
            if at > 0 {
                self.push(",");
            }
            if shares && scalar && self.fits(&format!(" {member}")) {
                self.push(" ");
            } else {
                self.new_line(indent + 2);
            }
            self.push(name);
            self.write(value.get(), indent + 2)?;
            shares = scalar;
        }
        self.new_line(indent);
        self.push(close);
        Ok(())
    }
}

/// The members of an object, each with its name as it is written, or the elements of an array, with none.
fn members(json: &str) -> Result<Vec<(String, Box<RawValue>)>> {
    if json.starts_with('[') {
        let elements: Vec<Box<RawValue>> = serde_json::from_str(json)?;
        return Ok(elements.into_iter().map(|value| (String::new(), value)).collect());
    }
    let Members(members) = serde_json::from_str(json)?;
    let named = members.into_iter().map(|(name, value)| {
        let name = serde_json::to_string(&name)?;
        Ok((format!("{name}: "), value))
    });
    named.collect()
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
    let long = "x".repeat(95);
    let json = format!(r#"{{"a":1,"name":"{long}","b":2,"list":[1,2],"c":3}}"#);
    assert_eq!(
        pretty(&json).unwrap(),
        format!("{{\n  \"a\": 1, \"name\": \"{long}\",\n  \"b\": 2,\n  \"list\": [1, 2],\n  \"c\": 3\n}}")
    );
    assert_eq!(compact(&pretty(&json).unwrap()), json);
}
