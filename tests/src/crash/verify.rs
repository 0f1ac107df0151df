//! Whether all is as the model says, in the end.

use anyhow::Result;
use granary_client::Client;

use super::Summary;
use super::load::{Load, SOURCE, single_holds};
use crate::agree::all_agrees;

pub(super) async fn everything(client: &Client, load: &Load, summary: &mut Summary) -> Result<()> {
    let source = client.source(SOURCE);
    (summary.accepted, summary.operations) = all_agrees(&source, &load.requests.sent).await?;
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
