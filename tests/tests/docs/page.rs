//! A page as text: its fenced blocks, what they spell, and its links.

use anyhow::{Context, Result, bail, ensure};

/// A part of a page. All of them, one after the other, are the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    Block(Block),
}

/// What stands between two fences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) kind: Kind,
    /// Counted from 1: where its text begins.
    pub(crate) line: usize,
    pub(crate) text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// HTTP: a request, or an answer if it begins with `HTTP/1.1`.
    Http,
    /// Commands, each behind a `$`, and what they print.
    Console,
    /// A file that is there from here on, such as `csv sites.csv`.
    File { language: String, name: String },
}

impl Kind {
    /// What an opening fence says; nothing for one whose block would not be run.
    fn of(fence: &str) -> Option<Self> {
        match fence.strip_prefix(FENCE)? {
            "http" => Some(Self::Http),
            "console" => Some(Self::Console),
            words => {
                let (language, name) = words.split_once(' ')?;
                let plain = name.starts_with(|c: char| c.is_ascii_alphanumeric())
                    && name
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
                plain.then(|| Self::File {
                    language: language.to_owned(),
                    name: name.to_owned(),
                })
            }
        }
    }

    fn fence(&self) -> String {
        match self {
            Self::Http => format!("{FENCE}http"),
            Self::Console => format!("{FENCE}console"),
            Self::File { language, name } => format!("{FENCE}{language} {name}"),
        }
    }
}

const FENCE: &str = "```";

/// Cuts a page at its fences. A fence whose block nothing would run is refused.
pub(crate) fn cut(page: &str) -> Result<Vec<Piece>> {
    let mut pieces = vec![Piece::Text(String::new())];
    let mut open = false;
    for (at, line) in page.split_inclusive('\n').enumerate() {
        let bare = line.trim_end();
        let fence = bare.trim_start().starts_with(FENCE) || bare.trim_start().starts_with("~~~");
        if fence && !open {
            let kind = Kind::of(bare).with_context(|| {
                let line = at + 1;
                format!(
                    "{line}: a block '{bare}' is never run; write it as http, console, or 'LANGUAGE FILE'"
                )
            })?;
            pieces.push(Piece::Block(Block {
                kind,
                line: at + 2,
                text: String::new(),
            }));
            open = true;
        } else if fence && bare == FENCE {
            pieces.push(Piece::Text(String::new()));
            open = false;
        } else if let Some(Piece::Text(text) | Piece::Block(Block { text, .. })) = pieces.last_mut() {
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
        Piece::Block(block) => format!("{}\n{}{FENCE}\n", block.kind.fence(), block.text),
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
    let Piece::Block(block) = &pieces[1] else {
        panic!("{pieces:?}")
    };
    assert_eq!((&block.kind, block.line), (&Kind::Http, 4));
    let read = message(&block.text).unwrap();
    assert_eq!(
        (read.first, read.headers, read.body),
        ("GET /limits", vec![("Accept", "x")], "{}")
    );
    let page = "```csv sites.csv\nid\nnorth\n```\n```console\n$ granary --version\n```\n";
    let pieces = cut(page).unwrap();
    assert_eq!((pieces.len(), join(&pieces).as_str()), (5, page));
    assert!(cut("```json\n{}\n```\n").is_err());
    assert!(cut("```json ../x.json\n{}\n```\n").is_err());
    assert!(cut("```sh\ngranary\n```\n").is_err());
    assert!(cut("```http\nGET /\n").is_err());
    assert!(has_heading("## A `b` c, d", "a-b-c-d"));
}
