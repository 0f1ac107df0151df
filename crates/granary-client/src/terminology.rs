//! Vocabularies and their concepts.

use granary_api::bulk::BulkRejected;
use granary_api::page::{Page, PageQuery};
use granary_api::terminology::{Concept, TerminologyApplied, Vocabulary};
use reqwest::header::ACCEPT;
use reqwest::{Method, StatusCode};

use crate::reply::with_json;
use crate::{Client, Error, Put};

const PATH: [&str; 3] = ["terminology", "v1", "vocabularies"];

/// What a bulk request on concepts was answered with.
#[derive(Clone, Debug)]
pub enum ConceptsReply {
    /// It was applied.
    Applied(TerminologyApplied),
    /// It is wrong, and nothing of it is stored.
    Rejected(BulkRejected),
}

impl Client {
    /// Stores a vocabulary, given as JSON; one that is there is replaced and keeps its concepts.
    pub async fn put_vocabulary(
        &self,
        key: &str,
        json: impl Into<reqwest::Body>,
    ) -> Result<Put<Vocabulary>, Error> {
        let request = self.request(Method::PUT, &[&PATH[..], &[key]].concat())?;
        self.put(with_json(request, json)).await
    }

    /// Reads a vocabulary.
    pub async fn get_vocabulary(&self, key: &str) -> Result<Vocabulary, Error> {
        self.read(self.request(Method::GET, &[&PATH[..], &[key]].concat())?)
            .await
    }

    /// A page of the vocabularies.
    pub async fn vocabularies(&self, query: &PageQuery) -> Result<Page<Vocabulary>, Error> {
        self.read(self.request(Method::GET, &PATH)?.query(query)).await
    }

    /// Deletes a vocabulary with its concepts, unless a definition is bound to it.
    pub async fn delete_vocabulary(&self, key: &str) -> Result<(), Error> {
        self.done(self.request(Method::DELETE, &[&PATH[..], &[key]].concat())?)
            .await
    }

    /// A page of the concepts of a vocabulary.
    pub async fn concepts(&self, vocabulary: &str, query: &PageQuery) -> Result<Page<Concept>, Error> {
        let path = [&PATH[..], &[vocabulary, "concepts"]].concat();
        self.read(self.request(Method::GET, &path)?.query(query)).await
    }

    /// Changes many concepts of a vocabulary by `{"operations":[…]}`. Both the request and its answer are held.
    pub async fn change_concepts(
        &self,
        vocabulary: &str,
        json: impl Into<reqwest::Body>,
    ) -> Result<ConceptsReply, Error> {
        let path = [&PATH[..], &[vocabulary, "concepts", "bulk"]].concat();
        let request = with_json(self.request(Method::POST, &path)?, json).header(ACCEPT, granary_api::JSON);
        let mut response = self.send(request).await?;
        if response.status().is_success() {
            return Ok(ConceptsReply::Applied(self.parse(response).await?));
        }
        let mut body = Vec::new();
        if response.status() == StatusCode::BAD_REQUEST {
            let broken = |error| Error::from_transport(self.server(), error);
            while let Some(chunk) = response.chunk().await.map_err(broken)? {
                body.extend_from_slice(&chunk);
            }
            // An error object has no receipts.
            if let Ok(rejected) = serde_json::from_slice(&body) {
                return Ok(ConceptsReply::Rejected(rejected));
            }
        }
        Err(self.refused_after(body, response).await)
    }
}
