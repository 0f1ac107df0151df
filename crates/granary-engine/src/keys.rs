//! API keys: made here, shown once. They work on a store alone, so that the first key can be made before a server runs.

use granary_core::access::{ApiKey, KeyName, KeyRecord, Role, Sources};
use granary_core::error::ErrorObject;
use granary_core::ksuid::Ksuid;
use granary_core::limits::Limits;
use granary_core::time::Timestamp;
use granary_store::Store;

use crate::error::{error_object, internal};

/// A key that is to be made.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// What people call it.
    pub name: Option<String>,
    /// What it may do.
    pub role: Role,
    /// The sources that it is for; `None` for all.
    pub sources: Option<Vec<String>>,
}

/// Makes a key, and answers it with what is kept of it. It can not be shown again.
pub async fn create_key(
    store: &dyn Store,
    limits: &Limits,
    new: NewKey,
    now: Timestamp,
) -> Result<(ApiKey, KeyRecord), ErrorObject> {
    let sources = match &new.sources {
        None => Sources::All,
        Some(names) => Sources::parse(names.iter().map(String::as_str))?,
    };
    if let Sources::These(these) = &sources
        && these.len() as u64 > limits.sources_per_key
    {
        let (what, limit) = ("the number of sources of the key", "sourcesPerKey");
        return Err(ErrorObject::over_limit(what, limit, limits.sources_per_key));
    }
    let (mut id, mut secret) = ([0; 16], [0; 32]);
    let stored = store.access().keys().await.map_err(error_object)?;
    if stored.keys.is_empty() && (new.role != Role::Admin || sources != Sources::All) {
        let message = "a store's first key is an admin's, for all sources: else nobody could make another; make that one \
                       first";
        return Err(ErrorObject::failed_precondition(message));
    }
    // From the system itself, and no key without it.
    getrandom::fill(&mut id)
        .and_then(|()| getrandom::fill(&mut secret))
        .map_err(|error| {
            tracing::error!(%error, "no randomness for a key");
            internal()
        })?;
    let key = ApiKey::from_parts(Ksuid::from_parts(now, id), secret);
    let record = KeyRecord {
        id: key.id(),
        name: new.name.as_deref().map(KeyName::parse).transpose()?,
        role: new.role,
        sources,
        hash: key.hash(),
        created_at: now,
        last_used_at: None,
    };
    store.access().create_key(&record).await.map_err(error_object)?;
    Ok((key, record))
}
