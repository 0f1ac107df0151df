//! What names other records: references and the tokens in them.

use super::Run;
use super::tokens::Tokens;
use crate::fault::{Path, shown};
use crate::json::{Halt, Kind, Text};
use crate::keys::ResourceId;
use crate::operation::TargetType;
use crate::profile::fields::Value;
use crate::profile::rules::Judged;
use crate::profile::types::Named;

impl<'a> Run<'_, 'a, '_> {
    /// Judges the text of a reference that was just taken. A token is replaced in the copy by what it stands for.
    pub(super) fn named(
        &mut self,
        named: Named,
        value: &Value,
        text: Text<'a>,
        path: &Path<'_>,
    ) -> Result<(), Halt> {
        let sent = text.decode();
        match named {
            Named::ResourceType => {
                if self.schema.resource_type(&sent).is_none() {
                    self.no_resource_type(&sent, path);
                } else {
                    self.rules(value, &Judged::Text(&sent), path);
                }
            }
            Named::Resource if Tokens::is_token(&sent) => {
                if let Some(id) = self.token_in_reference(&sent, path)? {
                    self.put_in_place(text.raw().len() + 2, &format!("\"{id}\""));
                    self.rules(value, &Judged::Text(id.as_str()), path);
                }
            }
            Named::Resource => match ResourceId::parse(&sent) {
                Ok(_) => self.rules(value, &Judged::Text(&sent), path),
                Err(bad) => self.faults.add(path, "id", || bad.to_string()),
            },
        }
        Ok(())
    }

    #[cold]
    fn no_resource_type(&mut self, text: &str, path: &Path<'_>) {
        let schema = self.schema;
        if schema.has_profile(text) {
            let message = || format!("profile '{text}' is CONTAINED, a reference names a resource");
            self.faults.add(path, "type", message);
        } else {
            let known = schema.keys_of(TargetType::Resource);
            self.faults
                .add_unknown(path, "type", "resource type", text, known);
        }
    }

    /// The id that `text` spells or, in a bundle, stands for.
    pub(super) fn resource_id(&mut self, text: &str, path: &Path<'_>) -> Option<ResourceId> {
        if self.tokens.is_some() && Tokens::is_token(text) {
            return self.token(text, path);
        }
        match ResourceId::parse(text) {
            Ok(id) => Some(id),
            Err(bad) => {
                self.faults.add(path, "id", || bad.to_string());
                None
            }
        }
    }

    /// What a token of the bundle stands for.
    #[cold]
    pub(super) fn token(&mut self, token: &str, path: &Path<'_>) -> Option<ResourceId> {
        let found = self.tokens.and_then(|tokens| tokens.get(token)).cloned();
        if found.is_none() {
            let known = || self.tokens.iter().flat_map(|tokens| tokens.iter());
            if known().next().is_some() {
                self.faults.add_unknown(path, "id", "token", token, known());
            } else {
                self.faults.add(path, "id", || {
                    let token = shown(token);
                    format!("token '{token}' is not known, no create of the bundle takes a token as its id")
                });
            }
        }
        found
    }

    /// What a token in a reference stands for: in a bundle what the bundle says, in a create the record itself.
    #[cold]
    fn token_in_reference(&mut self, token: &str, path: &Path<'_>) -> Result<Option<ResourceId>, Halt> {
        if let Some(id) = self.tokens.and_then(|tokens| tokens.get(token)) {
            return Ok(Some(id.clone()));
        }
        if token == Tokens::PREFIX && self.created.is_some() {
            return self.created_id();
        }
        if self.tokens.is_some() {
            return Ok(self.token(token, path));
        }
        self.faults.add(path, "id", || {
            let token = shown(token);
            match self.created.is_some() {
                true => format!("'{token}' stands for nothing here, '@rootId' does for the record itself"),
                false => format!("'{token}' stands for nothing here, write the id itself"),
            }
        });
        Ok(None)
    }

    /// The id of the resource that is being created. It may stand later in the payload; then the check goes on from here
    /// afterwards.
    fn created_id(&mut self) -> Result<Option<ResourceId>, Halt> {
        let Some(created) = &self.created else {
            return Ok(None);
        };
        if let Some(id) = &created.id {
            return Ok(Some(id.clone()));
        }
        let payload = created.payload;
        let copying = self.scan.copying();
        self.scan.stop_copy();
        let here = self.scan.place();
        self.scan.go_back(payload);
        let mut sent = None;
        let mut first = true;
        while let Some(name) = self.scan.member(first)? {
            first = false;
            if name.decode() == "id" && self.scan.peek()? == Kind::String {
                sent = Some(self.scan.string()?.decode());
                break;
            }
            self.scan.skip()?;
        }
        self.scan.go_back(here);
        if copying {
            self.scan.start_copy();
        }
        let tokens = self.tokens;
        let sent = sent.and_then(|sent| match tokens.and_then(|tokens| tokens.get(&sent)) {
            Some(id) => Some(id.clone()),
            // An id that is none is told where it stands.
            None => ResourceId::parse(&sent).ok(),
        });
        let id = sent.or_else(|| self.new_resource_id());
        if let Some(created) = &mut self.created {
            created.id.clone_from(&id);
        }
        Ok(id)
    }
}
