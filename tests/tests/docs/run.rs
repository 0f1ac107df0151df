//! A page is run: its requests are sent in their order to a server of its own, and their answers compared.

use std::iter::Peekable;
use std::time::Duration;
use std::vec::IntoIter;

use anyhow::{Context, Result, bail, ensure};
use granary_test_description::{Call, Description};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, ETAG, HeaderMap};

use super::console::{self, CODE};
use super::layout::{compact, one_line, pretty};
use super::learned::Learned;
use super::machine::Machine;
use super::page::{self, Block, Kind, Message, Piece, cut, is_answer, join, message};

/// What is done with answers that are not those of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// They are differences.
    Compare,
    /// They take the place of those in the page.
    Update,
}

/// What a run of a page came to.
pub(crate) struct Done {
    pub(crate) examples: usize,
    pub(crate) differences: Vec<String>,
    /// The page, with the answers of this run where they differ.
    pub(crate) text: String,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
    /// What is wrong with it, or with its request, by the description of the API.
    undescribed: Option<String>,
}

/// Runs all examples of a page.
pub(crate) async fn page(text: &str, mode: Mode, description: &Description) -> Result<Done> {
    let mut run = Run {
        mode,
        description,
        machine: Machine::new(text).await?,
        learned: Learned::default(),
        done: Done {
            examples: 0,
            differences: Vec::new(),
            text: String::new(),
        },
        out: Vec::new(),
    };
    let mut rest = cut(text)?.into_iter().peekable();
    while let Some(piece) = rest.next() {
        let Piece::Block(block) = piece else {
            run.out.push(piece);
            continue;
        };
        let line = block.line;
        let ran = match &block.kind {
            Kind::Http => run.http(block, &mut rest).await,
            Kind::Console => run.console(block).await,
            Kind::File { .. } => run.file(block),
        };
        ran.with_context(|| format!("line {line}"))?;
    }
    run.done.text = join(&run.out);
    Ok(run.done)
}

struct Run<'d> {
    mode: Mode,
    description: &'d Description,
    machine: Machine,
    learned: Learned,
    done: Done,
    /// The page up to here, with the answers of this run where they differ.
    out: Vec<Piece>,
}

