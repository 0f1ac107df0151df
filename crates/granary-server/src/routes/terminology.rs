//! `/terminology/v1/vocabularies`: vocabularies and their concepts.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use granary_api::JSON;
use granary_api::bulk;
use granary_api::page::{Page, PageQuery};
use granary_api::paths::VOCABULARIES;
use granary_api::sources::Deleted;
use granary_api::terminology::{
    AppliedStatus, Concept, DeletedConcept, TerminologyApplied, TerminologyBulkQuery, TerminologyReceipt,
    Vocabulary,
};
use granary_core::error::ErrorObject;
use granary_core::keys::{ConceptCode, Key};
use granary_core::receipt::ReceiptStatus;
use granary_core::terminology::{self as domain, Kept, Outcome};
use granary_engine::{BodyError, ReceiptsShown, TerminologyBulk, error_object};
use granary_store::{StoredConcept, Weighed, may_go_on};

use crate::reply::{Reply, json};
use crate::request::{
    Asked, NoQuery, Path, body_pieces, body_type, existing, json_body, page_limit, shortened,
};
use crate::routes::bulk::rejected;
use crate::routes::definitions::status_of;
use crate::{App, cursor};

type Shared = State<Arc<App>>;
type OfConcept = Path<(String, String)>;

fn shown(key: Key, concept_count: u64, kept: Kept<domain::Vocabulary>) -> Vocabulary {
    Vocabulary {
        key,
        title: kept.content.title.into(),
        description: kept.content.description.map(String::from),
        concept_count,
        created_at: kept.created_at,
        updated_at: kept.updated_at,
    }
}

fn shown_concept(code: ConceptCode, kept: Kept<domain::Concept>) -> Concept {
    let terms = kept.content.designation.into_iter();
    Concept {
        code,
        definition: kept.content.definition.map(String::from),
        designation: terms
            .map(|(language, term)| (language.as_str().to_owned(), term.into()))
            .collect(),
        created_at: kept.created_at,
        updated_at: kept.updated_at,
    }
}

fn no_concept(code: &str) -> ErrorObject {
    ErrorObject::not_found(format!("concept '{}' does not exist", shortened(code)))
}

/// The code of a concept that may exist: a name that is no code names nothing.
fn existing_code(raw: &str) -> Result<ConceptCode, ErrorObject> {
    ConceptCode::parse(raw).map_err(|_| no_concept(raw))
}

pub(super) async fn put_vocabulary(
    State(app): Shared,
    Path(key): Path<String>,
    _: NoQuery,
    request: Request,
) -> Reply {
    let key = Key::parse(&key).map_err(ErrorObject::from)?;
    let place = app.engine.admit()?;
    let body = json_body(request, "singleBodyBytes", app.engine.limits().single_body_bytes).await?;
    let (kept, stored) = app.engine.put_vocabulary(place, &key, body).await?;
    let heads = app.engine.store().terminology().vocabulary_heads().await;
    let heads = heads.map_err(error_object)?;
    let concepts = heads.get(&key).map_or(0, |head| head.concepts);
    Ok(json(status_of(stored), &shown(key, concepts, kept)))
}

pub(super) async fn show_vocabulary(State(app): Shared, Path(key): Path<String>, _: NoQuery) -> Reply {
    let key = existing("vocabulary", &key)?;
    let found = app.engine.store().terminology().vocabulary(&key).await;
    let found = found
        .map_err(error_object)?
        .ok_or_else(|| ErrorObject::not_found(format!("vocabulary '{key}' does not exist")))?;
    Ok(json(StatusCode::OK, &shown(key, found.head.concepts, found.kept)))
}

pub(super) async fn list_vocabularies(State(app): Shared, Asked(query): Asked<PageQuery>) -> Reply {
    let limit = page_limit(query.limit, app.engine.limits())?;
    let after = query.cursor.as_deref().map(|raw| {
        let place = cursor::decode("vocabularies", raw)?;
        Key::parse(&place).map_err(|_| cursor::not_of_this_list())
    });
    let terminology = app.engine.store().terminology();
    let found = terminology
        .vocabularies(after.transpose()?.as_ref(), limit + 1)
        .await;
    let (page, next) = cut(found.map_err(error_object)?, limit, |last| {
        cursor::encode("vocabularies", last.key.as_str())
    });
    let data = page.into_iter().map(|v| shown(v.key, v.head.concepts, v.kept));
    super::page(VOCABULARIES, &limited(&query), Page::new(data.collect(), next))
}

pub(super) async fn delete_vocabulary(State(app): Shared, Path(key): Path<String>, _: NoQuery) -> Reply {
    let key = existing("vocabulary", &key)?;
    app.engine.delete_vocabulary(&key).await?;
    Ok(json(StatusCode::OK, &Deleted { key }))
}

pub(super) async fn change_vocabularies(
    State(app): Shared,
    query: Asked<TerminologyBulkQuery>,
    request: Request,
) -> Reply {
    let (shown, body) = bulk_body(&app, query, request)?;
    answer(app.engine.change_vocabularies(shown, body).await?)
}

pub(super) async fn put_concept(
    State(app): Shared,
    Path((vocabulary, code)): OfConcept,
    _: NoQuery,
    request: Request,
) -> Reply {
    let vocabulary = existing("vocabulary", &vocabulary)?;
    let code = ConceptCode::parse(&code).map_err(ErrorObject::from)?;
    let place = app.engine.admit()?;
    let body = json_body(request, "singleBodyBytes", app.engine.limits().single_body_bytes).await?;
    let (kept, stored) = app.engine.put_concept(place, &vocabulary, &code, body).await?;
    Ok(json(status_of(stored), &shown_concept(code, kept)))
}

