//! The payload of an operation on an edge.

use super::Run;
use super::content::Content;
use super::members::{Known, Next, Walk, members, names};
use super::resource::TypeKnown;
use super::value::Seen;
use crate::fault::Path;
use crate::json::{Halt, Kind};
use crate::keys::{RelationshipId, ResourceId};
use crate::operation::{Action, EdgeEnd, Operation, RecordId, TargetType};

/// The members of a create or an upsert; a delete has the first four.
const MEMBERS: [Known; 6] = members!["type", "id", "from", "to", "data", "meta"];

/// One end as it was given. What was wrong with it is a fault already.
#[derive(Default)]
pub(super) struct GivenEnd {
    pub(super) given: bool,
    pub(super) id: Option<ResourceId>,
    type_key: Option<String>,
    /// True where the type is that of the definition, so that nothing is kept of it.
    type_fits: bool,
}

impl Run<'_, '_, '_> {
    /// Takes the payload of an operation on an edge. `fixed_type` is that of the path of a single write.
    pub(super) fn relationship(
        &mut self,
        action: Action,
        path: &Path<'_>,
        fixed_type: Option<u32>,
    ) -> Result<(), Halt> {
        if fixed_type.is_some_and(|index| self.schema.relationship_shape(index).is_none()) {
            return self.scan.skip();
        }
        if !self.enter_object(path, "an object")? {
            return Ok(());
        }
        let known: &[Known] = if action == Action::Delete {
            &MEMBERS[..4]
        } else {
            &MEMBERS
        };
        let mut known_type = fixed_type.map_or(TypeKnown::NotYet, TypeKnown::Is);
        let mut type_given = fixed_type.is_some();
        let (mut id, mut id_given) = (None, false);
        let (mut from, mut to) = (GivenEnd::default(), GivenEnd::default());
        let mut meta = None;
        let mut content = Content::default();
        let mut seen = Seen::default();
        let mut data_given = false;
        let mut walk = Walk::default();
        loop {
            let member = match self.next_member(&mut walk, known)? {
                Next::Known(member) => member,
                Next::Unknown(name) => {
                    let name = name.decode();
                    self.unknown_member(action, &path.name(&name), &name, known, &MEMBERS)?;
                    continue;
                }
                Next::End => break,
            };
            let name = known[member].name;
            let here = path.name(name);
            if !seen.mark(member) {
                self.second(&here, name)?;
                continue;
            }
            if self.absent()? {
                continue;
            }
            let shape = known_type
                .index()
                .and_then(|index| self.schema.relationship_shape(index));
            match name {
                "type" => {
                    known_type = self.type_member(TargetType::Relationship, fixed_type, &here)?;
                    type_given = true;
                }
                "id" => {
                    id_given = true;
                    id = self.edge_id(&here)?;
                }
                "from" => from = self.edge_end(shape.map(|(_, ends)| &ends.from), &here)?,
                "to" => to = self.edge_end(shape.map(|(_, ends)| &ends.to), &here)?,
                "meta" => meta = self.meta(&here)?,
                _ => {
                    data_given = true;
                    if known_type == TypeKnown::NotYet {
                        known_type = self.known_type_ahead(TargetType::Relationship)?;
                    }
                    let shape = known_type
                        .index()
                        .and_then(|index| self.schema.relationship_shape(index));
                    match (self.scan.peek()?, shape) {
                        (Kind::Object, Some((edge, _))) => {
                            let whens = edge.whens.as_deref();
                            self.keep_data(&mut content, |run| run.data(&edge.fields, whens, &here))?;
                        }
                        (Kind::Object, None) => self.scan.skip()?,
                        (found, _) => self.wrong_kind(&here, "an object", found)?,
                    }
                }
            }
        }
        if !type_given {
            self.required(path, "type");
        }
        // A delete may name its edge by the id.
        if action != Action::Delete || !id_given {
            for (name, end) in [("from", &from), ("to", &to)] {
                if !end.given {
                    self.required(path, name);
                }
            }
        }
        let shape = known_type
            .index()
            .and_then(|index| self.schema.relationship_shape(index));
        if let Some((edge, ends)) = shape {
            self.end_fits(&from, &ends.from, &path.name("from"));
            self.end_fits(&to, &ends.to, &path.name("to"));
            if !data_given && action != Action::Delete {
                if !edge.fields.required.is_empty() {
                    let message = || {
                        "'data' is required, since the relationship type has required properties".to_owned()
                    };
                    self.faults.add(&path.name("data"), "required", message);
                }
                self.no_data(edge.whens.as_deref(), &path.name("data"));
            }
        }
        if let Some(id) = &id {
            self.id_agrees(id, &from, &to, &path.name("id"));
        }
        if self.faults.any() {
            return Ok(());
        }
        let (id_from, id_to) = id.map_or((None, None), |id| (Some(id.from), Some(id.to)));
        let (from, to) = (from.id.or(id_from), to.id.or(id_to));
        if let (Some(type_index), Some(from), Some(to)) = (known_type.index(), from, to) {
            self.passed = Some(Operation {
                action,
                type_index,
                id: RecordId::Relationship { from, to },
                hash: (action != Action::Delete).then(|| self.finish_body(content)),
                meta,
            });
        }
        Ok(())
    }

    pub(super) fn edge_id(&mut self, path: &Path<'_>) -> Result<Option<RelationshipId>, Halt> {
        let Some(text) = self.text(path)? else {
            return Ok(None);
        };
        match RelationshipId::parse(&text.decode()) {
            Ok(id) => Ok(Some(id)),
            Err(bad) => {
                self.faults.add(path, "id", || bad.to_string());
                Ok(None)
            }
        }
    }

    /// The id of an edge is made of its ends, so that it cannot differ from them.
    pub(super) fn id_agrees(&mut self, id: &RelationshipId, from: &GivenEnd, to: &GivenEnd, path: &Path<'_>) {
        let agrees = |part: &ResourceId, end: &GivenEnd| end.id.as_ref().is_none_or(|id| id == part);
        if !agrees(&id.from, from) || !agrees(&id.to, to) {
            self.faults.add(path, "id", || {
                let part = |end: &GivenEnd, part: &ResourceId| end.id.as_ref().unwrap_or(part).to_string();
                let wanted = format!("{}.{}", part(from, &id.from), part(to, &id.to));
                format!("is '{id}', but the ends make it '{wanted}'; leave the id out")
            });
        }
    }

    /// Takes the `{id, type}` of one end.
    pub(super) fn edge_end(
        &mut self,
        definition: Option<&EdgeEnd>,
        path: &Path<'_>,
    ) -> Result<GivenEnd, Halt> {
        const END_MEMBERS: [Known; 2] = members!["id", "type"];
        let mut end = GivenEnd {
            given: true,
            ..GivenEnd::default()
        };
        if !self.enter_object(path, "an object with id and type")? {
            return Ok(end);
        }
        let (mut id_given, mut type_given) = (false, false);
        let mut walk = Walk::default();
        let mut seen = Seen::default();
        loop {
            let member = match self.next_member(&mut walk, &END_MEMBERS)? {
                Next::Known(member) => member,
                Next::Unknown(name) => {
                    let name = name.decode();
                    self.faults.add_unknown(
                        &path.name(&name),
                        "unknown",
                        "member",
                        &name,
                        names(&END_MEMBERS),
                    );
                    self.scan.skip()?;
                    continue;
                }
                Next::End => break,
            };
            let name = END_MEMBERS[member].name;
            let here = path.name(name);
            if !seen.mark(member) {
                self.second(&here, name)?;
                continue;
            }
            if self.absent()? {
                continue;
            }
            let text = self.text(&here)?;
            if member == 0 {
                id_given = true;
                end.id = match text {
                    Some(text) => self.resource_id(&text.decode(), &here),
                    None => None,
                };
            } else {
                type_given = true;
                if let Some(text) = text {
                    let text = text.decode();
                    end.type_fits = definition.is_some_and(|definition| definition.profile.as_str() == text);
                    if !end.type_fits {
                        end.type_key = Some(text.into_owned());
                    }
                }
            }
        }
        if !id_given {
            self.required(path, "id");
        }
        if !type_given {
            self.required(path, "type");
        }
        Ok(end)
    }

    /// The type of an end must be the profile of the definition.
    pub(super) fn end_fits(&mut self, end: &GivenEnd, definition: &EdgeEnd, path: &Path<'_>) {
        let Some(found) = &end.type_key else { return };
        let wanted = definition.profile.as_str();
        if found != wanted {
            self.faults.add(&path.name("type"), "type", || {
                format!(
                    "is '{}', this end of the relationship type is '{wanted}'",
                    crate::fault::shown(found)
                )
            });
        }
    }
}
