//! `…/export`: a source as it is at one moment, as NDJSON.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use granary_api::NDJSON;
use granary_api::export::{EXPORT_FORMAT, ExportCounts, ExportHeader, ExportLine, ExportQuery};
use granary_core::error::ErrorObject;
use granary_core::keys::Key;
use granary_core::operation::{RecordId, TargetType, TypeRef};
use granary_core::schema::DefinitionKind;
use granary_engine::Export;
use granary_store::may_go_on;

use crate::App;
use crate::records;
use crate::reply::{Reply, typed};
use crate::request::{Asked, Path, existing, shortened};
use crate::routes::definitions;
use crate::stream::{PAGE, paged};

/// Definitions are written together until they take this.
const DEFINITIONS_BYTES: usize = 64 * 1024;

/// How far an export is.
enum At {
    Start,
    /// Before this definition.
    Definition(usize),
    /// At this type, behind this record.
    Type(usize, Option<RecordId>),
}

struct Writing {
    export: Export,
    /// The types whose records it has.
    types: Vec<TypeRef>,
    type_key: Option<Key>,
    counts: ExportCounts,
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Path(source): Path<String>,
    Asked(query): Asked<ExportQuery>,
) -> Reply {
    let export = app.engine.export(&existing("source", &source)?).await?;
    let wanted = query.type_key.as_deref();
    let types = export.types.iter();
    let types: Vec<TypeRef> = types
        .filter(|of_type| wanted.is_none_or(|wanted| of_type.key.as_str() == wanted))
        .cloned()
        .collect();
    if let (true, Some(wanted)) = (types.is_empty(), wanted) {
        let message = format!(
            "there is no ROOT profile and no relationship definition '{}'",
            shortened(wanted)
        );
        return Err(ErrorObject::not_found(message).into());
    }
    let writing = Writing {
        type_key: wanted.and_then(|_| types.first().map(|of_type| of_type.key.clone())),
        types,
        export,
        counts: ExportCounts::default(),
    };
    let body = paged((writing, At::Start), |(mut writing, at)| async move {
        let mut out = Vec::new();
        let next = match writing.next(at, &mut out).await {
            Ok(next) => next,
            // It has no end then, so nobody takes it for whole.
            Err(error) => {
                tracing::warn!(%error, source = %writing.export.source.key, "an export broke off");
                push(&mut out, &ExportLine::Error(error));
                None
            }
        };
        Ok((out, next.map(|next| (writing, next))))
    });
    Ok(typed(StatusCode::OK, NDJSON, body))
}

impl Writing {
    /// Writes what comes next, and where to go on.
    async fn next(&mut self, at: At, out: &mut Vec<u8>) -> Result<Option<At>, ErrorObject> {
        match at {
            At::Start => {
                let header = ExportHeader {
                    format: EXPORT_FORMAT,
                    source: self.export.source.key.clone(),
                    type_key: self.type_key.clone(),
                    exported_at: self.export.moment,
                };
                push(out, &ExportLine::Export(header));
                Ok(Some(At::Definition(0)))
            }
            At::Definition(mut place) => {
                while let Some(stored) = self.export.definitions.get(place) {
                    if out.len() >= DEFINITIONS_BYTES {
                        return Ok(Some(At::Definition(place)));
                    }
                    let shown = definitions::shown(stored)?;
                    push(
                        out,
                        &match stored.kind {
                            DefinitionKind::Profile => {
                                self.counts.profiles += 1;
                                ExportLine::Profile(shown)
                            }
                            DefinitionKind::RelationshipDefinition => {
                                self.counts.relationship_definitions += 1;
                                ExportLine::RelationshipDefinition(shown)
                            }
                        },
                    );
                    place += 1;
                }
                Ok(Some(At::Type(0, None)))
            }
            At::Type(place, after) => {
                let Some(of_type) = self.types.get(place) else {
                    push(out, &ExportLine::End(self.counts));
                    return Ok(None);
                };
                let page = self.export.page(of_type, after.as_ref(), PAGE).await?;
                let source = &self.export.source.key;
                for record in &page {
                    match of_type.target_type() {
                        TargetType::Resource => {
                            out.extend(br#"{"resource":"#);
                            records::write_resource(out, source, of_type.key.as_str(), record);
                            self.counts.resources += 1;
                        }
                        TargetType::Relationship => {
                            out.extend(br#"{"relationship":"#);
                            records::write_relationship(out, source, of_type, record);
                            self.counts.relationships += 1;
                        }
                    }
                    out.extend(b"}\n");
                }
                Ok(Some(match page.last().filter(|_| may_go_on(&page, PAGE)) {
                    Some(last) => At::Type(place, Some(last.id.clone())),
                    None => At::Type(place + 1, None),
                }))
            }
        }
    }
}

fn push(out: &mut Vec<u8>, line: &ExportLine) {
    // Writing to a vector does not fail, and a line is always JSON.
    if serde_json::to_writer(&mut *out, line).is_ok() {
        out.push(b'\n');
    }
}
