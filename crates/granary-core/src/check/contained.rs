//! The check of contained resources.

use std::borrow::Cow;

use super::Run;
use super::value::Seen;
use crate::fault::{Path, shown};
use crate::json::{Halt, Kind, push_string};
use crate::keys::ResourceId;
use crate::schema::{ContainShape, ResourceShape};

pub(super) const MEMBERS: [&str; 4] = ["id", "type", "data", "contained"];

/// The id of a contained resource and where it stands: its contain key and its place.
pub(super) type IdAt<'a, 'k> = (Cow<'a, str>, Cow<'k, str>, usize);

/// Where a contained resource stands.
#[derive(Clone, Copy)]
struct Slot<'c> {
    /// The type of the resource at the root.
    root: &'c str,
    /// The contain key and what may stand there.
    key: &'c str,
    shape: &'c ContainShape,
}

impl<'c, 'a> Run<'c, 'a, '_> {
    /// Takes the `contained` object that is next, of a record of this profile, which is being copied. `root` is the
    /// type of the resource that all of it is in.
    pub(super) fn contained(
        &mut self,
        parent: &'c ResourceShape,
        root: &'c str,
        path: &Path<'_>,
    ) -> Result<(), Halt> {
        self.scan.open()?;
        let mut seen = Seen::default();
        let mut present = Seen::default();
        let mut ids = Vec::new();
        let mut first = true;
        while let Some(name) = self.scan.member(first)? {
            first = false;
            let name = name.decode();
            let here = path.name(&name);
            let Some(key_place) = parent.contain_names.find(&name) else {
                let known = parent.contain_names.iter();
                self.faults
                    .add_unknown(&here, "unknown", "contain key", &name, known);
                self.scan.skip()?;
                continue;
            };
            if !seen.mark(key_place) {
                self.second(&here, &name)?;
                continue;
            }
            match self.scan.peek()? {
                Kind::Null => self.scan.literal(Kind::Null)?,
                Kind::Array => {
                    present.mark(key_place);
                    let slot = Slot {
                        root,
                        key: parent.contain_names.get(key_place),
                        shape: &parent.contained[key_place],
                    };
                    self.slot(slot, &here, &mut ids)?;
                }
                found => {
                    present.mark(key_place);
                    self.wrong_kind(&here, "an array: contained resources always stand in one", found)?;
                }
            }
        }
        self.missing_contained(parent, &present, path);
        self.unique_ids(ids, path);
        Ok(())
    }

    /// Adds the fault that a contain key is missing of which there must be one.
    pub(super) fn missing_contained(&mut self, parent: &ResourceShape, present: &Seen, path: &Path<'_>) {
        for (place, shape) in parent.contained.iter().enumerate() {
            if shape.cardinality.at_least_one && !present.has(place) {
                let key = parent.contain_names.get(place);
                self.cardinality(shape, 0, &path.name(key));
            }
        }
    }

    fn cardinality(&mut self, shape: &ContainShape, count: usize, path: &Path<'_>) {
        let name = shape.cardinality.name();
        if shape.cardinality.at_least_one && count == 0 {
            let message = || format!("is empty or missing, its cardinality {name} wants at least one");
            self.faults.add(path, "cardinality", message);
        }
        if shape.cardinality.at_most_one && count > 1 {
            let message = || format!("has {count} elements, its cardinality {name} allows one");
            self.faults.add(path, "cardinality", message);
        }
    }

    /// The ids of all contained resources of one parent differ.
    pub(super) fn unique_ids(&mut self, mut ids: Vec<IdAt<'a, '_>>, path: &Path<'_>) {
        // Among equal ones the first stays the first.
        ids.sort_by(|one, other| one.0.cmp(&other.0));
        for pair in ids.windows(2) {
            let [(id, key, place), (again, key_again, place_again)] = pair else {
                continue;
            };
            if id == again {
                let here = path.name(key_again);
                self.faults.add(&here.index(*place_again).name("id"), "id", || {
                    let other = path.name(key);
                    format!(
                        "'{}' is the id at {} too, ids are unique in their parent",
                        shown(id),
                        other.index(*place).pointer()
                    )
                });
            }
        }
    }

    /// Takes the array that is next, of contained resources.
    fn slot(&mut self, slot: Slot<'c>, path: &Path<'_>, ids: &mut Vec<IdAt<'a, 'c>>) -> Result<(), Halt> {
        self.scan.open()?;
        let mut count = 0;
        while self.scan.element(count == 0)? {
            let here = path.index(count);
            if let Some(id) = self.item(slot, &here, None)? {
                ids.push((id, Cow::Borrowed(slot.key), count));
            }
            count += 1;
        }
        self.cardinality(slot.shape, count, path);
        Ok(())
    }

    /// Takes one contained resource that stands alone, in a body of its own, and copies it; `fixed` is the id in the path.
    pub(super) fn lone_item(
        &mut self,
        root: (&'c str, &ResourceId),
        parent: &'c ResourceShape,
        key_place: usize,
        fixed: Option<&ResourceId>,
    ) -> Result<(), Halt> {
        let slot = Slot {
            root: root.0,
            key: parent.contain_names.get(key_place),
            shape: &parent.contained[key_place],
        };
        self.scan.start_copy();
        let taken = self.item(slot, &Path::ROOT, fixed);
        self.scan.stop_copy();
        taken?;
        self.judge_claims(Some(root.1));
        Ok(())
    }

    /// Takes one contained resource and tells the id that it was sent with. `fixed` is the id that it is to have.
    fn item(
        &mut self,
        slot: Slot<'c>,
        path: &Path<'_>,
        fixed: Option<&ResourceId>,
    ) -> Result<Option<Cow<'a, str>>, Halt> {
        if !self.enter_object(path, "a contained resource, which is an object")? {
            return Ok(None);
        }
        let mut given = [false; MEMBERS.len()];
        let mut id = None;
        let (mut has_id, mut type_given, mut data_given, mut contained_given) = (false, false, false, false);
        // `None`: not known yet; then the profile, if the type is one that may stand here.
        let mut profile: Option<Option<&'c ResourceShape>> = None;
        let mut first = true;
        while let Some(name) = self.scan.member(first)? {
            first = false;
            let name = name.decode();
            let here = path.name(&name);
            let Some(member) = self.known_member(&MEMBERS, &mut given, &here, &name)? else {
                continue;
            };
            match MEMBERS[member] {
                "id" => {
                    has_id = true;
                    id = self.contained_id(slot, &here, fixed)?;
                    continue;
                }
                _ if self.absent()? => continue,
                "type" => {
                    type_given = true;
                    profile = Some(self.contained_type(slot, &here)?);
                    continue;
                }
                "data" => data_given = true,
                _ => contained_given = true,
            }
            let shape = match profile {
                Some(known) => known,
                None => {
                    let text = self.type_ahead()?;
                    let known = text.and_then(|text| self.allowed_profile(slot.shape, &text.decode()));
                    *profile.insert(known)
                }
            };
            match (self.scan.peek()?, shape) {
                (Kind::Object, Some(shape)) if member == 2 => {
                    self.data(&shape.fields, shape.whens.as_deref(), &here)?;
                }
                (Kind::Object, Some(shape)) => self.contained(shape, slot.root, &here)?,
                (Kind::Object, None) => self.scan.skip()?,
                (found, _) => self.wrong_kind(&here, "an object", found)?,
            }
        }
        if !type_given {
            self.required(path, "type");
        }
        if !data_given {
            self.required(path, "data");
        }
        if let (Some(Some(shape)), false) = (profile, contained_given) {
            self.missing_contained(shape, &Seen::default(), &path.name("contained"));
        }
        if !has_id && !self.faults.any() {
            let new = self.own_id(fixed);
            let out = self.scan.flush();
            // The closing brace is written already.
            out.pop();
            out.extend_from_slice(b",\"id\":\"");
            out.extend_from_slice(new.as_bytes());
            out.extend_from_slice(b"\"}");
        }
        Ok(id)
    }

    /// The id that a contained resource without one gets.
    fn own_id(&mut self, fixed: Option<&ResourceId>) -> String {
        match fixed {
            Some(fixed) => fixed.to_string(),
            None => String::from_utf8_lossy(&self.new_contained_id()).into_owned(),
        }
    }

    fn allowed_profile(&self, shape: &ContainShape, text: &str) -> Option<&'c ResourceShape> {
        let place = shape.types.find(text)?;
        Some(self.schema.profile(shape.profiles[place]))
    }

    fn contained_type(&mut self, slot: Slot<'c>, path: &Path<'_>) -> Result<Option<&'c ResourceShape>, Halt> {
        let Some(text) = self.text(path)? else {
            return Ok(None);
        };
        let text = text.decode();
        let found = self.allowed_profile(slot.shape, &text);
        if found.is_none() && self.schema.has_profile(&text) {
            self.faults.add(path, "type", || {
                let allowed: Vec<&str> = slot.shape.types.iter().take(8).collect();
                format!(
                    "profile '{text}' may not stand in '{}', only {}",
                    slot.key,
                    allowed.join(", ")
                )
            });
        } else if found.is_none() {
            self.faults
                .add_unknown(path, "type", "profile", &text, slot.shape.types.iter());
        }
        Ok(found)
    }

    /// Takes the id of a contained resource. The path form is cut to its last part in the copy, null becomes a new id.
    fn contained_id(
        &mut self,
        slot: Slot<'c>,
        path: &Path<'_>,
        fixed: Option<&ResourceId>,
    ) -> Result<Option<Cow<'a, str>>, Halt> {
        self.scan.stop_copy();
        if self.absent()? {
            let new = self.own_id(fixed);
            push_string(self.scan.out(), &new);
            self.scan.start_copy();
            return Ok(None);
        }
        let text = self.text(path)?;
        let mut id = None;
        if let Some(text) = text {
            let text = text.decode();
            let last = if text.contains('/') {
                self.last_part(slot, &text, path)
                    .map(|last| Cow::Owned(last.to_owned()))
            } else {
                Some(text)
            };
            if let Some(last) = last {
                match ResourceId::parse(&last) {
                    Ok(sent) if fixed.is_some_and(|fixed| sent != *fixed) => {
                        self.faults.add(path, "id", || {
                            let fixed = fixed.map_or("", ResourceId::as_str);
                            format!("is '{sent}', but the path names '{fixed}'; send one of them")
                        });
                    }
                    Ok(_) => {
                        push_string(self.scan.out(), &last);
                        id = Some(last);
                    }
                    Err(bad) => self.faults.add(path, "id", || bad.to_string()),
                }
            }
        }
        self.scan.start_copy();
        Ok(id)
    }

    /// The last part of an id in the form `rootType/rootId/containKey/containedId`, deeper ones with more pairs.
    fn last_part<'t>(&mut self, slot: Slot<'c>, text: &'t str, path: &Path<'_>) -> Option<&'t str> {
        let parts: Vec<&str> = text.split('/').take(2 * super::DEPTH_MAX as usize).collect();
        let (root_type, root_id, key, last) = match parts.as_slice() {
            [root_type, root_id, .., key, last] if parts.len().is_multiple_of(2) => {
                (*root_type, *root_id, *key, *last)
            }
            _ => ("", "", "", ""),
        };
        if root_type != slot.root || key != slot.key {
            self.faults.add(path, "id", || {
                let (root, key) = (slot.root, slot.key);
                format!(
                    "'{}' does not name this place, which is '{root}/…/{key}/…'; send the last part alone",
                    shown(text)
                )
            });
            return None;
        }
        self.claims.push((path.pointer(), root_id.to_owned()));
        Some(last)
    }

    /// The root ids that contained ids name must be the id of the resource, where it has one.
    pub(super) fn judge_claims(&mut self, id: Option<&ResourceId>) {
        let Some(id) = id else { return };
        for (pointer, claimed) in std::mem::take(&mut self.claims) {
            if claimed != id.as_str() {
                self.faults.add_at(pointer, "id", || {
                    format!("names '{}' as its root, but this is '{id}'", shown(&claimed))
                });
            }
        }
    }
}
