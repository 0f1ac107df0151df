//! Vocabularies and concepts, one by one and as operations of a bulk request: taken where they are JSON, and refused with
//! pointers that lead somewhere.

use granary_core::check::Rejection;
use granary_core::error::ErrorObject;
use granary_core::terminology::{read_concept, read_concept_change, read_vocabulary, read_vocabulary_change};

use crate::places;
use crate::source::LIMITS;
use crate::tree::{Tree, is_json, names_a_surrogate};

fn judged<T>(input: &[u8], read: Result<T, Rejection>) {
    let text = input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input);
    let tree = Tree::read(text);
    match read {
        Ok(_) => {
            let tree = tree.expect("what is taken is JSON without halves of surrogate pairs");
            assert!(!tree.has_twins());
        }
        Err(Rejection::Syntax { offset, .. }) => assert!(offset <= input.len() && !is_json(text)),
        Err(Rejection::Invalid(error)) => {
            assert!(
                is_json(text) || names_a_surrogate(text) || error.details.is_empty(),
                "{error:?}"
            );
            if let Some(tree) = &tree {
                places::resolve(&error, tree);
            }
        }
    }
}

pub fn run(input: &[u8]) {
    let invalid = |error: ErrorObject| Rejection::Invalid(error);
    judged(input, read_vocabulary(input, &LIMITS).map_err(invalid));
    judged(input, read_concept(input, &LIMITS).map_err(invalid));
    judged(input, read_vocabulary_change(input, &LIMITS));
    judged(input, read_concept_change(input, &LIMITS));
}
