//! Definitions that people write as YAML: whatever a text is, it is refused with a reason or becomes JSON; and what is JSON
//! already says the same when it is read as YAML.

use crate::tree::Tree;
use crate::yaml_reader::to_json;

/// The most brackets of a text that both must read: they are nested no deeper.
const OPEN_BRACKETS_MAX: usize = 60;

/// True where YAML reads a JSON text otherwise: tabs are no space there before some tokens, `\/` and halves of surrogate pairs are
/// no escapes, and `<<` is a key that is refused.
fn reads_otherwise(json: &str) -> bool {
    json.contains(['\t', '\\']) || json.contains("<<")
}

pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let read = to_json(text);
    match &read {
        // Aliases of aliases may be nested deeper than what is written.
        Ok(json) if json.matches(['[', '{']).count() <= OPEN_BRACKETS_MAX => {
            assert!(Tree::read(json.as_bytes()).is_some(), "{json} is JSON");
        }
        Ok(_) => {}
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if reads_otherwise(text) || text.matches(['[', '{']).count() > OPEN_BRACKETS_MAX {
        return;
    }
    if let Some(tree) = Tree::read(input) {
        let json = read.expect("JSON is YAML");
        assert_eq!(Tree::read(json.as_bytes()), Some(tree));
    }
}
