//! Whether a server that finds a folder as the power left it knows all that had been answered, and all is as the model
//! says in the end.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use granary_api::relationships::RelationshipsQuery;
use granary_client::Client;
use granary_core::task::TaskKind;

use super::load::{Known, Load, SINGLES_FROM, Traffic, meetings};
use crate::agree::{
    Found, accepted, all_resources, edges, edges_agree, ended, identifiers_agree, number_in, receipts_agree,
    records_agree, tasks_in_order,
};
use crate::model::{Code, Model};
use crate::requests::{NEAR, Sent};
use crate::server::Start;
use crate::told::{Answer, Position};
use crate::{Place, Server};

/// Starts a server on the folder and checks it; the power was cut at this moment. The first applies nothing, or it might have
/// done again what was lost before anybody looks.
pub(super) async fn holds(data: &Path, log: &Path, load: &Load, moment: u64) -> Result<()> {
    let start = |role: &str| Start {
        place: Place::Folder(data.to_owned()),
        environment: vec![("GRANARY_ROLE".to_owned(), role.to_owned())],
        log: Some(log.to_owned()),
        before: Vec::new(),
    };
    let checked = async {
        let mut server = Server::spawn(start("api")).await.context("it does not start")?;
        shown_holds(&server.client()?, load, moment).await?;
        server.kill().await?;
        let mut server = Server::spawn(start("all"))
            .await
            .context("it does not start again")?;
        load_holds(&server.client()?, load, moment).await?;
        server.kill().await
    };
    checked.await.with_context(|| {
        let log = std::fs::read_to_string(log).unwrap_or_default();
        format!("its log: {}", log.trim())
    })
}

/// Checks that nothing is taken back that an answer had shown by this moment.
pub(super) async fn shown_holds(client: &Client, load: &Load, moment: u64) -> Result<()> {
    each_source(load, moment, async |traffic, known| {
        source_shows(client, traffic, known, traffic.told_at(moment)).await
    })
    .await
}

/// Checks each source that was defined by this moment. Another may be there or not; that the server starts is all there is to see.
async fn each_source(
    load: &Load,
    moment: u64,
    check: impl AsyncFn(&Traffic, &Known) -> Result<()>,
) -> Result<()> {
    for traffic in &load.0 {
        let known = traffic.known_at(moment);
        if known.defined {
            let checked = check(traffic, &known).await;
            checked.with_context(|| format!("source {}", traffic.key))?;
        }
    }
    Ok(())
}

async fn source_shows(client: &Client, traffic: &Traffic, known: &Known, seen: Position) -> Result<()> {
    let source = client.source(traffic.key);
    for shown in &known.shown {
        let task = source.task(&shown.task).await;
        let task = task.with_context(|| format!("task {} was shown and is gone", shown.task))?;
        let decided = task.counts.success + task.counts.failure;
        ensure!(
            decided >= shown.decided,
            "task {} was shown at {} and is back at {decided}",
            shown.task,
            shown.decided
        );
    }
    let mut found = all_resources(&source).await?;
    found.extend(edges(&source, NEAR, RelationshipsQuery::default()).await?);
    traffic.hold_all(seen, &found).context("what readers were told")?;
    for task in tasks_in_order(&source, TaskKind::Bulk).await? {
        let told = traffic.hold(seen, &Answer::Task(Box::new(task)));
        told.context("what readers were told")?;
    }
    Ok(())
}

/// Waits for the ends of all tasks, and checks them and all records.
pub(super) async fn load_holds(client: &Client, load: &Load, moment: u64) -> Result<()> {
    each_source(load, moment, async |traffic, known| {
        source_holds(client, traffic, known, moment).await
    })
    .await
}

async fn source_holds(client: &Client, traffic: &Traffic, known: &Known, moment: u64) -> Result<()> {
    let source = client.source(traffic.key);
    let tasks = tasks_in_order(&source, TaskKind::Bulk).await?;
    let accepted = accepted(&tasks, &known.sent)?;
    let sent: Vec<&Sent> = accepted.iter().map(|(_, sent)| *sent).collect();
    let mut model = Model::default();
    for (id, sent) in accepted {
        let task = ended(&source, &id).await?;
        let codes: Vec<Code> = sent.request.operations.iter().map(|o| model.apply(o)).collect();
        let agree = receipts_agree(&source, &task, &codes).await;
        agree.with_context(|| format!("task {id}"))?;
    }
    let found = records_agree(&source, &model).await?;
    edges_agree(&source, &model).await?;
    identifiers_agree(&source, &model, &sent).await?;
    registers_hold(traffic, &found, &sent, moment)
}

/// Records that were written by single writes hold what was written last, and as many versions as writes.
fn registers_hold(traffic: &Traffic, found: &Found, sent: &[&Sent], moment: u64) -> Result<()> {
    let mut by_tasks = BTreeMap::<String, u64>::new();
    for (name, _) in sent.iter().flat_map(|sent| meetings(&sent.request.operations)) {
        *by_tasks.entry(name).or_default() += 1;
    }
    traffic.each_register(|name, register| {
        let by_tasks = by_tasks.get(name).copied().unwrap_or_default();
        let found = found.get(&(name.to_owned(), None));
        let value = found.map(|(_, data)| number_in(data)).transpose()?;
        register.check(value, moment).with_context(|| name.to_owned())?;
        let version = found.map_or(0, |(version, _)| *version);
        let (least, most) = register.before(moment, SINGLES_FROM);
        ensure!(
            (by_tasks + least..=by_tasks + most).contains(&version),
            "{name} is in version {version} after {by_tasks} writes of tasks and {least} to {most} others"
        );
        Ok(())
    })
}
