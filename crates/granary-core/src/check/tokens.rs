//! Tokens: what stands in a bundle for the ids of the resources that it creates (contract, section 8).

use std::collections::BTreeMap;

use crate::json::{Halt, Kind, Scanner};
use crate::keys::ResourceId;

/// What `@rootId`, `@rootId1`, … of one bundle stand for.
#[derive(Clone, Debug, Default)]
pub struct Tokens(BTreeMap<Box<str>, ResourceId>);

impl Tokens {
    /// What each token begins with; digits may follow.
    pub const PREFIX: &str = "@rootId";

    /// True where `text` has the form of a token.
    pub fn is_token(text: &str) -> bool {
        let digits = text.strip_prefix(Self::PREFIX);
        digits.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
    }

    /// Lets `token` stand for `id`; false if it is no token, or stands for one already.
    pub fn insert(&mut self, token: &str, id: ResourceId) -> bool {
        let new = Self::is_token(token) && !self.0.contains_key(token);
        if new {
            self.0.insert(token.into(), id);
        }
        new
    }

    /// What `token` stands for.
    pub fn get(&self, token: &str) -> Option<&ResourceId> {
        self.0.get(token)
    }

    /// Every token, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(AsRef::as_ref)
    }

    /// The token that a create takes: the `id` in the `create` of the operation `bytes`, if that is a token. Whether the
    /// operation is right is not judged here.
    pub fn taken_by(bytes: &[u8]) -> Option<String> {
        let mut nothing = Vec::new();
        let mut scanner = Scanner::new(bytes, super::DEPTH_MAX as usize, &mut nothing);
        let id = |scanner: &mut Scanner<'_, '_>| -> Result<Option<String>, Halt> {
            if !enter_member(scanner, "create")? || !enter_member(scanner, "id")? {
                return Ok(None);
            }
            match scanner.peek()? {
                Kind::String => Ok(Some(scanner.string()?.decode().into_owned())),
                _ => Ok(None),
            }
        };
        id(&mut scanner).ok()?.filter(|id| Self::is_token(id))
    }
}

/// Goes to the value of the member with this name of the object that is next; false if there is none.
fn enter_member(scanner: &mut Scanner<'_, '_>, wanted: &str) -> Result<bool, Halt> {
    if scanner.peek()? != Kind::Object {
        return Ok(false);
    }
    scanner.open()?;
    let mut first = true;
    while let Some(name) = scanner.member(first)? {
        first = false;
        if name.decode() == wanted {
            return Ok(true);
        }
        scanner.skip()?;
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_known_by_their_form() {
        for good in ["@rootId", "@rootId1", "@rootId007"] {
            assert!(Tokens::is_token(good), "{good}");
        }
        for bad in [
            "",
            "rootId",
            "@rootid",
            "@rootId ",
            "@rootIdx",
            "@rootId-1",
            "@root",
        ] {
            assert!(!Tokens::is_token(bad), "{bad}");
        }
    }

    #[test]
    fn the_token_of_a_create_is_found_wherever_it_stands() {
        let token = |json: &str| Tokens::taken_by(json.as_bytes());
        let found = Some("@rootId1".to_owned());
        assert_eq!(token(r#"{"action":"CREATE","create":{"id":"@rootId1"}}"#), found);
        assert_eq!(
            token(r#" {"create":{"data":{"id":"@rootId2"},"id":"\u0040rootId1"},"action":"CREATE"}"#),
            found
        );
        for none in [
            "",
            "1",
            "{}",
            r#"{"create":1}"#,
            r#"{"create":{"id":1}}"#,
            r#"{"create":{"id":"ab"}}"#,
            r#"{"upsert":{"id":"@rootId1"}}"#,
            r#"{"create":{"data":{"id":"@rootId2"}}}"#,
            r#"{"create":{"id":"@rootId1"#,
        ] {
            assert_eq!(token(none), None, "{none}");
        }
    }
}
