//! `…/import`: an export put back into a source that holds nothing. It is read line by line, and stored as it comes.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use granary_api::NDJSON;
use granary_api::definitions::Definition;
use granary_api::export::{EXPORT_FORMAT, ExportCounts, ExportHeader, ExportLine, ImportQuery, Imported};
use granary_core::error::ErrorObject;
use granary_core::keys::Key;
use granary_core::operation::TargetType;
use granary_core::schema::DefinitionKind;
use granary_engine::{BodyError, Engine, Import, ImportLine, InFlight, SentDefinition};
use serde_json::value::RawValue;

use crate::App;
use crate::access::Audited;
use crate::reply::{Failure, Reply, json};
use crate::request::{Asked, Path, body_pieces, body_type, existing};

pub(super) async fn take(
    State(app): State<Arc<App>>,
    Path(source): Path<String>,
    Asked(query): Asked<ImportQuery>,
    request: Request,
) -> Reply {
    let source = existing("source", &source)?;
    body_type(request.headers(), &[NDJSON])?;
    let limits = app.engine.limits();
    let place = app.engine.admit()?;
    let pieces = body_pieces(request, "importBytes", limits.import_bytes)?;
    let mut reading = Reading {
        engine: &app.engine,
        source: &source,
        incomplete: query.incomplete,
        line: 0,
        header: None,
        end: None,
        definitions: Vec::new(),
        place: Some(place),
        import: None,
        counts: ExportCounts::default(),
    };
    match reading.all(pieces).await {
        Ok(()) => {
            let counts = reading.counts;
            Ok(json(StatusCode::OK, &Imported { source, counts }))
        }
        Err(mut error) => {
            // It is put back page by page: all pages before are there.
            if reading.import.is_some() {
                error.message = format!(
                    "{}; part of what came before it is stored: delete source '{source}' with all it holds (?purge=true) and import \
                     again",
                    error.message
                );
                let mut answer = Failure(error).into_response();
                answer.extensions_mut().insert(Audited("broke off".to_owned()));
                return Ok(answer);
            }
            Err(error.into())
        }
    }
}

/// No definition was replaced so often; each replacement adds one.
const REVISION_MAX: u64 = i32::MAX.unsigned_abs() as u64;

/// An import as it is read.
struct Reading<'a> {
    engine: &'a Engine,
    source: &'a Key,
    incomplete: bool,
    /// The line that is read, counted from 1.
    line: u64,
    header: Option<ExportHeader>,
    end: Option<ExportCounts>,
    /// The definitions, until the first record or the end.
    definitions: Vec<SentDefinition>,
    place: Option<InFlight>,
    import: Option<Import>,
    counts: ExportCounts,
}

