//! Single records: resources and relationships.

use granary_api::page::{Page, PageQuery};
use granary_api::relationships::{Relationship, RelationshipsQuery};
use granary_api::resources::{Resource, ResourceWrite, ResourcesQuery, SingleWrite};
use granary_core::meta::Triple;
use reqwest::Method;

use crate::{Error, Put, SourceClient, identified};

impl SourceClient {
    /// Stores a resource; one that is there is replaced whole.
    pub async fn put_resource(
        &self,
        type_key: &str,
        id: &str,
        resource: &ResourceWrite,
    ) -> Result<Put<SingleWrite>, Error> {
        let request = self.request(Method::PUT, &["resources", type_key, id])?;
        self.client.put(request.json(resource)).await
    }

    /// Reads a resource by its id, or by an identifier in its notation, which no id looks like: `system:value:use`,
    /// each part percent-encoded.
    pub async fn get_resource(&self, type_key: &str, id: &str) -> Result<Resource, Error> {
        let request = match Triple::parse(id) {
            Ok(identifier) => {
                let resources = self.address(&["resources", type_key])?;
                self.client.http.get(identified(resources, &identifier))
            }
            Err(_) => self.request(Method::GET, &["resources", type_key, id])?,
        };
        self.client.read(request).await
    }

    /// A page of the resources of a type, in the order of their ids.
    pub async fn resources(&self, type_key: &str, query: &PageQuery) -> Result<Page<Resource>, Error> {
        let request = self.request(Method::GET, &["resources", type_key])?;
        self.client.read(request.query(query)).await
    }

    /// A page of the resources of a type that have this identifier, in its notation; of all where none is named.
    pub async fn resources_by(
        &self,
        type_key: &str,
        query: &ResourcesQuery,
    ) -> Result<Page<Resource>, Error> {
        let request = self.request(Method::GET, &["resources", type_key])?;
        self.client.read(request.query(query)).await
    }

    /// Deletes a resource with its relationships.
    pub async fn delete_resource(&self, type_key: &str, id: &str) -> Result<SingleWrite, Error> {
        self.client
            .read(self.request(Method::DELETE, &["resources", type_key, id])?)
            .await
    }

    /// Reads the relationship with the id `{fromId}.{toId}`.
    pub async fn get_relationship(&self, type_key: &str, id: &str) -> Result<Relationship, Error> {
        self.client
            .read(self.request(Method::GET, &["relationships", type_key, id])?)
            .await
    }

    /// A page of the relationships of a type, of one end where the query names one.
    pub async fn relationships(
        &self,
        type_key: &str,
        query: &RelationshipsQuery,
    ) -> Result<Page<Relationship>, Error> {
        let request = self.request(Method::GET, &["relationships", type_key])?;
        self.client.read(request.query(query)).await
    }
}
