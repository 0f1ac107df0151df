mod bindings;
mod bulk;
mod concepts;
mod vocabularies;

use serde_json::json;

use crate::world::World;

pub(crate) const VOCABULARIES: &str = "/terminology/v1/vocabularies";
pub(crate) const CONCEPTS: &str = "/terminology/v1/vocabularies/colours/concepts";

impl World {
    /// A server with the vocabulary `colours`, which has the concept `red`.
    async fn with_colours() -> Self {
        let world = Self::new().await;
        for (path, body) in [
            (format!("{VOCABULARIES}/colours"), json!({"title": "Colours"})),
            (format!("{CONCEPTS}/red"), json!({"designation": {"en": "red"}})),
        ] {
            let answer = world.put(&path, &body).await;
            assert!(answer.starts_with("201"), "{answer}");
        }
        world
    }
}
