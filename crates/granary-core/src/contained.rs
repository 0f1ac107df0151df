//! Changes of one contained resource inside a stored record (contract, section 3): the record's body is cut open at its
//! place, so that all else of it stays byte for byte.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::mem;
use std::ops::Range;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::check::{Checker, Rejection, content_hash};
use crate::error::{ErrorObject, ErrorType};
use crate::json::range_in;
use crate::keys::{BadName, ResourceId};
use crate::operation::ContentHash;
use crate::schema::{ResourceShape, Schema};

/// Where a contained resource stands in a resource, as the path of a URL says it:
/// `{containKey}[/{containedId}/{containKey}…][/{containedId}]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainedPath {
    /// The contained resources on the way, from the root down: contain key and id of each.
    pub parents: Vec<(String, ResourceId)>,
    /// The contain key.
    pub key: String,
    /// Its id; `None` for all that stand under the key.
    pub id: Option<ResourceId>,
}

impl ContainedPath {
    /// The place that the rest of a path spells, cut at its slashes.
    ///
    /// # Errors
    ///
    /// A part that is to be an id and cannot be one.
    pub fn parse(parts: &str) -> Result<Self, BadName> {
        let mut parts = parts.split('/').map(str::to_owned);
        let mut parents = Vec::new();
        let mut key = parts.next().unwrap_or_default();
        loop {
            let id = { parts.next() }.map(|id| ResourceId::parse(&id)).transpose()?;
            match (id, parts.next()) {
                (Some(parent), Some(next)) => parents.push((mem::replace(&mut key, next), parent)),
                (id, _) => return Ok(Self { parents, key, id }),
            }
        }
    }
}

/// What is to become of the place.
#[derive(Clone, Copy, Debug)]
pub enum ContainedChange<'a> {
    /// One more under the contain key, from this body.
    Add(&'a [u8]),
    /// The one with the id in the path, from this body, whether it is there or not.
    Put(&'a [u8]),
    /// The one with the id in the path goes.
    Remove,
}

/// A record after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Its body.
    pub body: Vec<u8>,
    /// The hash of its content.
    pub hash: ContentHash,
    /// The id of the contained resource.
    pub id: ResourceId,
    /// True where there was none with this id.
    pub is_new: bool,
}

/// The body of a record, or a contained resource: what stands in it.
#[derive(Deserialize)]
struct Inside<'a> {
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "null_too")]
    contained: Option<&'a RawValue>,
}

/// Keeps a null, whose place has to be known.
fn null_too<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    type_key: Cow<'a, str>,
}

/// One object on the way: the record, or a contained resource in it.
struct Level<'c, 'a> {
    shape: &'c ResourceShape,
    object: &'a str,
    /// The value of `contained`, where it is there and not null.
    contained: Option<&'a str>,
    /// By contain key, where it is there and not null.
    slots: BTreeMap<Cow<'a, str>, &'a RawValue>,
}

/// What is stored cannot be read: our fault.
fn damaged() -> ErrorObject {
    ErrorObject::new(ErrorType::Internal, "a stored record cannot be read")
}

impl<'c, 'a> Level<'c, 'a> {
    fn of(shape: &'c ResourceShape, object: &'a str) -> Result<Self, ErrorObject> {
        let inside: Inside<'a> = serde_json::from_str(object).map_err(|_| damaged())?;
        let contained = inside.contained.map(RawValue::get).filter(|raw| *raw != "null");
        let slots = match contained {
            Some(raw) => serde_json::from_str(raw).map_err(|_| damaged())?,
            None => BTreeMap::new(),
        };
        Ok(Self {
            shape,
            object,
            contained,
            slots,
        })
    }

    /// What stands under a contain key.
    fn items(&self, key: &str) -> Result<Vec<&'a RawValue>, ErrorObject> {
        let items = self
            .slots
            .get(key)
            .map(|raw| serde_json::from_str::<Option<Vec<&RawValue>>>(raw.get()));
        Ok(items
            .transpose()
            .map_err(|_| damaged())?
            .flatten()
            .unwrap_or_default())
    }

    /// The place of a contain key in the profile.
    fn key_place(&self, key: &str) -> Result<usize, ErrorObject> {
        self.shape.contain_names.find(key).ok_or_else(|| {
            let shown: String = key.chars().take(100).collect();
            ErrorObject::not_found(format!("there is no contain key '{shown}' here"))
        })
    }

    /// The one with this id under a contain key, and its type.
    fn item(&self, key: &str, id: &ResourceId) -> Result<Option<(usize, Named<'a>)>, ErrorObject> {
        for (place, item) in self.items(key)?.into_iter().enumerate() {
            let named: Named<'a> = serde_json::from_str(item.get()).map_err(|_| damaged())?;
            if *named.id == *id.as_str() {
                return Ok(Some((place, named)));
            }
        }
        Ok(None)
    }
}

