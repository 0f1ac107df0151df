//! Vocabularies and concepts.

use granary_core::error::ErrorType::FailedPrecondition;
use schemars::JsonSchema;
use serde_json::Value;

use super::described::{ConceptBulkRequest, ConceptWrite, VocabularyBulkRequest, VocabularyWrite};
use super::operation::{Operation, operation};
use super::{example, page};
use crate::bulk::BulkRejected;
use crate::page::{Page, PageQuery};
use crate::paths::{CONCEPT, CONCEPTS, CONCEPTS_BULK, VOCABULARIES, VOCABULARIES_BULK, VOCABULARY};
use crate::sources::Deleted;
use crate::terminology::{Concept, DeletedConcept, TerminologyApplied, TerminologyBulkQuery, Vocabulary};

fn vocabulary() -> Value {
    example!({
        "key": "specialities", "title": "Specialities", "conceptCount": 1, "createdAt": "2026-01-31T08:15:30.250Z",
        "updatedAt": "2026-01-31T08:15:30.250Z",
    })
}

fn concept() -> Value {
    example!({
        "code": "pharmacist", "designation": {"en": "Pharmacist"}, "createdAt": "2026-01-31T08:15:30.250Z",
        "updatedAt": "2026-01-31T08:15:30.250Z",
    })
}

fn applied(name: &str) -> Value {
    example!({
        "status": "SUCCESS", "receipts": [{"index": 0, "action": "CREATE", "id": name, "status": "SUCCESS"}],
    })
}

fn bulk<B: JsonSchema>(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    sent: Value,
    name: &str,
) -> Operation {
    operation("POST", path, id, summary)
        .says("Checked as a whole, and applied before the answer, in order; each operation has its receipt.")
        .query::<TerminologyBulkQuery>()
        .body::<B>(sent)
        .answers::<TerminologyApplied>(200, "It was applied.", applied(name))
        .failed_as::<BulkRejected>(&[400])
}

/// The calls of one concept at this path.
fn one(path: &'static str, ids: [&'static str; 3], says: &'static str) -> [Operation; 3] {
    let [read, put, delete] = ids;
    [
        operation("GET", path, read, "Read a concept")
            .says(says)
            .answers::<Concept>(200, "The concept.", concept()),
        operation("PUT", path, put, "Create or replace a concept")
            .says(says)
            .body::<ConceptWrite>(example!({"designation": {"en": "Pharmacist"}}))
            .answers::<Concept>(201, "It was created.", concept())
            .answers::<Concept>(200, "It was replaced.", concept()),
        operation("DELETE", path, delete, "Delete a concept")
            .says(says)
            .answers::<DeletedConcept>(200, "It is deleted.", example!({"code": "pharmacist"})),
    ]
    .map(|operation| operation.bare().of_something_named())
}

pub(super) fn operations() -> Vec<Operation> {
    let mut all =
        vec![
        operation("GET", VOCABULARIES, "listVocabularies", "List vocabularies")
            .says("In the order of their keys.")
            .query::<PageQuery>()
            .answers::<Page<Vocabulary>>(200, "A page of vocabularies.", page(vocabulary()))
            .list(),
        bulk::<VocabularyBulkRequest>(
            VOCABULARIES_BULK,
            "bulkVocabularies",
            "Send many operations on vocabularies",
            example!({"operations": [
                {"action": "CREATE", "create": {"key": "specialities", "title": "Specialities"}},
            ]}),
            "specialities",
        ),
        operation("GET", VOCABULARY, "readVocabulary", "Read a vocabulary")
            .beside_bulk()
            .bare()
            .of_something_named()
            .answers::<Vocabulary>(200, "The vocabulary.", vocabulary()),
        operation(
            "PUT",
            VOCABULARY,
            "putVocabulary",
            "Create a vocabulary, or change its title and description",
        )
        .beside_bulk()
        .bare()
        .body::<VocabularyWrite>(example!({"title": "Specialities"}))
        .answers::<Vocabulary>(201, "It was created.", vocabulary())
        .answers::<Vocabulary>(200, "It was replaced.", vocabulary()),
        operation(
            "DELETE",
            VOCABULARY,
            "deleteVocabulary",
            "Delete a vocabulary with its concepts",
        )
        .beside_bulk()
        .says("Refused while a property is bound to it.")
        .bare()
        .of_something_named()
        .answers::<Deleted>(200, "It is deleted.", example!({"key": "specialities"}))
        .fails(400, &[FailedPrecondition]),
        operation("GET", CONCEPTS, "listConcepts", "List the concepts of a vocabulary")
            .says("In the order of their codes.")
            .query::<PageQuery>()
            .of_something_named()
            .answers::<Page<Concept>>(200, "A page of concepts.", page(concept()))
            .list(),
        bulk::<ConceptBulkRequest>(
            CONCEPTS_BULK,
            "bulkConcepts",
            "Send many operations on the concepts of a vocabulary",
            example!({"operations": [
                {"action": "CREATE", "create": {"code": "pharmacist", "designation": {"en": "Pharmacist"}}},
            ]}),
            "pharmacist",
        )
        .of_something_named(),
    ];
    all.extend(one(CONCEPT, ["readConcept", "putConcept", "deleteConcept"], ""));
    all.extend(one(
        CONCEPTS_BULK,
        ["readConceptBulk", "putConceptBulk", "deleteConceptBulk"],
        "The concept with the code `bulk`, which is a code like another.",
    ));
    all.into_iter()
        .map(|operation| operation.tagged("Vocabularies"))
        .collect()
}
