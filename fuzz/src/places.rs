//! Where an error points.

use granary_core::error::ErrorObject;

use crate::tree::Tree;

/// Panics where a fault of `error` does not point to a value of `document`, or for what is missing, to a place in one.
pub(crate) fn resolve(error: &ErrorObject, document: &Tree) {
    for detail in &error.details {
        let pointer = detail
            .path
            .as_deref()
            .expect("a fault of a document says where it is");
        let found = document
            .at(pointer)
            .unwrap_or_else(|| panic!("'{pointer}' is no pointer"));
        if found.is_empty() {
            let (parent, _) = pointer.rsplit_once('/').unwrap_or_default();
            let parents = document.at(parent).unwrap_or_default();
            let holds = |tree: &&Tree| matches!(tree, Tree::Object(_) | Tree::Null);
            assert!(
                matches!(detail.rule.as_deref(), Some("required" | "cardinality"))
                    && (parents.iter().any(holds) || parents.is_empty()),
                "'{pointer}' leads nowhere in {document:?}: {error:?}"
            );
        }
    }
}

/// Pointer and rule of a fault.
pub(crate) type Place<'e> = (Option<&'e str>, Option<&'e str>);

/// Those of each fault, sorted.
pub(crate) fn sorted(error: &ErrorObject) -> Vec<Place<'_>> {
    let mut places: Vec<_> = error
        .details
        .iter()
        .map(|fault| (fault.path.as_deref(), fault.rule.as_deref()))
        .collect();
    places.sort_unstable();
    places
}
