//! `…/bundle`: a small mix of operations, all or nothing, at once.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use granary_api::JSON;
use granary_api::bundle::{BundleAnswer, BundleReceipt, BundleStatus};
use granary_api::resources::WriteQuery;
use granary_core::decide::Verdict;
use granary_core::receipt::ReceiptStatus;
use granary_engine::{Bundle, BundleMode};

use crate::App;
use crate::idempotency::{Idempotency, marked};
use crate::reply::{Reply, json, valid};
use crate::request::{Asked, Path, existing, json_body};

pub(super) async fn write(
    State(app): State<Arc<App>>,
    Path(source): Path<String>,
    Asked(query): Asked<WriteQuery>,
    idempotency: Idempotency,
    request: Request,
) -> Reply {
    let source = existing("source", &source)?;
    let place = app.engine.admit()?;
    let body = json_body(request, "bundleBytes", app.engine.limits().bundle_bytes).await?;
    let mode = match query.validate_only {
        true => BundleMode::ValidateOnly,
        false => BundleMode::Write,
    };
    let once = idempotency.once(&app.engine, JSON);
    let bundle = app.engine.bundle(place, &source, body, mode, once).await?;
    let status = match bundle.failure() {
        Some(error) => StatusCode::from_u16(error.code).unwrap_or(StatusCode::BAD_REQUEST),
        None if mode == BundleMode::ValidateOnly => {
            let count = bundle.resources.len() + bundle.relationships.len();
            return Ok(valid(count as u64));
        }
        None => StatusCode::OK,
    };
    let replayed = bundle.replayed;
    Ok(marked(json(status, &answer(bundle)), replayed))
}

fn answer(bundle: Bundle) -> BundleAnswer {
    let persisted = bundle.task_id.is_some();
    let receipts = |receipts: Vec<granary_engine::BundleReceipt>| receipts.into_iter().map(receipt).collect();
    BundleAnswer {
        status: if persisted {
            BundleStatus::Persisted
        } else {
            BundleStatus::Rejected
        },
        task_id: bundle.task_id,
        resource_receipts: receipts(bundle.resources),
        relationship_receipts: receipts(bundle.relationships),
    }
}

fn receipt(receipt: granary_engine::BundleReceipt) -> BundleReceipt {
    let (status, unchanged, error) = match receipt.verdict {
        Some(Verdict::Success { unchanged }) => (ReceiptStatus::Success, unchanged, None),
        Some(Verdict::Failure(error)) => (ReceiptStatus::Failure, false, Some(error)),
        None => (ReceiptStatus::Cancelled, false, None),
    };
    let operation = receipt.operation.as_ref();
    BundleReceipt {
        action: operation.map(|operation| operation.action),
        type_key: operation.map(|operation| operation.type_key.to_string()),
        id: operation.map(|operation| operation.id.to_string()),
        status,
        unchanged,
        error,
    }
}
