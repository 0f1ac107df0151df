//! Definitions: any JSON is accepted or told every fault with a pointer that leads somewhere; what is accepted compiles, is
//! accepted again as it is stored, and by that compiles to what checks alike.

use granary_core::schema::{DefinitionKind, Schema};

use crate::places;
use crate::source::{DEFINITIONS, accepted, stored};
use crate::tree::{Tree, is_json, names_a_surrogate};

fn defined(kind: DefinitionKind, input: &[u8]) {
    let text = input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input);
    let tree = Tree::read(text);
    let accepted_json = match accepted(kind, input, &DEFINITIONS) {
        Err(error) => {
            // No member of it says where where it is not JSON, or nested too deep.
            if !error.details.is_empty() {
                assert!(is_json(text) || names_a_surrogate(text), "{error:?}");
                if let Some(tree) = &tree {
                    places::resolve(&error, tree);
                }
            }
            return;
        }
        Ok(accepted) => accepted.json().to_owned(),
    };
    let tree = tree.expect("what is accepted is JSON without halves of surrogate pairs");
    assert!(!tree.has_twins());
    assert_eq!(
        Tree::read(accepted_json.as_bytes()),
        Some(tree),
        "it is stored as it was sent"
    );
    let again = accepted(kind, accepted_json.as_bytes(), &DEFINITIONS);
    let again = again.unwrap_or_else(|error| panic!("what is stored is accepted again: {error:?}"));
    assert_eq!(again.json(), accepted_json);
    let own = stored(kind, "thing", 99, &accepted_json);
    assert_eq!(own.vocabularies(), *again.vocabularies());
    assert!(
        again.refused_while_records_exist(&own).is_none(),
        "it may replace itself"
    );
    let mut all = DEFINITIONS.clone();
    all.push(own);
    Schema::compile(&all).unwrap_or_else(|error| panic!("what was accepted compiles: {error:?}"));
}

pub fn run(input: &[u8]) {
    defined(DefinitionKind::Profile, input);
    defined(DefinitionKind::RelationshipDefinition, input);
}
