//! YAML as JSON, for definitions that people write. Numbers keep their digits: a plain scalar that is a JSON number is
//! taken as it is written. Which other plain scalars are no text is what the core schema of YAML 1.2 says: `true`,
//! `false` and `null`, so that `no` and `NO` are text.

use std::collections::HashMap;

use anyhow::{bail, ensure};
use saphyr_parser::{Event, Parser, ScalarStyle};
use serde::de::IgnoredAny;

/// The longest JSON that is made: aliases can make much of little. A vocabulary with all its concepts is shorter.
const JSON_BYTES_MAX: usize = 64_000_000;
/// Nesting that is read.
const DEPTH_MAX: usize = 64;

/// The JSON that a document is of.
pub(crate) fn to_json(yaml: &str) -> anyhow::Result<String> {
    let mut reader = Reader {
        parser: Parser::new_from_str(yaml),
        out: String::new(),
        anchors: HashMap::new(),
    };
    let mut documents = 0;
    loop {
        let (event, line) = reader.next()?;
        match event {
            Event::StreamEnd => break,
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            event => {
                documents += 1;
                ensure!(
                    documents == 1,
                    "line {line}: a second document begins; give each a file of its own"
                );
                reader.value(event, line, 0)?;
            }
        }
    }
    ensure!(documents == 1, "it is empty");
    Ok(reader.out)
}

struct Reader<'y> {
    parser: Parser<'y, saphyr_parser::StrInput<'y>>,
    out: String,
    /// The JSON of what an alias may name.
    anchors: HashMap<usize, String>,
}

impl<'y> Reader<'y> {
    fn next(&mut self) -> anyhow::Result<(Event<'y>, usize)> {
        match self.parser.next() {
            Some(Ok((event, span))) => Ok((event, span.start.line())),
            Some(Err(error)) => bail!("line {}: {}", error.marker().line(), error.info()),
            None => Ok((Event::StreamEnd, 0)),
        }
    }

    /// Writes a value that begins with this event.
    fn value(&mut self, event: Event<'y>, line: usize, depth: usize) -> anyhow::Result<()> {
        ensure!(
            depth < DEPTH_MAX,
            "line {line}: it is nested deeper than {DEPTH_MAX}"
        );
        let start = self.out.len();
        let anchor = match event {
            Event::Scalar(text, style, anchor, tag) => {
                ensure!(
                    tag.is_none(),
                    "line {line}: tags are not supported; write the value without one"
                );
                match style == ScalarStyle::Plain && is_literal(&text) {
                    true if text.is_empty() || text == "~" => self.out.push_str("null"),
                    true => self.out.push_str(&text),
                    false => self.out.push_str(&serde_json::Value::from(&*text).to_string()),
                }
                anchor
            }
            Event::SequenceStart(anchor, tag) => {
                ensure!(
                    tag.is_none(),
                    "line {line}: tags are not supported; write the value without one"
                );
                self.elements(depth)?;
                anchor
            }
            Event::MappingStart(anchor, tag) => {
                ensure!(
                    tag.is_none(),
                    "line {line}: tags are not supported; write the value without one"
                );
                self.members(depth)?;
                anchor
            }
            Event::Alias(anchor) => {
                let Some(json) = self.anchors.get(&anchor) else {
                    bail!("line {line}: the alias names nothing that has ended before it");
                };
                self.out.push_str(json);
                0
            }
            _ => bail!("line {line}: a value is missing"),
        };
        ensure!(
            self.out.len() <= JSON_BYTES_MAX,
            "line {line}: it makes more than {JSON_BYTES_MAX} bytes; are there aliases of aliases?"
        );
        if anchor > 0 {
            self.anchors.insert(anchor, self.out[start..].to_owned());
        }
        Ok(())
    }

    fn elements(&mut self, depth: usize) -> anyhow::Result<()> {
        self.out.push('[');
        let mut first = true;
        loop {
            let (event, line) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                break;
            }
            if !std::mem::take(&mut first) {
                self.out.push(',');
            }
            self.value(event, line, depth + 1)?;
        }
        self.out.push(']');
        Ok(())
    }

    fn members(&mut self, depth: usize) -> anyhow::Result<()> {
        self.out.push('{');
        let mut first = true;
        loop {
            let (event, line) = self.next()?;
            let key = match event {
                Event::MappingEnd => break,
                Event::Scalar(key, ..) => key,
                _ => bail!("line {line}: a key is a text"),
            };
            ensure!(
                key != "<<",
                "line {line}: merging with << is not supported; write the members out"
            );
            if !std::mem::take(&mut first) {
                self.out.push(',');
            }
            self.out.push_str(&serde_json::Value::from(&*key).to_string());
            self.out.push(':');
            let (event, line) = self.next()?;
            self.value(event, line, depth + 1)?;
        }
        self.out.push('}');
        Ok(())
    }
}

/// True where a plain scalar is no text.
fn is_literal(text: &str) -> bool {
    match text {
        "" | "~" | "null" | "true" | "false" => true,
        _ => {
            let numeric = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
            // However large it is: its form is looked at, and not its value.
            numeric && serde_json::from_str::<IgnoredAny>(text).is_ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn wrong(yaml: &str) -> String {
        to_json(yaml).unwrap_err().to_string()
    }

    #[test]
    fn values_are_what_they_are_in_json_and_numbers_keep_their_digits() {
        let yaml = "# a profile\nproperties:\n  rating: {type: decimal, rules: [{min: 1.10, max: 5e0}]}\n  no: 'x'\n  country:\n    \
                    - NO\n    - yes\n    - 012\n    - \"1\"\n    - ~\n    -\n    - true\n  text: |\n    a\n    b\n";
        let json = concat!(
            r#"{"properties":{"rating":{"type":"decimal","rules":[{"min":1.10,"max":5e0}]},"no":"x","#,
            r#""country":["NO","yes","012","1",null,null,true],"text":"a\nb\n"}}"#
        );
        assert_eq!(to_json(yaml).unwrap(), json);
        // JSON is YAML.
        assert_eq!(to_json(json).unwrap(), json);
        assert_eq!(
            to_json("[7e0707, -1e-999, 1e, 0x1]").unwrap(),
            r#"[7e0707,-1e-999,"1e","0x1"]"#
        );
    }

    #[test]
    fn an_alias_is_what_it_names() {
        let yaml = "a: &name {type: symbol}\nb: *name\n";
        assert_eq!(
            to_json(yaml).unwrap(),
            r#"{"a":{"type":"symbol"},"b":{"type":"symbol"}}"#
        );
    }

    #[test]
    fn what_is_no_yaml_or_too_much_of_it_is_said_with_its_line() {
        assert!(wrong("a: [1").contains("line "), "{}", wrong("a: [1"));
        assert!(wrong("a: 1\n---\nb: 2").contains("second document"));
        assert!(wrong("").contains("empty"));
        assert!(wrong("a: !tag 1").contains("tags"));
        assert!(wrong("a: &x 1\n<<: *x").contains("<<"));
        assert!(wrong("? [a]\n: 1").contains("key is a text"));
        assert!(wrong(&format!("{}1{}", "[".repeat(100), "]".repeat(100))).contains("nested deeper"));
        let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let below = level - 1;
            let ten = vec![format!("*a{below}"); 10].join(", ");
            laughs.push_str(&format!("a{level}: &a{level} [{ten}]\n"));
        }
        assert!(wrong(&laughs).contains("aliases of aliases"));
    }
}