/// The level that holds the contain key of the path.
fn descend<'c, 'a>(
    schema: &'c Schema,
    type_index: u32,
    body: &'a str,
    path: &ContainedPath,
) -> Result<Level<'c, 'a>, ErrorObject> {
    let shape = schema.resource_shape(type_index).ok_or_else(damaged)?;
    let mut level = Level::of(shape, body)?;
    for (key, id) in &path.parents {
        level.key_place(key)?;
        let Some((place, named)) = level.item(key, id)? else {
            return Err(no_item(key, id));
        };
        let shape = schema.profile_named(&named.type_key).ok_or_else(|| {
            ErrorObject::failed_precondition(format!(
                "profile '{}' of the contained resource '{id}' does not exist any more; replace the whole resource",
                named.type_key
            ))
        })?;
        level = Level::of(shape, level.items(key)?[place].get())?;
    }
    Ok(level)
}

fn no_item(key: &str, id: &ResourceId) -> ErrorObject {
    ErrorObject::not_found(format!("there is no '{id}' under '{key}'"))
}

/// What stands at a place of a record, as JSON: one contained resource, or the array of all under a contain key.
pub fn read(
    schema: &Schema,
    type_index: u32,
    body: &[u8],
    path: &ContainedPath,
) -> Result<String, ErrorObject> {
    let body = std::str::from_utf8(body).map_err(|_| damaged())?;
    let level = descend(schema, type_index, body, path)?;
    level.key_place(&path.key)?;
    let items = level.items(&path.key)?;
    let Some(id) = &path.id else {
        let items: Vec<&str> = items.into_iter().map(RawValue::get).collect();
        return Ok(format!("[{}]", items.join(",")));
    };
    let (place, _) = level.item(&path.key, id)?.ok_or_else(|| no_item(&path.key, id))?;
    Ok(items[place].get().to_owned())
}

/// Makes a change at a place of the record `root`: judges what is sent, and the cardinality that it touches (contract,
/// section 4).
pub fn change(
    checker: &mut Checker<'_>,
    type_index: u32,
    root: &ResourceId,
    body: &[u8],
    path: &ContainedPath,
    change: ContainedChange<'_>,
) -> Result<Changed, Rejection> {
    let invalid = Rejection::Invalid;
    let body = std::str::from_utf8(body).map_err(|_| invalid(damaged()))?;
    let schema = checker.schema;
    let level = descend(schema, type_index, body, path).map_err(invalid)?;
    let key = &path.key;
    let key_place = level.key_place(key).map_err(invalid)?;
    let cardinality = level.shape.contained[key_place].cardinality;
    let items = level.items(key).map_err(invalid)?;
    let refused = |message: String| Rejection::Invalid(ErrorObject::failed_precondition(message));

    let sent = match change {
        ContainedChange::Add(sent) | ContainedChange::Put(sent) => sent,
        ContainedChange::Remove => {
            let id = path.id.clone().ok_or_else(|| invalid(damaged()))?;
            let found = level.item(key, &id).map_err(invalid)?;
            let (place, _) = found.ok_or_else(|| invalid(no_item(key, &id)))?;
            if cardinality.at_least_one && items.len() == 1 {
                let name = cardinality.name();
                return Err(refused(format!(
                    "'{id}' is the last under '{key}', whose cardinality is {name}"
                )));
            }
            return edited(checker, body, &without(body, &items, place), "", id, false);
        }
    };
    let root_key = &schema.types()[type_index as usize].key;
    let mut written = Vec::new();
    checker.contained(
        (root_key.as_str(), root),
        level.shape,
        key_place,
        path.id.as_ref(),
        sent,
        &mut written,
    )?;
    let written = String::from_utf8(written).map_err(|_| invalid(damaged()))?;
    let named: Named<'_> = serde_json::from_str(&written).map_err(|_| invalid(damaged()))?;
    let id = ResourceId::parse(&named.id).map_err(|bad| invalid(bad.into()))?;
    // All that are stored, also under keys that the profile has no more.
    for other in level.slots.keys() {
        let Some((place, _)) = level.item(other, &id).map_err(invalid)? else {
            continue;
        };
        if **other == **key && matches!(change, ContainedChange::Put(_)) {
            let range = range_in(body, items[place].get());
            return edited(checker, body, &range, &written, id, false);
        }
        let message = format!("contained resource with id '{id}' already exists under '{other}'");
        return Err(invalid(ErrorObject::new(ErrorType::AlreadyExists, message)));
    }
    if cardinality.at_most_one && !items.is_empty() {
        let name = cardinality.name();
        return Err(refused(format!(
            "'{key}' has one already, and its cardinality is {name}; replace or remove it"
        )));
    }
    let (range, insert) = place_for(body, &level, key, &items, &written);
    edited(checker, body, &range, &insert, id, true)
}

