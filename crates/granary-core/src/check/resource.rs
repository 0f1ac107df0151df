//! The payload of an operation on a resource.

use super::content::Content;
use super::members::{Known, Next, Walk, members, names};
use super::tokens::Tokens;
use super::value::Seen;
use super::{Created, Run};
use crate::fault::{Path, did_you_mean, shown};
use crate::json::{Halt, Kind};
use crate::keys::ResourceId;
use crate::operation::{Action, Operation, RecordId, TargetType};

/// The members of a create or an upsert; a delete has the first two.
const MEMBERS: [Known; 5] = members!["type", "id", "data", "contained", "meta"];

/// What is known of the type of a payload.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum TypeKnown {
    /// Its member is still to come, if there is one.
    NotYet,
    /// It is given, and is no type of this kind.
    Wrong,
    /// This one.
    Is(u32),
}

impl TypeKnown {
    pub(super) fn index(self) -> Option<u32> {
        match self {
            Self::Is(index) => Some(index),
            _ => None,
        }
    }
}

impl Run<'_, '_, '_> {
    /// Takes the payload of an operation on a resource. `fixed_type` and `fixed_id` are those of the path of a single
    /// write.
    pub(super) fn resource(
        &mut self,
        action: Action,
        path: &Path<'_>,
        fixed_type: Option<u32>,
        fixed_id: Option<&ResourceId>,
    ) -> Result<(), Halt> {
        if fixed_type.is_some_and(|index| self.schema.resource_shape(index).is_none()) {
            return self.scan.skip();
        }
        if !self.enter_object(path, "an object")? {
            return Ok(());
        }
        self.created = (action == Action::Create).then(|| Created {
            payload: self.scan.place(),
            id: None,
        });
        let known: &[Known] = if action == Action::Delete {
            &MEMBERS[..2]
        } else {
            &MEMBERS
        };
        let mut known_type = fixed_type.map_or(TypeKnown::NotYet, TypeKnown::Is);
        let (mut id, mut meta) = (None, None);
        let mut content = Content::default();
        let mut seen = Seen::default();
        let (mut type_given, mut id_given, mut data_given) =
            (fixed_type.is_some(), fixed_id.is_some(), false);
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
            match name {
                "type" => {
                    known_type = self.type_member(TargetType::Resource, fixed_type, &here)?;
                    type_given = true;
                }
                "id" => {
                    id = self.id_member(action, fixed_id, &here)?;
                    id_given = true;
                }
                "meta" => meta = self.meta(&here)?,
                part => {
                    if known_type == TypeKnown::NotYet {
                        known_type = self.known_type_ahead(TargetType::Resource)?;
                    }
                    let shape = known_type
                        .index()
                        .and_then(|index| self.schema.resource_shape(index));
                    data_given |= part == "data";
                    match (self.scan.peek()?, shape) {
                        (Kind::Object, Some(shape)) if part == "data" => {
                            let whens = shape.whens.as_deref();
                            self.keep_data(&mut content, |run| run.data(&shape.fields, whens, &here))?;
                        }
                        (Kind::Object, Some(shape)) => {
                            let root = known_type
                                .index()
                                .map_or("", |i| self.schema.types()[i as usize].key.as_str());
                            self.keep_contained(&mut content, |run| run.contained(shape, root, &here))?;
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
        if action == Action::Delete {
            if !id_given {
                self.required(path, "id");
            }
        } else {
            if !id_given && action == Action::Upsert {
                self.required(path, "id");
            }
            if !data_given {
                self.required(path, "data");
            }
            let shape = known_type
                .index()
                .and_then(|index| self.schema.resource_shape(index));
            if let (Some(shape), None) = (shape, &content.contained) {
                self.missing_contained(shape, &Seen::default(), &path.name("contained"));
            }
        }
        let id = id.or_else(|| fixed_id.cloned());
        self.judge_claims(id.as_ref());
        if self.faults.any() {
            return Ok(());
        }
        let id = id.or_else(|| self.created.take()?.id);
        let id = id.or_else(|| self.new_resource_id());
        if let (Some(type_index), Some(id)) = (known_type.index(), id) {
            self.passed = Some(Operation {
                action,
                type_index,
                id: RecordId::Resource(id),
                hash: (action != Action::Delete).then(|| self.finish_body(content)),
                meta,
            });
        }
        Ok(())
    }

    /// Takes an `id`, which must be that of the path if there is one.
    fn id_member(
        &mut self,
        action: Action,
        fixed: Option<&ResourceId>,
        path: &Path<'_>,
    ) -> Result<Option<ResourceId>, Halt> {
        let Some(text) = self.text(path)? else {
            return Ok(None);
        };
        let text = text.decode();
        if action == Action::Create && self.tokens.is_some() && Tokens::is_token(&text) {
            return Ok(self.token(&text, path));
        }
        match (ResourceId::parse(&text), fixed) {
            (Ok(id), Some(fixed)) if id != *fixed => {
                self.faults.add(path, "id", || {
                    format!("is '{id}', but the path names '{fixed}'; send one of them")
                });
                Ok(None)
            }
            (Ok(id), _) => Ok(Some(id)),
            (Err(bad), _) => {
                self.faults.add(path, "id", || bad.to_string());
                Ok(None)
            }
        }
    }

    /// Takes a `type`, which must be a type of this kind, and that of the path if there is one.
    pub(super) fn type_member(
        &mut self,
        target: TargetType,
        fixed: Option<u32>,
        path: &Path<'_>,
    ) -> Result<TypeKnown, Halt> {
        let Some(text) = self.text(path)? else {
            return Ok(fixed.map_or(TypeKnown::Wrong, TypeKnown::Is));
        };
        let text = text.decode();
        if let Some(fixed) = fixed {
            let wanted = &self.schema.types()[fixed as usize].key;
            if *wanted.as_str() != *text {
                self.faults.add(path, "type", || {
                    format!(
                        "is '{}', but the path names '{wanted}'; send one of them",
                        shown(&text)
                    )
                });
            }
            return Ok(TypeKnown::Is(fixed));
        }
        let Some(index) = self.schema.type_of(target, &text) else {
            self.unknown_type(target, &text, path);
            return Ok(TypeKnown::Wrong);
        };
        Ok(TypeKnown::Is(index))
    }

    #[cold]
    fn unknown_type(&mut self, target: TargetType, text: &str, path: &Path<'_>) {
        let schema = self.schema;
        match target {
            TargetType::Resource if schema.has_profile(text) => self.faults.add(path, "type", || {
                format!("profile '{text}' is CONTAINED, write its records in 'contained' of their parent")
            }),
            TargetType::Resource if schema.relationship_type(text).is_some() => {
                self.faults.add(path, "type", || {
                    format!("'{text}' is a relationship type, send its operations to the relationships of the source")
                });
            }
            TargetType::Relationship if schema.has_profile(text) => self.faults.add(path, "type", || {
                format!("'{text}' is a profile, send its operations to the resources of the source")
            }),
            TargetType::Resource => {
                self.faults
                    .add_unknown(path, "type", "resource type", text, schema.keys_of(target));
            }
            TargetType::Relationship => {
                self.faults
                    .add_unknown(path, "type", "relationship type", text, schema.keys_of(target));
            }
        }
    }

    /// The type that is named later in the payload. If it is wrong, that is told where it stands.
    pub(super) fn known_type_ahead(&mut self, target: TargetType) -> Result<TypeKnown, Halt> {
        let Some(text) = self.type_ahead()? else {
            return Ok(TypeKnown::Wrong);
        };
        Ok(self
            .schema
            .type_of(target, &text.decode())
            .map_or(TypeKnown::Wrong, TypeKnown::Is))
    }

    /// Skips a member that a payload of this action does not have.
    #[cold]
    pub(super) fn unknown_member(
        &mut self,
        action: Action,
        path: &Path<'_>,
        name: &str,
        known: &[Known],
        all: &[Known],
    ) -> Result<(), Halt> {
        self.faults.add(path, "unknown", || {
            if names(all).any(|member| member == name) {
                return format!(
                    "'{name}' has no place in {} {}",
                    article(action),
                    action.payload()
                );
            }
            let hint = did_you_mean(name, names(known));
            format!("member '{}' is not known{hint}", shown(name))
        });
        self.scan.skip()
    }
}

fn article(action: Action) -> &'static str {
    if action == Action::Upsert { "an" } else { "a" }
}