impl Reading<'_> {
    async fn all(
        &mut self,
        pieces: impl Stream<Item = Result<Bytes, BodyError>> + Send,
    ) -> Result<(), ErrorObject> {
        let limits = self.engine.limits();
        let (bytes_max, line_max) = (limits.import_bytes, limits.import_line_bytes);
        let mut pieces = std::pin::pin!(pieces);
        let (mut bytes, mut begun) = (0, Vec::new());
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| match error {
                BodyError::Refused(refusal) => refusal,
                broken => ErrorObject::invalid(broken.to_string()),
            })?;
            bytes += piece.len() as u64;
            if bytes > bytes_max {
                return Err(ErrorObject::over_limit("the body", "importBytes", bytes_max));
            }
            let mut rest = &piece[..];
            while let Some(end) = memchr::memchr(b'\n', rest) {
                within(begun.len() + end, line_max)?;
                begun.extend_from_slice(&rest[..end]);
                rest = &rest[end + 1..];
                self.line(&begun).await?;
                begun.clear();
            }
            within(begun.len() + rest.len(), line_max)?;
            begun.extend_from_slice(rest);
        }
        // Where an export broke off, its last line may have too.
        let is_line = !begun.trim_ascii().is_empty();
        if is_line && (!self.incomplete || !is_torn(&begun)) {
            self.line(&begun).await?;
        }
        self.ended().await
    }

    async fn line(&mut self, bytes: &[u8]) -> Result<(), ErrorObject> {
        self.line += 1;
        if bytes.trim_ascii().is_empty() {
            return Ok(());
        }
        let at = self.line;
        let line: ExportLine = serde_json::from_slice(bytes).map_err(|error| {
            let (why, column) = (error.to_string(), error.column());
            // It counts lines from this one on.
            let why = why.split(" at line ").next().unwrap_or_default();
            ErrorObject::invalid(format!(
                "line {at} is no line of an export, at its byte {column}: {why}"
            ))
        })?;
        if self.end.is_some() {
            return Err(ErrorObject::invalid(format!(
                "line {at} stands behind the end of the export"
            )));
        }
        match line {
            ExportLine::Export(header) => self.begun(header),
            _ if self.header.is_none() => Err(ErrorObject::invalid(
                "an import is what an export has written: its first line has the member 'export'",
            )),
            ExportLine::Profile(definition) => self.definition(DefinitionKind::Profile, definition),
            ExportLine::RelationshipDefinition(definition) => {
                self.definition(DefinitionKind::RelationshipDefinition, definition)
            }
            ExportLine::Resource(record) => {
                self.counts.resources += 1;
                self.record(TargetType::Resource, record).await
            }
            ExportLine::Relationship(record) => {
                self.counts.relationships += 1;
                self.record(TargetType::Relationship, record).await
            }
            ExportLine::End(counts) => {
                self.end = Some(counts);
                Ok(())
            }
            ExportLine::Error(_) if self.incomplete => Ok(()),
            ExportLine::Error(error) => Err(ErrorObject::invalid(format!(
                "the export broke off at line {at}: {}; export again, or take it as far as it goes with ?incomplete=true",
                error.message
            ))),
        }
    }

    fn begun(&mut self, header: ExportHeader) -> Result<(), ErrorObject> {
        if self.header.is_some() {
            return Err(ErrorObject::invalid(format!(
                "line {} begins a second export; send one",
                self.line
            )));
        }
        if header.format != EXPORT_FORMAT {
            return Err(ErrorObject::invalid(format!(
                "the export has format {} and this version of granary reads format {EXPORT_FORMAT}; import it with the \
                 version that wrote it",
                header.format
            )));
        }
        self.header = Some(header);
        Ok(())
    }

    fn definition(&mut self, kind: DefinitionKind, definition: Definition) -> Result<(), ErrorObject> {
        let limits = self.engine.limits();
        let at = self.line;
        if self.import.is_some() {
            return Err(ErrorObject::invalid(format!(
                "line {at} is a definition behind records; definitions come first"
            )));
        }
        if self.definitions.len() as u64 >= limits.definitions_per_source {
            return Err(ErrorObject::over_limit(
                "the number of definitions of the export",
                "definitionsPerSource",
                limits.definitions_per_source,
            ));
        }
        if !(1..=REVISION_MAX).contains(&definition.revision) {
            return Err(ErrorObject::invalid(format!(
                "line {at}: a definition has a revision from 1 to {REVISION_MAX}"
            )));
        }
        let json = serde_json::to_string(&definition.members)
            .map_err(|error| ErrorObject::invalid(format!("line {at}: {error}")))?;
        // A line may be much longer, and all definitions are held until the first record.
        if json.len() as u64 > limits.definition_bytes {
            let what = format!("line {at}: the definition with {} bytes", json.len());
            return Err(ErrorObject::over_limit(
                &what,
                "definitionBytes",
                limits.definition_bytes,
            ));
        }
        match kind {
            DefinitionKind::Profile => self.counts.profiles += 1,
            DefinitionKind::RelationshipDefinition => self.counts.relationship_definitions += 1,
        }
        self.definitions.push(SentDefinition {
            kind,
            key: definition.key,
            json,
            revision: definition.revision,
            created_at: definition.created_at,
            updated_at: definition.updated_at,
        });
        Ok(())
    }

    /// The import, begun once all definitions are known.
    async fn import(&mut self) -> Result<&mut Import, ErrorObject> {
        if self.import.is_none() {
            let place = match self.place.take() {
                Some(place) => place,
                None => self.engine.admit()?,
            };
            let definitions = std::mem::take(&mut self.definitions);
            self.import = Some(self.engine.import(place, self.source, definitions).await?);
        }
        self.import
            .as_mut()
            .ok_or_else(|| ErrorObject::invalid("the import has not begun"))
    }

    async fn record(&mut self, target: TargetType, record: Box<RawValue>) -> Result<(), ErrorObject> {
        let number = self.line;
        let json: Box<str> = record.into();
        let import = self.import().await?;
        import.push(ImportLine { number, target, json }).await
    }

    async fn ended(&mut self) -> Result<(), ErrorObject> {
        if self.header.is_none() {
            return Err(ErrorObject::invalid(
                "the import is empty; send what an export has written",
            ));
        }
        if self.end.is_none() && !self.incomplete {
            return Err(ErrorObject::invalid(
                "the export broke off, for its last line does not have the member 'end'; export again, or take it as far as \
                 it goes with ?incomplete=true",
            ));
        }
        self.import().await?.flush().await?;
        let found = self.counts;
        match self.end {
            Some(told) if told != found => Err(ErrorObject::invalid(format!(
                "the export says at its end that it has {}, and it has {}",
                counted(told),
                counted(found)
            ))),
            _ => Ok(()),
        }
    }
}

fn counted(counts: ExportCounts) -> String {
    format!(
        "{} profiles, {} relationship definitions, {} resources and {} relationships",
        counts.profiles, counts.relationship_definitions, counts.resources, counts.relationships
    )
}

fn within(bytes: usize, bytes_max: u64) -> Result<(), ErrorObject> {
    match bytes as u64 > bytes_max {
        true => Err(ErrorObject::over_limit(
            "a line of the import",
            "importLineBytes",
            bytes_max,
        )),
        false => Ok(()),
    }
}

/// True of what is only the beginning of a line, as where an export broke off.
fn is_torn(line: &[u8]) -> bool {
    serde_json::from_slice::<ExportLine>(line).is_err_and(|error| error.is_eof())
}
