//! Whether all is as the model says, in the end.

use anyhow::{Context, Result};
use granary_client::Client;
use granary_core::task::TaskKind;

use super::Summary;
use super::load::{Load, SOURCE, single_holds};
use crate::agree::{
    accepted, edges_agree, ended, identifiers_agree, receipts_agree, records_agree, tasks_in_order,
};
use crate::model::{Code, Model};
use crate::requests::Sent;

pub(super) async fn everything(client: &Client, load: &Load, summary: &mut Summary) -> Result<()> {
    let source = client.source(SOURCE);
    let tasks = tasks_in_order(&source, TaskKind::Bulk).await?;
    let accepted = accepted(&tasks, &load.requests.sent)?;
    summary.accepted = accepted.len();
    summary.operations = 0;
    let mut model = Model::default();
    let sent: Vec<&Sent> = accepted.iter().map(|(_, sent)| *sent).collect();
    for (id, sent) in accepted {
        let task = ended(&source, &id).await?;
        let codes: Vec<Code> = sent.request.operations.iter().map(|o| model.apply(o)).collect();
        summary.operations += codes.len() as u64;
        receipts_agree(&source, &task, &codes)
            .await
            .with_context(|| format!("task {id}"))?;
    }
    records_agree(&source, &model).await?;
    edges_agree(&source, &model).await?;
    identifiers_agree(&source, &model, &sent).await?;
    for (id, single) in &load.singles {
        single_holds(&source, id, single).await?;
    }
    summary.single_writes = load
        .singles
        .values()
        .filter(|single| single.acknowledged.is_some())
        .count();
    Ok(())
}
