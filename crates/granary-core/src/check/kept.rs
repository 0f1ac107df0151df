//! Records of an export, read back as they were: what was right when it was written need not fit the definitions that
//! are in force now. Seen to is what a store relies on: names, ends, times, identifiers, the version, that `data` and
//! `contained` are objects, and that contained resources have types, and ids that are unique in their parent.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::contained::MEMBERS;
use super::content::Content;
use super::relationship::GivenEnd;
use super::resource::TypeKnown;
use super::{Checker, Rejection, Run};
use crate::decide::VERSION_MAX;
use crate::fault::{Path, shown};
use crate::json::{Halt, Kind};
use crate::meta::SentMeta;
use crate::operation::{Action, Operation, RecordId, TargetType};

const RESOURCE: [&str; 5] = ["id", "type", "data", "contained", "meta"];
const RELATIONSHIP: [&str; 6] = ["id", "type", "from", "to", "data", "meta"];

/// A record of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptRecord {
    /// What puts it back: a create with its times and identifiers.
    pub operation: Operation,
    /// Its version.
    pub version: u32,
}

impl Checker<'_> {
    /// Reads a record of an export, of the kind that is checked, as it is shown to clients. Appends its body to `body`, as
    /// [`operation`](Self::operation) does.
    pub fn kept(&mut self, bytes: &[u8], body: &mut Vec<u8>) -> Result<KeptRecord, Rejection> {
        self.run_for(bytes, body, |run| run.kept())
    }
}

impl<'a> Run<'_, 'a, '_> {
    fn kept(&mut self) -> Result<Option<KeptRecord>, Halt> {
        let root = Path::ROOT;
        if !self.enter_object(&root, "an object")? {
            return Ok(None);
        }
        let is_edge = self.target == TargetType::Relationship;
        let known: &[&str] = if is_edge { &RELATIONSHIP } else { &RESOURCE };
        let mut given = [false; RELATIONSHIP.len()];
        let (mut known_type, mut id, mut edge_id) = (TypeKnown::NotYet, None, None);
        let (mut from, mut to) = (GivenEnd::default(), GivenEnd::default());
        let mut content = Content::default();
        let mut meta = None;
        let mut first = true;
        while let Some(name) = self.scan.member(first)? {
            first = false;
            let name = name.decode();
            let here = root.name(&name);
            let Some(place) = self.known_member(known, &mut given, &here, &name)? else {
                continue;
            };
            match known[place] {
                "id" if is_edge => edge_id = self.edge_id(&here)?,
                "id" => {
                    if let Some(text) = self.text(&here)? {
                        id = self.resource_id(&text.decode(), &here);
                    }
                }
                "type" => known_type = self.type_member(self.target, None, &here)?,
                "from" => from = self.edge_end(None, &here)?,
                "to" => to = self.edge_end(None, &here)?,
                "meta" => meta = self.kept_meta(&here)?,
                part => match self.scan.peek()? {
                    Kind::Object if part == "data" => {
                        self.keep_data(&mut content, |run| run.scan.skip())?;
                    }
                    Kind::Object => self.keep_contained(&mut content, |run| run.kept_contained(&here))?,
                    found => self.wrong_kind(&here, "an object", found)?,
                },
            }
        }
        let optional: &[&str] = if is_edge { &["id", "data"] } else { &["contained"] };
        for (name, _) in
            { known.iter().zip(given) }.filter(|(name, given)| !given && !optional.contains(*name))
        {
            self.required(&root, name);
        }
        let schema = self.schema;
        let shape = known_type
            .index()
            .and_then(|index| schema.relationship_shape(index));
        if let Some((_, ends)) = shape {
            self.end_fits(&from, &ends.from, &root.name("from"));
            self.end_fits(&to, &ends.to, &root.name("to"));
        }
        if let Some(edge_id) = &edge_id {
            self.id_agrees(edge_id, &from, &to, &root.name("id"));
        }
        let record = match is_edge {
            true => { from.id.zip(to.id) }.map(|(from, to)| RecordId::Relationship { from, to }),
            false => id.map(RecordId::Resource),
        };
        if self.faults.any() {
            return Ok(None);
        }
        let (Some(type_index), Some(id), Some((meta, version))) = (known_type.index(), record, meta) else {
            return Ok(None);
        };
        let operation = Operation {
            action: Action::Create,
            type_index,
            id,
            hash: Some(self.finish_body(content)),
            meta: Some(meta),
        };
        Ok(Some(KeptRecord { operation, version }))
    }

