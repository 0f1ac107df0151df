//! The first line of NDJSON: whether it is what it is sent as. The server would say of each line that it is not.

use std::path::Path;

use anyhow::bail;
use granary_client::api::definitions::Members;
use granary_client::api::page::PageQuery;
use granary_client::{DefinitionKind, SourceClient};
use granary_core::operation::Action;

use crate::input::Input;

/// So many types of a source are named.
const TYPES_SHOWN: u64 = 20;
/// Members of a record as `--type` takes it.
const OF_RECORD: [&str; 7] = ["id", "type", "data", "contained", "meta", "from", "to"];

/// Refuses a file whose first line is a record that does not say its type, or holds its properties beside its id.
pub(super) async fn must_look_right(
    source: &SourceClient,
    input: &mut Input,
    file: &Path,
    action: Action,
    type_key: Option<&str>,
) -> anyhow::Result<()> {
    let Some((number, line)) = input.first_line().await? else {
        return Ok(());
    };
    // What is no object is told by the server, with where it breaks off.
    let Ok(Members(members)) = serde_json::from_slice(&line) else {
        return Ok(());
    };
    let has = |name: &str| members.iter().any(|(own, _)| own == name);
    let name = &input.name;
    let Some(type_key) = type_key else {
        let operation = ["action", "create", "upsert", "delete"].into_iter().any(has);
        if operation || !(has("id") || has("data")) {
            return Ok(());
        }
        let types = types_of(source).await;
        bail!(
            "line {number} of {name} is no operation, which would have an 'action'; if each line is a record, say of \
             which type with --type{types}"
        );
    };
    let flat = members.iter().any(|(own, _)| !OF_RECORD.contains(&own.as_str()));
    if !flat || has("data") {
        return Ok(());
    }
    let wrapped = match (has("from") && has("to"), has("id"), action) {
        (_, true, Action::Delete) => "{id}",
        (true, ..) => "{from, to, data: del(.from, .to)}",
        (_, true, _) => "{id, data: del(.id)}",
        _ => "{data: .}",
    };
    let (from, reader) = match file == Path::new("-") {
        true => (String::new(), "… | "),
        false => (format!(" {}", in_shell(&file.display().to_string())), ""),
    };
    bail!(
        "line {number} of {name} is no record: its properties belong in 'data', \
         {{\"id\":…,\"data\":{{…}}}}; make records of such lines on their way:\n  \
         {reader}jq -c '{wrapped}'{from} | granary bulk - --source {} --type {type_key} --action {}",
        source.key(),
        action.name().to_lowercase()
    )
}

/// The types that there are, for people; nothing where they cannot be had.
async fn types_of(source: &SourceClient) -> String {
    let query = PageQuery {
        limit: Some(TYPES_SHOWN),
        ..PageQuery::default()
    };
    let Ok(page) = source.definitions(DefinitionKind::Profile, &query).await else {
        return String::new();
    };
    let keys: Vec<String> = page
        .data
        .iter()
        .map(|definition| definition.key.to_string())
        .collect();
    if keys.is_empty() {
        return String::new();
    }
    let more = if page.meta.cursor.is_some() { ", …" } else { "" };
    format!("; those of source {} are {}{more}", source.key(), keys.join(", "))
}

/// A word as a shell takes it.
pub(super) fn in_shell(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:@%+,".contains(&byte);
    match !word.is_empty() && word.bytes().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell_where_they_need_it() {
        for (word, quoted) in [
            ("a/b-1.csv", "a/b-1.csv"),
            ("No=id", "No=id"),
            ("Full name=name", "'Full name=name'"),
            ("it's", "'it'\\''s'"),
            ("", "''"),
        ] {
            assert_eq!(in_shell(word), quoted);
        }
    }
}
