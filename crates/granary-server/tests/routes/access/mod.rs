//! Who may call: `/access/v1/keys`, and what is asked of every call.

mod bearer;
mod keys;
mod local;
mod rights;

use granary_api::keys::KeyCreated;
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::World;

pub(crate) const KEYS: &str = "/access/v1/keys";

impl World {
    /// Creates a key: with this other one, or none while none is asked for.
    pub(crate) async fn key(&self, by: Option<&str>, new: Value) -> KeyCreated {
        let mut request = self.request(Method::POST, KEYS).json(&new);
        if let Some(key) = by {
            request = request.header("x-api-key", key);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 201, "{new}");
        answer.json().await.unwrap()
    }

    /// Creates the first key, of an admin for all sources.
    pub(crate) async fn admin(&self) -> String {
        self.key(None, json!({"role": "admin"})).await.key
    }

    /// The status of a call with this key.
    pub(crate) async fn status(&self, method: &str, path: &str, key: Option<&str>) -> u16 {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.request(method, path);
        if let Some(key) = key {
            request = request.header("x-api-key", key);
        }
        request.send().await.unwrap().status().as_u16()
    }
}
