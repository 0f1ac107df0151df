//! What a caller expects of what it changes, and the tags that name states.

use granary_core::decide::{Guard, Head};
use granary_core::error::ErrorObject;
use granary_core::schema::StoredDefinition;
use granary_store::Source;

/// What a caller expects of what it changes (`If-Match`, `If-None-Match: *`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    #[default]
    Anything,
    /// It exists.
    Exists,
    /// It does not.
    Absent,
    /// It exists with one of these tags; where there are none, it cannot be as expected.
    OneOf(Vec<String>),
}

impl Expected {
    /// The same for a record of this source, to be judged beside the write.
    pub(crate) fn guard(&self, source: &Source) -> Option<Guard> {
        match self {
            Self::Anything => None,
            Self::Exists => Some(Guard::Exists),
            Self::Absent => Some(Guard::Absent),
            Self::OneOf(tags) => {
                let stamp = |tag: &String| {
                    let (number, stamp) = tag.split_once('-')?;
                    let stamp = (number.parse() == Ok(source.number)).then(|| stamp.parse().ok())??;
                    // There is one way to write a tag.
                    (*tag == tag_of(source.number, stamp)).then_some(stamp)
                };
                Some(Guard::Stamp(tags.iter().filter_map(stamp).collect()))
            }
        }
    }

    /// Judges what has this tag, `None` where it does not exist.
    pub(crate) fn check(&self, what: &str, tag: Option<&str>) -> Result<(), ErrorObject> {
        let found = match (self, tag) {
            (Self::Anything, _) | (Self::Exists, Some(_)) | (Self::Absent, None) => return Ok(()),
            (Self::OneOf(tags), Some(tag)) if tags.iter().any(|known| known == tag) => return Ok(()),
            (Self::Absent, Some(_)) => "exists",
            (Self::Exists | Self::OneOf(_), None) => "does not exist",
            (Self::OneOf(_), Some(_)) => "was changed",
        };
        let message = format!("{what} {found}; read it and decide again");
        Err(ErrorObject::failed_precondition(message).with_code(412))
    }
}

/// The tag of a record: no other state that it ever has or had, in this source or one of the same key, has the same.
pub fn tag_of_record(source: &Source, head: &Head) -> String {
    tag_of(source.number, head.stamp)
}

fn tag_of(source: u32, stamp: u64) -> String {
    format!("{source}-{stamp}")
}

/// The same of a definition.
pub fn tag_of_definition(source: &Source, definition: &StoredDefinition) -> String {
    format!("{}-{}-{}", source.number, definition.number, definition.revision)
}

#[cfg(test)]
mod tests {
    use granary_core::keys::Key;
    use granary_core::time::Timestamp;

    use super::*;

    #[test]
    fn only_a_tag_of_this_source_as_it_was_given_names_a_stamp() {
        let source = Source {
            key: Key::parse("s").unwrap(),
            number: 7,
            created_at: Timestamp::EPOCH,
        };
        let one_of = |tags: &[&str]| Expected::OneOf(tags.iter().map(|tag| (*tag).to_owned()).collect());
        let tags = [
            "7-12", "8-12", "07-12", "7-013", "7-+14", "7", "", "7-", "-15", "7-16-1", "7-17",
        ];
        let guard = one_of(&tags).guard(&source);
        assert_eq!(guard, Some(Guard::Stamp(vec![12, 17])));
        assert_eq!(one_of(&[]).guard(&source), Some(Guard::Stamp(Vec::new())));
        assert_eq!(Expected::Anything.guard(&source), None);
    }
}
