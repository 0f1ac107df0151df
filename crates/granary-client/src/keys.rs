//! API keys of a server.

use granary_api::keys::{Key, KeyCreated, KeyWrite};
use granary_api::page::{Page, PageQuery};
use reqwest::Method;

use crate::{Client, Error};

const PATH: [&str; 3] = ["access", "v1", "keys"];

impl Client {
    /// Creates a key. The answer is the only one that shows it.
    pub async fn create_key(&self, new: &KeyWrite) -> Result<KeyCreated, Error> {
        self.read(self.request(Method::POST, &PATH)?.json(new)).await
    }

    /// A page of the keys.
    pub async fn keys(&self, query: &PageQuery) -> Result<Page<Key>, Error> {
        self.read(self.request(Method::GET, &PATH)?.query(query)).await
    }

    /// Revokes a key: from the answer on it is not valid any more.
    pub async fn revoke_key(&self, id: &str) -> Result<(), Error> {
        self.done(self.request(Method::DELETE, &[&PATH[..], &[id]].concat())?)
            .await
    }
}
