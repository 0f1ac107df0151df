//! Single writes and bundles of a cluster run.

use std::sync::atomic::Ordering;

use anyhow::{Context, Result, ensure};
use granary_client::Client;
use rand::RngExt;
use rand::rngs::StdRng;
use reqwest::Method;
use serde_json::{Value, json};

use super::check::may_fail;
use super::load::{Load, Traffic, lock, mixed_id, pair_of};
use crate::calls::{Answer, Call};
use crate::requests::{HOME, NEAR};

const SINGLES: u32 = 6;
const COUNTERS: u32 = 2;
const PAIRS: u32 = 3;

impl Load {
    /// Writes by a single write or a bundle, and notes its task; `None` where there was no answer.
    async fn write(&self, traffic: &Traffic, client: &Client, call: Call<'_>) -> Result<Option<Answer>> {
        let answer = self.call(client, call).await?;
        match &answer {
            Some(answer) if answer.is_success() => {
                lock(&traffic.tasks).insert(answer.task()?);
            }
            Some(_) => {}
            None => {
                traffic.without_task.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(answer)
    }

    /// Overwrites a record, or reads it.
    pub(super) async fn single(&self, traffic: &Traffic, client: &Client, rng: &mut StdRng) -> Result<()> {
        let id = format!("single-{}", rng.random_range(0..SINGLES));
        let call = Call {
            method: Method::GET,
            source: &traffic.key,
            path: &format!("resources/place/{id}"),
            if_match: None,
            body: None,
        };
        if rng.random_bool(0.3) {
            let began = self.tick();
            let Some(answer) = self.call(client, call).await? else {
                return Ok(());
            };
            ensure!(
                matches!(answer.status, 200 | 404),
                "a read was answered {answer:?}"
            );
            let found = answer.body["data"]["n"].as_u64();
            let mut singles = lock(&traffic.singles);
            let checked = singles.entry(id.clone()).or_default().check(found, began);
            return checked.with_context(|| format!("a read of {id} by {}", client.server()));
        }
        let (value, began) = (self.value(), self.tick());
        lock(&traffic.singles)
            .entry(id.clone())
            .or_default()
            .begin(value, began);
        let put = Call {
            method: Method::PUT,
            body: Some(json!({"data": {"n": value}})),
            ..call
        };
        let Some(answer) = self.write(traffic, client, put).await? else {
            return Ok(());
        };
        ensure!(answer.is_success(), "a write was answered {answer:?}");
        if let Some(single) = lock(&traffic.singles).get_mut(&id) {
            single.answered(value, self.tick());
        }
        Ok(())
    }

    /// Adds one to a record that nobody else has changed since it was read.
    pub(super) async fn counter(&self, traffic: &Traffic, client: &Client, rng: &mut StdRng) -> Result<()> {
        let id = format!("counter-{}", rng.random_range(0..COUNTERS));
        let path = &format!("resources/place/{id}");
        let read = Call {
            method: Method::GET,
            source: &traffic.key,
            path,
            if_match: None,
            body: None,
        };
        let Some(found) = self.call(client, read).await? else {
            return Ok(());
        };
        if found.status == 404 {
            let create = Call {
                method: Method::POST,
                source: &traffic.key,
                path: "resources/place",
                if_match: None,
                body: Some(json!({"id": id, "data": {"n": 0}})),
            };
            let Some(answer) = self.write(traffic, client, create).await? else {
                return Ok(());
            };
            ensure!(
                answer.is_success() || answer.status == 409,
                "a create was answered {answer:?}"
            );
            return Ok(());
        }
        ensure!(found.status == 200, "a read was answered {found:?}");
        let n = found.body["data"]["n"].as_u64().context("a counter counts")?;
        let version = found.body["meta"]["version"].as_u64();
        ensure!(
            version == Some(n + 1),
            "{id} was counted to {n} in {version:?} versions"
        );
        // Another node may well take it.
        let client = self.some_node(rng).unwrap_or_else(|| client.clone());
        let put = Call {
            method: Method::PUT,
            source: &traffic.key,
            path,
            if_match: Some(found.etag.as_deref().context("a record has an ETag")?),
            body: Some(json!({"data": {"n": n + 1}})),
        };
        let answer = self.write(traffic, &client, put).await?;
        let mut counters = lock(&traffic.counters);
        let counter = counters.entry(id).or_default();
        match answer {
            None => counter.unanswered += 1,
            Some(answer) if answer.is_success() => counter.answered += 1,
            Some(answer) => ensure!(
                answer.status == 412,
                "a conditional write was answered {answer:?}"
            ),
        }
        Ok(())
    }

    /// Writes two records and the edge between them, all or none.
    pub(super) async fn pair(&self, traffic: &Traffic, client: &Client, rng: &mut StdRng) -> Result<()> {
        let id = format!("pair-{}", rng.random_range(0..PAIRS));
        let (from, to) = pair_of(&id);
        let (value, began) = (self.value(), self.tick());
        lock(&traffic.pairs)
            .entry(id.clone())
            .or_default()
            .begin(value, began);
        let resource = |id: &str| json!({"action": "UPSERT", "upsert": {"type": "place", "id": id, "data": {"n": value}}});
        let mut resources = vec![resource(&from), resource(&to)];
        if rng.random_bool(0.5) {
            resources.reverse();
        }
        let bundle = Call {
            method: Method::POST,
            source: &traffic.key,
            path: "bundle",
            if_match: None,
            body: Some(json!({
                "resourceOperations": resources,
                "relationshipOperations": [{"action": "UPSERT", "upsert": edge(Some(NEAR), &from, &to, value)}],
            })),
        };
        let Some(answer) = self.write(traffic, client, bundle).await? else {
            return Ok(());
        };
        ensure!(answer.is_success(), "a bundle was answered {answer:?}");
        if let Some(pair) = lock(&traffic.pairs).get_mut(&id) {
            pair.answered(value, self.tick());
        }
        Ok(())
    }

    /// Creates or deletes what bulk requests create and delete as well.
    pub(super) async fn mixed(&self, traffic: &Traffic, client: &Client, rng: &mut StdRng) -> Result<()> {
        let (a, b, n) = (mixed_id(rng), mixed_id(rng), self.value());
        let of_type = if rng.random_bool(0.5) { NEAR } else { HOME };
        let edges_path = &format!("relationships/{of_type}");
        let edge_path = &format!("{edges_path}/{a}.{b}");
        let resource_path = &format!("resources/place/{a}");
        let (method, path, body): (_, &str, _) = match rng.random_range(0..10) {
            0..3 => (
                Method::POST,
                "resources/place",
                Some(json!({"id": a, "data": {"n": n}})),
            ),
            3..5 => (Method::DELETE, resource_path, None),
            5..7 => (Method::POST, edges_path, Some(edge(None, &a, &b, n))),
            7..8 => (Method::DELETE, edge_path, None),
            _ => {
                let create =
                    json!({"action": "CREATE", "create": {"type": "place", "id": a, "data": {"n": n}}});
                let delete = json!({"action": "DELETE", "delete": {"type": "place", "id": b}});
                let created = json!({"action": "CREATE", "create": edge(Some(of_type), &a, "mix-0", n)});
                // A record may be in a bundle once.
                let edges = if b == "mix-0" { json!([]) } else { json!([created]) };
                let resources = if a == b {
                    json!([create])
                } else {
                    json!([create, delete])
                };
                let both = json!({"resourceOperations": resources, "relationshipOperations": edges});
                (Method::POST, "bundle", Some(both))
            }
        };
        let call = Call {
            method,
            source: &traffic.key,
            path,
            if_match: None,
            body,
        };
        if let Some(answer) = self.write(traffic, client, call).await? {
            let is_precondition = answer.body["type"] == "FAILED_PRECONDITION"
                || answer.body["relationshipReceipts"][0]["error"]["type"] == "FAILED_PRECONDITION";
            let expected = answer.is_success() || may_fail(answer.status, is_precondition);
            ensure!(expected, "a write was answered {answer:?}");
        }
        Ok(())
    }
}

fn edge(of_type: Option<&str>, from: &str, to: &str, n: u64) -> Value {
    let mut edge = json!({
        "from": {"type": "place", "id": from}, "to": {"type": "place", "id": to}, "data": {"n": n}
    });
    // In a single write the path says it.
    if let Some(of_type) = of_type {
        edge["type"] = of_type.into();
    }
    edge
}
