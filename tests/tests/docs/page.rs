//! A page as text: its fenced blocks, what they spell, and its links.

use anyhow::{Context, Result, bail, ensure};

/// A part of a page. All of them, one after the other, are the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    /// A block of HTTP: a request, or an answer if it begins with `HTTP/1.1`.
    Http {
        /// Counted from 1: where its text begins.
        line: usize,
        text: String,
    },
}

const OPEN: &str = "```http";
const CLOSE: &str = "```";

/// Cuts a page at its fences. A fence that is not HTTP is refused: nothing would run it.
pub(crate) fn cut(page: &str) -> Result<Vec<Piece>> {
    let mut pieces = vec![Piece::Text(String::new())];
    let mut open = false;
    for (at, line) in page.split_inclusive('\n').enumerate() {
        let bare = line.trim_end();
        let fence = bare.trim_start().starts_with(CLOSE) || bare.trim_start().starts_with("~~~");
        if fence && !open {
            ensure!(
                bare == OPEN,
                "{}: a block '{bare}' is never run; write it as {OPEN}",
                at + 1
            );
            pieces.push(Piece::Http {
                line: at + 2,
                text: String::new(),
            });
            open = true;
        } else if fence && bare == CLOSE {
            pieces.push(Piece::Text(String::new()));
            open = false;
        } else if let Some(Piece::Text(text) | Piece::Http { text, .. }) = pieces.last_mut() {
            text.push_str(line);
        }
    }
    ensure!(!open, "the last block does not end");
    Ok(pieces)
}

/// The page that was cut.
pub(crate) fn join(pieces: &[Piece]) -> String {
    let written = pieces.iter().map(|piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Http { text, .. } => format!("{OPEN}\n{text}{CLOSE}\n"),
    });
    written.collect()
}

/// The first line, the headers and the body of a message.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    pub(crate) first: &'a str,
    pub(crate) headers: Vec<(&'a str, &'a str)>,
    /// Empty where there is none.
    pub(crate) body: &'a str,
}

/// Reads a message as HTTP spells it.
pub(crate) fn message(text: &str) -> Result<Message<'_>> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let first = lines.next().context("the block is empty")?;
    let headers = lines.map(|line| {
        let (name, value) = line
            .split_once(':')
            .with_context(|| format!("'{line}' is no header; an empty line goes before a body"))?;
        Ok((name.trim(), value.trim()))
    });
    Ok(Message {
        first,
        headers: headers.collect::<Result<_>>()?,
        body: body.trim_end_matches('\n'),
    })
}

/// True for the block of an answer.
pub(crate) fn is_answer(text: &str) -> bool {
    text.starts_with("HTTP/")
}

/// The status that the first line of an answer names.
pub(crate) fn status(first: &str) -> Result<u16> {
    let Some(code) = first.strip_prefix("HTTP/1.1 ") else {
        bail!("an answer begins with 'HTTP/1.1 ' and its status, not '{first}'");
    };
    let code = code.split(' ').next().unwrap_or_default();
    code.parse().with_context(|| format!("'{code}' is no status"))
}

/// Where the links of a page lead that stay in the project.
pub(crate) fn links(page: &str) -> impl Iterator<Item = &str> {
    let ends = page.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    ends.map(|(link, _)| link)
        .filter(|link| !link.contains("://") && !link.contains(' '))
}

/// True where the page has a heading with this anchor.
pub(crate) fn has_heading(page: &str, anchor: &str) -> bool {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    headings.into_iter().any(|heading| {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = text
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>() == anchor
    })
}

#[test]
fn a_page_is_cut_and_joined_and_a_block_that_nothing_runs_is_refused() {
    let page = "# A\n\n```http\nGET /limits\nAccept: x\n\n{}\n```\n\nand\n```http\nHTTP/1.1 200\n```\n";
    let pieces = cut(page).unwrap();
    assert_eq!(join(&pieces), page);
    let Piece::Http { line: 4, text } = &pieces[1] else {
        panic!("{pieces:?}")
    };
    let read = message(text).unwrap();
    assert_eq!(
        (read.first, read.headers, read.body),
        ("GET /limits", vec![("Accept", "x")], "{}")
    );
    assert!(cut("```json\n{}\n```\n").is_err());
    assert!(cut("```http\nGET /\n").is_err());
    assert!(has_heading("## A `b` c, d", "a-b-c-d"));
}