/// What goes with an item: a comma before it, or the one after it.
fn without(body: &str, items: &[&RawValue], place: usize) -> Range<usize> {
    let own = range_in(body, items[place].get());
    let edge = |item: &&RawValue| range_in(body, item.get());
    match (
        place.checked_sub(1).and_then(|before| items.get(before)),
        items.get(place + 1),
    ) {
        (Some(before), _) => edge(before).end..own.end,
        (None, Some(after)) => own.start..edge(after).start,
        (None, None) => own,
    }
}

/// Where one more item goes under a contain key, and what is to be written there.
fn place_for(
    body: &str,
    level: &Level<'_, '_>,
    key: &str,
    items: &[&RawValue],
    item: &str,
) -> (Range<usize>, String) {
    if let Some(last) = items.last() {
        let end = range_in(body, last.get()).end;
        return (end..end, format!(",{item}"));
    }
    // Keys hold no character that JSON would escape.
    if let Some(slot) = level.slots.get(key) {
        return (range_in(body, slot.get()), format!("[{item}]"));
    }
    match level.contained {
        Some(contained) => {
            let end = range_in(body, contained).end - 1;
            let comma = if level.slots.is_empty() { "" } else { "," };
            (end..end, format!(r#"{comma}"{key}":[{item}]"#))
        }
        None => {
            let inside: Option<Inside<'_>> = serde_json::from_str(level.object).ok();
            let fresh = format!(r#"{{"{key}":[{item}]}}"#);
            match inside.and_then(|inside| inside.contained) {
                Some(null) => (range_in(body, null.get()), fresh),
                None => {
                    let end = range_in(body, level.object).end - 1;
                    (end..end, format!(r#","contained":{fresh}"#))
                }
            }
        }
    }
}

/// The record with a part of its body replaced.
fn edited(
    checker: &Checker<'_>,
    body: &str,
    range: &Range<usize>,
    replacement: &str,
    id: ResourceId,
    is_new: bool,
) -> Result<Changed, Rejection> {
    let body = [&body[..range.start], replacement, &body[range.end..]].concat();
    let depth_max = checker.limits.json_depth;
    if depth(&body) > depth_max {
        let over =
            ErrorObject::over_limit("the nesting of the record as it would be", "jsonDepth", depth_max);
        return Err(Rejection::Invalid(over));
    }
    let inside: Inside<'_> = serde_json::from_str(&body).map_err(|_| Rejection::Invalid(damaged()))?;
    let data = inside.data.map_or("", RawValue::get);
    let contained = inside.contained.map_or("", RawValue::get);
    let hash = content_hash(&checker.hash_key, data.as_bytes(), contained.as_bytes());
    Ok(Changed {
        body: body.into_bytes(),
        hash,
        id,
        is_new,
    })
}

/// How deep the objects and arrays of JSON nest.
fn depth(json: &str) -> u64 {
    let (mut now, mut most) = (0_u64, 0);
    let (mut in_text, mut escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                now += 1;
                most = most.max(now);
            }
            b'}' | b']' if !in_text => now = now.saturating_sub(1),
            _ => {}
        }
    }
    most
}

#[cfg(test)]
mod tests;