impl Run<'_> {
    /// Sends a request; its answer follows at once in the page, or is not written yet.
    async fn http(&mut self, block: Block, rest: &mut Peekable<IntoIter<Piece>>) -> Result<()> {
        let behind = matches!(self.out.last(), Some(Piece::Text(text)) if text.trim_end().ends_with(BEHIND));
        ensure!(!is_answer(&block.text), "an answer without a request before it");
        let sent = message(&block.text)?;
        let url = self.machine.url()?;
        if behind {
            keep_busy(&url, &sent).await?;
        }
        let answer = send(&url, &sent, &mut self.learned, self.description).await?;
        self.done.examples += 1;
        let undescribed = answer.undescribed.iter();
        self.done
            .differences
            .extend(undescribed.map(|why| format!("{}: {why}", block.line)));
        self.out.push(Piece::Block(block.clone()));
        let mut between = None;
        if let Some(Piece::Text(text)) = rest.peek()
            && text.trim().is_empty()
        {
            between = rest.next();
        }
        let written = match rest.peek() {
            Some(Piece::Block(next))
                if next.kind == Kind::Http && is_answer(&next.text) && between.is_some() =>
            {
                Some(next.clone())
            }
            _ => None,
        };
        match written {
            Some(mut written) => {
                rest.next();
                self.out.extend(between);
                if !is_as_written(&written.text, &answer, &mut self.learned)? {
                    let shown = as_page_shows(&answer, Some(&written.text), &self.learned)?;
                    self.differs(block.line, sent.first, &written.text, &shown);
                    written.text = shown;
                }
                self.out.push(Piece::Block(written));
            }
            None if self.mode == Mode::Update => {
                self.out.push(Piece::Text("\n".to_owned()));
                let text = as_page_shows(&answer, None, &self.learned)?;
                self.out.push(Piece::Block(Block {
                    text,
                    ..block.clone()
                }));
                self.out.extend(between);
            }
            None => bail!("no answer follows on this request; UPDATE_DOCS=1 writes it"),
        }
        if !behind {
            wait_until_ended(&url, &sent, &answer).await?;
        }
        Ok(())
    }

    /// Runs the commands of a block, one after the other.
    async fn console(&mut self, mut block: Block) -> Result<()> {
        let mut text = String::new();
        let mut steps = console::steps(&block.text)?.into_iter().peekable();
        while let Some(step) = steps.next() {
            self.done.examples += 1;
            let ran = self.machine.run(&step, &mut self.learned).await;
            let ran = ran.with_context(|| step.command.clone())?;
            let told = steps.peek().is_some_and(|next| next.command == CODE);
            ensure!(
                ran.succeeded || told,
                "{}: it fails, and '$ {CODE}' does not follow to say with which code:\n{}",
                step.command,
                ran.output
            );
            let mut shown = step.output.clone();
            if !console::is_as_written(&step.output, &ran.output, &mut self.learned) {
                shown = self.learned.to_write(&ran.output);
                self.differs(block.line, &step.command, &step.output, &shown);
            }
            text.push_str(&console::as_page_shows(&step, &shown));
        }
        block.text = text;
        self.out.push(Piece::Block(block));
        Ok(())
    }

    /// Writes a file into the folder that commands are run in.
    fn file(&mut self, block: Block) -> Result<()> {
        if let Kind::File { name, .. } = &block.kind {
            self.machine.write(name, &self.learned.sent(&block.text))?;
        }
        self.out.push(Piece::Block(block));
        Ok(())
    }

    fn differs(&mut self, line: usize, what: &str, written: &str, shown: &str) {
        if self.mode == Mode::Compare {
            let difference = format!("{line}: {what}\nis to answer\n{written}and answers\n{shown}");
            self.done.differences.push(difference);
        }
    }
}

async fn send(
    url: &str,
    written: &Message<'_>,
    learned: &mut Learned,
    description: &Description,
) -> Result<Answer> {
    let first = learned.sent(written.first);
    let (method, path) = first
        .split_once(' ')
        .context("a request begins with its method and path")?;
    let mut headers = HeaderMap::new();
    for (name, value) in &written.headers {
        headers.append(
            reqwest::header::HeaderName::try_from(*name)?,
            learned.header_to_send(value).try_into()?,
        );
    }
    let body = learned.sent(written.body);
    if !body.is_empty() && !headers.contains_key(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, "application/json".try_into()?);
    }
    let request = granary_tests::http()
        .build()
        .unwrap()
        .request(Method::try_from(method)?, format!("{url}{path}"))
        .headers(headers.clone())
        .body(body.clone());
    let answer = request.send().await?;
    let mut answer = Answer {
        status: answer.status().as_u16(),
        headers: answer.headers().clone(),
        body: answer.text().await?,
        undescribed: None,
    };
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let call = Call {
        method,
        path,
        media_type: media_type.unwrap_or_default(),
        body: body.as_bytes(),
    };
    let names = answer.headers.iter();
    let names: Vec<(String, String)> = names
        .map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    let got = granary_test_description::Answer {
        status: answer.status,
        headers: &names,
        body: answer.body.as_bytes(),
    };
    answer.undescribed = description
        .check(&call, &got)
        .err()
        .map(|fault| format!("{fault:#}"));
    Ok(answer)
}

/// True where the answer is the one in the page: its status, the headers that the page names, and its body if the page
/// shows one.
fn is_as_written(written: &str, answer: &Answer, learned: &mut Learned) -> Result<bool> {
    let written = message(written)?;
    let mut same = page::status(written.first)? == answer.status;
    for (name, value) in &written.headers {
        let actual = header(answer, name);
        same &= match name.eq_ignore_ascii_case(ETAG.as_str()) {
            true => value.starts_with('"') && learned.same_tag(value, actual),
            false => learned.same(value, actual),
        };
    }
    if !written.body.is_empty() {
        let (written, actual) = match kind(answer) {
            Body::Json => (compact(written.body), compact(&answer.body)),
            Body::Lines => {
                let compacted = |text: &str| text.lines().map(compact).collect::<Vec<_>>().join("\n");
                (compacted(written.body), compacted(&answer.body))
            }
            Body::Text => (
                written.body.to_owned(),
                answer.body.trim_end_matches('\n').to_owned(),
            ),
        };
        same &= learned.same(&written, &actual);
    }
    Ok(same)
}