pub(super) async fn show_concept(
    State(app): Shared,
    Path((vocabulary, code)): OfConcept,
    _: NoQuery,
) -> Reply {
    let vocabulary = existing("vocabulary", &vocabulary)?;
    let terminology = app.engine.store().terminology();
    let code = match ConceptCode::parse(&code) {
        Ok(code) => terminology.concept(&vocabulary, &code).await,
        // Whether the vocabulary is there is told first.
        Err(_) => terminology.concepts(&vocabulary, None, 0).await.and(Ok(None)),
    }
    .map_err(error_object)?
    .ok_or_else(|| no_concept(&code))?;
    let StoredConcept { code, kept } = code;
    Ok(json(StatusCode::OK, &shown_concept(code, kept)))
}

pub(super) async fn list_concepts(
    State(app): Shared,
    Path(vocabulary): Path<String>,
    Asked(query): Asked<PageQuery>,
) -> Reply {
    let limit = page_limit(query.limit, app.engine.limits())?;
    let vocabulary = existing("vocabulary", &vocabulary)?;
    let of = format!("concepts/{vocabulary}");
    let after = query.cursor.as_deref().map(|raw| {
        let place = cursor::decode(&of, raw)?;
        ConceptCode::parse(&place).map_err(|_| cursor::not_of_this_list())
    });
    let terminology = app.engine.store().terminology();
    let found = terminology
        .concepts(&vocabulary, after.transpose()?.as_ref(), limit + 1)
        .await;
    let (page, next) = cut(found.map_err(error_object)?, limit, |last| {
        cursor::encode(&of, last.code.as_str())
    });
    let data = page.into_iter().map(|c| shown_concept(c.code, c.kept));
    let path = format!("{VOCABULARIES}/{vocabulary}/concepts");
    super::page(&path, &limited(&query), Page::new(data.collect(), next))
}

pub(super) async fn delete_concept(
    State(app): Shared,
    Path((vocabulary, code)): OfConcept,
    _: NoQuery,
) -> Reply {
    let vocabulary = existing("vocabulary", &vocabulary)?;
    let code = existing_code(&code)?;
    app.engine.delete_concept(&vocabulary, &code).await?;
    Ok(json(StatusCode::OK, &DeletedConcept { code }))
}

pub(super) async fn change_concepts(
    State(app): Shared,
    Path(vocabulary): Path<String>,
    query: Asked<TerminologyBulkQuery>,
    request: Request,
) -> Reply {
    let vocabulary = existing("vocabulary", &vocabulary)?;
    let (shown, body) = bulk_body(&app, query, request)?;
    answer(app.engine.change_concepts(&vocabulary, shown, body).await?)
}

// A concept may have the code `bulk`: in a path it means the bulk request for POST alone.

fn of_bulk(vocabulary: String) -> OfConcept {
    Path((vocabulary, "bulk".to_owned()))
}

pub(super) async fn put_concept_bulk(
    app: Shared,
    Path(vocabulary): Path<String>,
    query: NoQuery,
    request: Request,
) -> Reply {
    put_concept(app, of_bulk(vocabulary), query, request).await
}

pub(super) async fn show_concept_bulk(app: Shared, Path(vocabulary): Path<String>, query: NoQuery) -> Reply {
    show_concept(app, of_bulk(vocabulary), query).await
}

pub(super) async fn delete_concept_bulk(
    app: Shared,
    Path(vocabulary): Path<String>,
    query: NoQuery,
) -> Reply {
    delete_concept(app, of_bulk(vocabulary), query).await
}

/// A page of at most `limit` of what was found, of which one more was asked for, and the cursor behind it.
fn cut<T: Weighed>(
    mut found: Vec<T>,
    limit: usize,
    cursor: impl Fn(&T) -> String,
) -> (Vec<T>, Option<String>) {
    let more = may_go_on(&found, limit + 1);
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(cursor);
    (found, next)
}

fn limited(query: &PageQuery) -> [(&'static str, Option<String>); 1] {
    [("limit", query.limit.map(|limit| limit.to_string()))]
}

fn bulk_body(
    app: &App,
    Asked(query): Asked<TerminologyBulkQuery>,
    request: Request,
) -> Result<
    (
        ReceiptsShown,
        impl futures::Stream<Item = Result<bytes::Bytes, BodyError>> + Send + use<>,
    ),
    ErrorObject,
> {
    body_type(request.headers(), &[JSON])?;
    let bytes_max = app.engine.limits().single_body_bytes;
    let shown = match query.receipts.unwrap_or_default() {
        bulk::ReceiptsShown::All => ReceiptsShown::All,
        bulk::ReceiptsShown::Failures => ReceiptsShown::Failures,
    };
    Ok((shown, body_pieces(request, "singleBodyBytes", bytes_max)?))
}

fn answer(bulk: TerminologyBulk) -> Reply {
    let receipts = match bulk {
        TerminologyBulk::Rejected(rejection) => return Ok(rejected(*rejection)),
        TerminologyBulk::Applied(receipts) => receipts,
    };
    let receipt = |(index, receipt): (usize, granary_engine::TerminologyReceipt)| {
        let (status, unchanged, error) = match receipt.outcome {
            Outcome::Failed(error) => (ReceiptStatus::Failure, false, Some(*error)),
            Outcome::Replaced { unchanged, .. } => (ReceiptStatus::Success, unchanged, None),
            Outcome::Created | Outcome::Deleted => (ReceiptStatus::Success, false, None),
        };
        TerminologyReceipt {
            index: index as u64,
            action: receipt.action,
            id: receipt.name,
            status,
            unchanged,
            error,
        }
    };
    let applied = TerminologyApplied {
        status: AppliedStatus::Success,
        receipts: receipts.into_iter().enumerate().map(receipt).collect(),
    };
    Ok(json(StatusCode::OK, &applied))
}
