//! Sources.

use granary_api::page::{Page, PageQuery};
use granary_api::sources::{Source, SourceDeleteQuery, SourceType, SourceWrite};
use reqwest::Method;

use crate::{Client, Error, Put};

const PATH: [&str; 3] = ["catalog", "v1", "sources"];

impl Client {
    /// Creates a source; one that is there stays as it is.
    pub async fn put_source(&self, key: &str) -> Result<Put<Source>, Error> {
        let body = SourceWrite {
            source_type: SourceType::Registry,
        };
        self.put(
            self.request(Method::PUT, &[&PATH[..], &[key]].concat())?
                .json(&body),
        )
        .await
    }

    /// Reads a source.
    pub async fn get_source(&self, key: &str) -> Result<Source, Error> {
        self.read(self.request(Method::GET, &[&PATH[..], &[key]].concat())?)
            .await
    }

    /// A page of the sources.
    pub async fn sources(&self, query: &PageQuery) -> Result<Page<Source>, Error> {
        self.read(self.request(Method::GET, &PATH)?.query(query)).await
    }

    /// Deletes a source: with `purge` and all it holds, without only where it holds nothing.
    pub async fn delete_source(&self, key: &str, purge: bool) -> Result<(), Error> {
        let request = self.request(Method::DELETE, &[&PATH[..], &[key]].concat())?;
        self.done(request.query(&SourceDeleteQuery { purge })).await
    }
}