    /// Takes the `contained` object that is next.
    fn kept_contained(&mut self, path: &Path<'_>) -> Result<(), Halt> {
        self.scan.open()?;
        let (mut keys, mut ids) = (BTreeSet::new(), Vec::new());
        let mut first = true;
        while let Some(name) = self.scan.member(first)? {
            first = false;
            let key = name.decode();
            let here = path.name(&key);
            if !keys.insert(key.clone()) {
                self.second(&here, &key)?;
                continue;
            }
            match self.scan.peek()? {
                Kind::Null => self.scan.literal(Kind::Null)?,
                Kind::Array => {
                    self.scan.open()?;
                    let mut count = 0;
                    while self.scan.element(count == 0)? {
                        if let Some(id) = self.kept_item(&here.index(count))? {
                            ids.push((id, key.clone(), count));
                        }
                        count += 1;
                    }
                }
                found => {
                    self.wrong_kind(&here, "an array: contained resources always stand in one", found)?
                }
            }
        }
        self.unique_ids(ids, path);
        Ok(())
    }

    /// Takes a contained resource and tells its id.
    fn kept_item(&mut self, path: &Path<'_>) -> Result<Option<Cow<'a, str>>, Halt> {
        if !self.enter_object(path, "a contained resource, which is an object")? {
            return Ok(None);
        }
        let mut given = [false; MEMBERS.len()];
        let mut id = None;
        let mut first = true;
        while let Some(name) = self.scan.member(first)? {
            first = false;
            let name = name.decode();
            let here = path.name(&name);
            let Some(member) = self.known_member(&MEMBERS, &mut given, &here, &name)? else {
                continue;
            };
            match (MEMBERS[member], self.scan.peek()?) {
                ("id", _) => {
                    if let Some(text) = self.text(&here)? {
                        let text = text.decode();
                        id = self.resource_id(&text, &here).map(|_| text);
                    }
                }
                ("type", _) => {
                    self.text(&here)?;
                }
                ("data", Kind::Object) => self.scan.skip()?,
                ("contained", Kind::Object) => self.kept_contained(&here)?,
                ("contained", Kind::Null) => self.scan.literal(Kind::Null)?,
                (_, found) => self.wrong_kind(&here, "an object", found)?,
            }
        }
        for (name, _) in { MEMBERS.iter().zip(given) }.filter(|(name, given)| !given && **name != "contained")
        {
            self.required(path, name);
        }
        Ok(id)
    }

    /// Takes the `meta` of a record as the server has shown it.
    fn kept_meta(&mut self, path: &Path<'_>) -> Result<Option<(Box<SentMeta>, u32)>, Halt> {
        let mut version = None;
        // It may have been written while a clock ran ahead.
        let until = None;
        let meta = self.meta_beside(path, until, |run, name, here| {
            match name {
                "source" => run.scan.skip()?,
                "version" if version.is_none() => version = run.version(here)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        for (name, is_there) in [
            (
                "createdAt",
                meta.as_ref().is_some_and(|meta| meta.created_at.is_some()),
            ),
            (
                "updatedAt",
                meta.as_ref().is_some_and(|meta| meta.updated_at.is_some()),
            ),
            ("version", version.is_some()),
        ] {
            if !is_there && !self.faults.any() {
                self.required(path, name);
            }
        }
        Ok(meta.zip(version))
    }

    fn version(&mut self, path: &Path<'_>) -> Result<Option<u32>, Halt> {
        match self.scan.peek()? {
            Kind::Number => {
                let text = self.scan.number()?;
                let version = text
                    .parse()
                    .ok()
                    .filter(|version| (1..=VERSION_MAX).contains(version));
                if version.is_none() {
                    self.faults.add(path, "type", || {
                        format!("'{}' is no version: from 1 to {VERSION_MAX}", shown(text))
                    });
                }
                Ok(version)
            }
            found => {
                self.wrong_kind(path, "a number", found)?;
                Ok(None)
            }
        }
    }
}
