//! Exports and imports: bodies of any length, so neither is held.

use std::io;

use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use granary_api::NDJSON;
use granary_api::export::{ExportQuery, ImportQuery, Imported};
use reqwest::header::{ACCEPT, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Body, Method};

use crate::error::BodyError;
use crate::{Error, SourceClient};

impl SourceClient {
    /// The source as it is now, as it arrives: lines of [`granary_api::export::ExportLine`]. It is whole where its last line
    /// is the end.
    pub async fn export(
        &self,
        query: &ExportQuery,
    ) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + use<>, Error> {
        let request = self.request(Method::GET, &["export"])?.query(query);
        let response = self.client.succeed(request.header(ACCEPT, NDJSON)).await?;
        Ok(response.bytes_stream().map_err(io::Error::other))
    }

    /// Puts an export back into the source, which holds nothing. `encoding` is the content coding that its bytes are in,
    /// and `length` how many there are, where that is known.
    pub async fn import<S>(
        &self,
        query: &ImportQuery,
        bytes: S,
        encoding: Option<&'static str>,
        length: Option<u64>,
    ) -> Result<Imported, Error>
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        let request = self.request(Method::POST, &["import"])?.query(query);
        let mut request = request.header(CONTENT_TYPE, NDJSON);
        if let Some(encoding) = encoding {
            request = request.header(CONTENT_ENCODING, encoding);
        }
        if let Some(length) = length {
            request = request.header(CONTENT_LENGTH, length);
        }
        let body = Body::wrap_stream(bytes.map_err(BodyError));
        self.client.read(request.body(body)).await
    }
}