/// The answer as a block of the page, with the headers that the page names already.
fn as_page_shows(answer: &Answer, before: Option<&str>, learned: &Learned) -> Result<String> {
    let named = match before {
        Some(before) => message(before)?.headers,
        None => Vec::new(),
    };
    let mut out = format!("HTTP/1.1 {}\n", answer.status);
    for (name, _) in named {
        let value = learned.header_to_write(header(answer, name));
        out.push_str(&format!("{name}: {value}\n"));
    }
    if !answer.body.is_empty() {
        let body = match kind(answer) {
            Body::Json => pretty(&answer.body)?,
            Body::Lines => {
                let lines: Vec<_> = answer.body.lines().map(one_line).collect();
                lines.join("\n")
            }
            Body::Text => answer.body.trim_end_matches('\n').to_owned(),
        };
        out.push_str(&format!("\n{}\n", learned.to_write(&body)));
    }
    Ok(out)
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    let value = answer.headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default()
}

enum Body {
    Json,
    Lines,
    Text,
}

fn kind(answer: &Answer) -> Body {
    match header(answer, "content-type").split(';').next() {
        Some("application/json") => Body::Json,
        Some("application/x-ndjson") => Body::Lines,
        _ => Body::Text,
    }
}

/// What goes before a request whose task is to be seen waiting.
const BEHIND: &str = "<!-- Sent while a large task is under way. -->";

/// Operations of that task: seconds of work.
const BUSY_WITH: usize = 300_000;

/// Gives the source of a request a task that what is sent next waits behind.
async fn keep_busy(url: &str, next: &Message<'_>) -> Result<()> {
    let source = source(next).context("the request is not for a source")?;
    let client = granary_tests::http().build().unwrap();
    let url = format!("{url}/sources/{source}/v1");
    let profile = client.put(format!("{url}/profiles/filler"));
    let profile = profile.body(r#"{"properties": {}}"#).send().await?;
    ensure!(
        profile.status() == 201,
        "the profile of the large task: {}",
        profile.text().await?
    );
    let line = "{\"action\": \"CREATE\", \"create\": {\"type\": \"filler\", \"data\": {}}}\n";
    let large = client.post(format!("{url}/resources/bulk"));
    let large = large
        .header(CONTENT_TYPE, "application/x-ndjson")
        .body(line.repeat(BUSY_WITH));
    let large = large.send().await?;
    ensure!(large.status() == 202, "the large task: {}", large.text().await?);
    Ok(())
}

/// The source that the path of a request names.
fn source<'a>(sent: &Message<'a>) -> Option<&'a str> {
    sent.first.split('/').nth(2)
}

/// How long a task or a command of a page may take: it only bounds a hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the task has ended that an answer of 202 names, so that what the page shows next is what came of it.
async fn wait_until_ended(url: &str, sent: &Message<'_>, answer: &Answer) -> Result<()> {
    if answer.status != 202 {
        return Ok(());
    }
    let accepted: serde_json::Value = serde_json::from_str(&answer.body)?;
    let (Some(task), Some(source)) = (accepted["taskId"].as_str(), source(sent)) else {
        return Ok(());
    };
    let url = format!("{url}/sources/{source}/v1/tasks/{task}");
    let http = granary_tests::http().build()?;
    let ended = async {
        loop {
            let task: serde_json::Value = http.get(&url).send().await?.json().await?;
            match task["status"].as_str() {
                Some("PENDING") => tokio::time::sleep(Duration::from_millis(5)).await,
                Some(_) => return Ok(()),
                None => bail!("{task} is no task"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, ended)
        .await
        .context("the task does not end")?
}
