//! The example data, in the binary so that the demo runs anywhere. Where it comes from and under which licences is in
//! `examples/airports/README.md`.

/// A file of the examples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct File {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it holds.
    pub(crate) bytes: &'static [u8],
}

macro_rules! example {
    ($folder:literal, $name:literal) => {
        File {
            name: $name,
            bytes: include_bytes!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../examples/",
                $folder,
                "/",
                $name
            )),
        }
    };
}

impl File {
    /// The key that its name spells.
    pub(crate) fn key(self) -> &'static str {
        self.name.split('.').next().unwrap_or(self.name)
    }

    /// How many lines it has.
    pub(crate) fn lines(self) -> u64 {
        self.bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .count() as u64
    }
}

/// What the resources of the source `airports` look like.
pub(crate) const PROFILES: [File; 5] = [
    example!("airports/profiles", "country.json"),
    example!("airports/profiles", "subdivision.json"),
    example!("airports/profiles", "runway-end.json"),
    example!("airports/profiles", "runway.json"),
    example!("airports/profiles", "airport.json"),
];

/// What its relationships join.
pub(crate) const RELATIONSHIP_DEFINITIONS: [File; 3] = [
    example!("airports/relationship-definitions", "subdivision-in-country.json"),
    example!("airports/relationship-definitions", "airport-in-subdivision.json"),
    example!("airports/relationship-definitions", "airport-in-country.json"),
];

/// Its resources, as bulk requests.
pub(crate) const RESOURCES: [File; 3] = [
    example!("airports", "countries.ndjson"),
    example!("airports", "subdivisions.ndjson"),
    example!("airports", "airports.ndjson"),
];

/// Its relationships, as bulk requests.
pub(crate) const RELATIONSHIPS: [File; 3] = [
    example!("airports", "subdivision-in-country.ndjson"),
    example!("airports", "airport-in-subdivision.ndjson"),
    example!("airports", "airport-in-country.ndjson"),
];

/// A request that is rejected.
pub(crate) const INVALID: File = example!("airports", "invalid.json");
/// The indexes of its operations that are wrong.
pub(crate) const INVALID_INDEXES: [u64; 3] = [1, 3, 6];

/// A request that is accepted and meets records that are there, and one that is not.
pub(crate) const CONFLICTS: File = example!("airports", "conflicts.ndjson");
/// What each of its operations ends with; 0 is well.
pub(crate) const CONFLICTS_CODES: [u16; 5] = [409, 404, 0, 0, 0];

/// The profile of the documentation of the Bulk API.
pub(crate) const PROVIDER: File = example!("providers/profiles", "provider.json");
/// Its examples: a create, an upsert and a delete.
pub(crate) const PROVIDERS: File = example!("providers", "bulk.json");

/// The licences that the data is under, which go where it goes.
pub(crate) const LICENSES: [File; 4] = [
    example!("airports", "LICENSE-airportsdata.txt"),
    example!("airports", "LICENSE-ourairports.txt"),
    example!("airports", "LICENSE-iso3166.txt"),
    example!("airports", "LICENSE-cldr.txt"),
];
