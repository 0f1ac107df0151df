//! Reading records back: by id, by identifier, with what they contain and what joins them.

use std::collections::BTreeMap;

use anyhow::Context;
use granary_client::api::page::PageQuery;
use granary_client::api::relationships::RelationshipsQuery;
use granary_client::api::resources::Resource;
use granary_core::meta::Triple;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::examples;
use super::show::Show;
use crate::output::{DIM, Table, count, counted, pretty};

/// The airport that is read back, and the subdivision that it is in.
pub(super) const AIRPORT: &str = "CYYZ";
pub(super) const SUBDIVISION: &str = "CA-ON";

/// What the airport is identified by as well, in its notation.
pub(super) fn identifier() -> Triple {
    Triple {
        system: "https://iata.org/codes".into(),
        value: "YYZ".into(),
        usage: "official".into(),
    }
}

/// A resource as it was sent.
#[derive(Deserialize)]
struct Sent {
    id: String,
    data: Box<RawValue>,
    contained: Option<Box<RawValue>>,
    meta: Option<SentMeta>,
}

#[derive(Deserialize)]
struct SentMeta {
    identifier: Box<RawValue>,
}

/// A runway, as far as it is shown.
#[derive(Deserialize)]
struct Runway {
    data: RunwayData,
    contained: BTreeMap<String, Vec<RunwayEnd>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RunwayData {
    designation: String,
    length_feet: u64,
    surface: Option<String>,
}

#[derive(Deserialize)]
struct RunwayEnd {
    id: String,
}

impl Show<'_> {
    pub(super) async fn reading_back(&mut self) -> anyhow::Result<()> {
        self.step("Reading back")?;
        self.airport().await?;
        self.edges().await?;
        let page = self
            .airports
            .resources(
                "airport",
                &PageQuery {
                    limit: Some(3),
                    cursor: None,
                },
            )
            .await?;
        let in_order = page.data.is_sorted_by(|a, b| a.id < b.id);
        self.check(
            "a list is in the order of ids, and goes on",
            page.data.len() == 3 && in_order && page.meta.cursor.is_some(),
        );
        Ok(())
    }

    /// By its identifier, and then by its id.
    async fn airport(&mut self) -> anyhow::Result<()> {
        let (url, identifier) = (self.url, identifier().to_string());
        let airport = self.airports.get_resource("airport", &identifier).await?;
        let shown = Resource {
            contained: None,
            ..airport.clone()
        };
        self.say("An airport by its IATA code, which is one of its identifiers:\n")?;
        self.say(format_args!(
            "{DIM}GET {url}/sources/airports/v1/resources/airport/{identifier}{DIM:#}"
        ))?;
        self.say(pretty(&serde_json::to_string(&shown)?))?;
        let contained = airport.contained.as_deref().map_or("{}", RawValue::get);
        let contained: BTreeMap<String, Vec<Runway>> = serde_json::from_str(contained)?;
        self.runways(contained.get("runways").map_or(&[], Vec::as_slice))?;

        let by_id = self.airports.get_resource("airport", AIRPORT).await?;
        let same = serde_json::to_string(&by_id)? == serde_json::to_string(&airport)?;
        self.check(
            "an identifier leads to the airport that its id leads to",
            same && by_id.id == AIRPORT,
        );
        let sent = sent(AIRPORT).with_context(|| format!("{AIRPORT} is not in the examples"))?;
        self.check(
            "an airport is read byte for byte as it was sent",
            sent.data.get() == airport.data.get(),
        );
        let text = |value: Option<&RawValue>| value.map(|value| value.get().to_owned());
        self.check(
            "so are its runways, with their ends",
            sent.contained.is_some() && text(sent.contained.as_deref()) == text(airport.contained.as_deref()),
        );
        let identifiers = sent.meta.map(|meta| meta.identifier);
        self.check(
            "so are its identifiers",
            identifiers.is_some() && text(identifiers.as_deref()) == text(airport.meta.identifier.as_deref()),
        );
        Ok(())
    }

    fn runways(&mut self, runways: &[Runway]) -> anyhow::Result<()> {
        self.say(format_args!(
            "\nIt contains {}, with two ends each:\n",
            counted(runways.len() as u64, "runway")
        ))?;
        let header = ["RUNWAY", "FEET", "SURFACE"];
        let rows: Vec<_> = runways
            .iter()
            .map(|Runway { data, .. }| {
                let surface = data.surface.clone().unwrap_or_default();
                vec![data.designation.clone(), count(data.length_feet), surface]
            })
            .collect();
        let table = Table::fit(&header, &rows);
        self.say(table.header(&header))?;
        for row in &rows {
            self.say(table.row(row))?;
        }
        let named_by_its_ends = |runway: &Runway| {
            let ends = runway.contained.get("ends").map_or(&[][..], Vec::as_slice);
            let ids: Vec<&str> = ends.iter().map(|end| &*end.id).collect();
            ids.len() == 2 && ids.join("/") == runway.data.designation
        };
        self.check(
            "every runway has the two ends that it is named by",
            !runways.is_empty() && runways.iter().all(named_by_its_ends),
        );
        Ok(())
    }

    async fn edges(&mut self) -> anyhow::Result<()> {
        let url = self.url;
        let (edge_type, id) = ("airport-in-subdivision", format!("{AIRPORT}.{SUBDIVISION}"));
        let edge = self.airports.get_relationship(edge_type, &id).await?;
        self.say(format_args!(
            "\n{DIM}GET {url}/sources/airports/v1/relationships/{edge_type}/{id}{DIM:#}"
        ))?;
        self.say(pretty(&serde_json::to_string(&edge)?))?;
        let ends = edge.id == id && edge.from.id == AIRPORT && edge.to.id == SUBDIVISION;
        self.check("a relationship is read as it was sent", ends);

        let query = RelationshipsQuery {
            to: Some(SUBDIVISION.into()),
            limit: Some(1_000),
            ..Default::default()
        };
        let edges = self.airports.relationships(edge_type, &query).await?.data;
        let here = !edges.is_empty() && edges.iter().all(|edge| edge.to.id == SUBDIVISION);
        self.check("the relationships of one end are listed", here);
        self.say(format_args!(
            "\n{SUBDIVISION} has {}.",
            counted(edges.len() as u64, "airport")
        ))
    }
}

/// The airport with this id as it was sent.
fn sent(id: &str) -> Option<Sent> {
    #[derive(Deserialize)]
    struct Operation {
        create: Sent,
    }
    let lines = examples::RESOURCES[2].bytes.split(|byte| *byte == b'\n');
    let mut sent = lines.filter_map(|line| Some(serde_json::from_slice::<Operation>(line).ok()?.create));
    sent.find(|airport| airport.id == id)
}
