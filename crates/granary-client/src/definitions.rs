//! Profiles and relationship definitions.

use granary_api::definitions::Definition;
use granary_api::page::{Page, PageQuery};
use reqwest::Method;

use crate::reply::with_json;
use crate::{Error, Put, SourceClient};

/// Which kind of definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefinitionKind {
    /// The schema of a resource type.
    Profile,
    /// The schema of a relationship type.
    RelationshipDefinition,
}

impl DefinitionKind {
    /// What it is called, such as `profile`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Profile => "profile",
            Self::RelationshipDefinition => "relationship definition",
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Profile => "profiles",
            Self::RelationshipDefinition => "relationship-definitions",
        }
    }
}

impl SourceClient {
    /// Stores a definition, given as JSON; one that is there is replaced.
    pub async fn put_definition(
        &self,
        kind: DefinitionKind,
        key: &str,
        json: impl Into<reqwest::Body>,
    ) -> Result<Put<Definition>, Error> {
        let request = self.request(Method::PUT, &[kind.path(), key])?;
        self.client.put(with_json(request, json)).await
    }

    /// Reads a definition.
    pub async fn get_definition(&self, kind: DefinitionKind, key: &str) -> Result<Definition, Error> {
        self.client
            .read(self.request(Method::GET, &[kind.path(), key])?)
            .await
    }

    /// A page of the definitions.
    pub async fn definitions(
        &self,
        kind: DefinitionKind,
        query: &PageQuery,
    ) -> Result<Page<Definition>, Error> {
        self.client
            .read(self.request(Method::GET, &[kind.path()])?.query(query))
            .await
    }

    /// Deletes a definition that is not in use.
    pub async fn delete_definition(&self, kind: DefinitionKind, key: &str) -> Result<(), Error> {
        self.client
            .done(self.request(Method::DELETE, &[kind.path(), key])?)
            .await
    }
}
