//! Profiles and relationship definitions: `…/profiles`, `…/relationship-definitions` (contract, sections 3 and 4).
//! What is in one is the domain's matter (`granary_core::schema`); here it is an object, kept as it was sent.

use std::fmt;

use granary_core::keys::Key;
use granary_core::time::Timestamp;
use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// A stored profile or relationship definition: its own members in the order they were sent, each value digit for
/// digit, with `key`, `revision`, `createdAt` and `updatedAt` beside them.
#[derive(Clone, Debug)]
pub struct Definition {
    /// Its key.
    pub key: Key,
    /// Which revision this is, counted from 1.
    pub revision: u64,
    /// When its first revision was stored.
    pub created_at: Timestamp,
    /// When this revision was stored.
    pub updated_at: Timestamp,
    /// Its own members, such as `properties`.
    pub members: Members,
}

impl Serialize for Definition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4 + self.members.0.len()))?;
        map.serialize_entry("key", &self.key)?;
        map.serialize_entry("revision", &self.revision)?;
        map.serialize_entry("createdAt", &self.created_at)?;
        map.serialize_entry("updatedAt", &self.updated_at)?;
        for (name, value) in &self.members.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Definition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        fn take<T: de::DeserializeOwned, E: de::Error>(
            members: &mut Members,
            name: &'static str,
        ) -> Result<T, E> {
            let at = members.0.iter().position(|(member, _)| member == name);
            let (_, value) = members.0.remove(at.ok_or_else(|| E::missing_field(name))?);
            serde_json::from_str(value.get()).map_err(E::custom)
        }
        let mut members = Members::deserialize(deserializer)?;
        Ok(Self {
            key: take(&mut members, "key")?,
            revision: take(&mut members, "revision")?,
            created_at: take(&mut members, "createdAt")?,
            updated_at: take(&mut members, "updatedAt")?,
            members,
        })
    }
}

/// The members of a JSON object in the order they stand, each value as it is written.
#[derive(Clone, Debug, Default)]
pub struct Members(pub Vec<(String, Box<RawValue>)>);

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_keeps_the_order_and_the_digits_of_its_members() {
        let wire = concat!(
            r#"{"key":"p","revision":2,"createdAt":"2026-01-31T08:15:30.250Z","updatedAt":"2026-01-31T08:15:30.250Z","#,
            r#""type":"ROOT","properties":{"z":{"type":"decimal","rules":[{"min":1.10}]},"a":{"type":"code"}}}"#
        );
        let definition: Definition = serde_json::from_str(wire).unwrap();
        assert_eq!((definition.revision, definition.members.0.len()), (2, 2));
        assert_eq!(serde_json::to_string(&definition).unwrap(), wire);
        let error = serde_json::from_str::<Definition>(r#"{"key":"p"}"#).unwrap_err();
        assert!(error.to_string().contains("revision"), "{error}");
    }
}
