//! Health and limits.

use granary_api::health::{Health, Limits};
use reqwest::Method;

use crate::{Client, Error};

impl Client {
    /// `GET /healthz`: the server is alive.
    pub async fn health(&self) -> Result<Health, Error> {
        self.read(self.request(Method::GET, &["healthz"])?).await
    }

    /// `GET /readyz`: the server takes requests; an error while it does not.
    pub async fn ready(&self) -> Result<Health, Error> {
        self.read(self.request(Method::GET, &["readyz"])?).await
    }

    /// `GET /limits`: every limit in force, by name.
    pub async fn limits(&self) -> Result<Limits, Error> {
        self.read(self.request(Method::GET, &["limits"])?).await
    }
}
