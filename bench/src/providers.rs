//! The records of the workloads: providers of about 350 bytes, each made from its number alone, the same at every run.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// The type of a provider.
pub(crate) const TYPE: &str = "provider";

/// The profile that the providers fit.
pub(crate) const PROFILE: &str = r#"{
  "properties": {
    "name": {"type": "symbol", "rules": [{"required": true, "max": 200}]},
    "practiceNumber": {"type": "integer", "rules": [{"min": 1, "max": 99999999}]},
    "specialities": {"type": "array", "items": {"type": "code"}, "rules": [{"max": 10}]},
    "active": {"type": "boolean"},
    "licensedSince": {"type": "date"},
    "rating": {"type": "decimal", "rules": [{"min": 0, "max": 5}]},
    "email": {"type": "symbol", "rules": [{"pattern": "^[^@ ]+@[^@ ]+$"}]},
    "notes": {"type": "symbol"},
    "address": {"type": "object", "properties": {
      "line": {"type": "symbol"}, "city": {"type": "symbol"}, "postalCode": {"type": "symbol"},
      "country": {"type": "code", "rules": [{"enum": ["CA", "FR", "LU", "US"]}]}
    }}
  }
}"#;

/// The type of an edge between two providers.
pub(crate) const EDGE_TYPE: &str = "worksWith";

/// The definition of these edges.
pub(crate) const EDGE_DEFINITION: &str = r#"{
  "from": {"profileKey": "provider", "includeKey": "worksWith", "includeCardinality": "0:*"},
  "to": {"profileKey": "provider", "includeKey": "workedWithBy", "includeCardinality": "0:*"},
  "properties": {"since": {"type": "date"}, "hours": {"type": "integer"}}
}"#;

const SEED: u64 = 20_260_101;
const FIRST: [&str; 8] = [
    "Alice", "Béla", "Chidi", "Dagny", "Emre", "Fatou", "Goran", "Hana",
];
const LAST: [&str; 8] = [
    "Achterberg",
    "Bergeron",
    "Castellanos",
    "Dvořák",
    "Eriksen",
    "Fujimoto",
    "Gagnon",
    "Haddad",
];
const CITIES: [&str; 6] = [
    "Montréal",
    "Luxembourg",
    "Lyon",
    "Portland",
    "Québec",
    "Strasbourg",
];
const SPECIALITIES: [&str; 6] = [
    "pharmacist",
    "cardiology",
    "family-medicine",
    "nursing",
    "oncology",
    "radiology",
];
const COUNTRIES: [&str; 4] = ["CA", "FR", "LU", "US"];
const WORDS: [&str; 12] = [
    "accepts",
    "patients",
    "of",
    "every",
    "age",
    "on",
    "weekdays",
    "evenings",
    "by",
    "telephone",
    "speaks",
    "French",
];
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const ID_LEN: usize = 27;

/// Chance that is the same at every run, of its own for each `stream` and number.
pub(crate) fn chance(stream: u64, number: u64) -> StdRng {
    StdRng::seed_from_u64(SEED.wrapping_add(stream << 48).wrapping_add(number))
}

/// The id of a provider: 27 characters by chance.
pub(crate) fn id(number: u64) -> String {
    let mut rng = chance(1, number);
    let digit = |_| char::from(DIGITS[rng.random_range(0..DIGITS.len())]);
    (0..ID_LEN).map(digit).collect()
}

fn one<'a>(rng: &mut StdRng, of: &[&'a str]) -> &'a str {
    of[rng.random_range(0..of.len())]
}

/// The data of a provider.
pub(crate) fn data(number: u64) -> String {
    written(number, "")
}

/// The data of the same provider with notes that make it some 700 bytes.
pub(crate) fn longer(number: u64) -> String {
    const NOTES_LEN: usize = 330;
    let mut rng = chance(3, number);
    let mut notes = String::with_capacity(NOTES_LEN + 40);
    notes.push_str(r#","notes":""#);
    while notes.len() < NOTES_LEN {
        notes.push_str(one(&mut rng, &WORDS));
        notes.push(' ');
    }
    notes.push_str(r#"always.""#);
    written(number, &notes)
}

/// Data that does not fit the profile: it has no name, and a number that is a text.
pub(crate) fn faulty(number: u64) -> String {
    let right = data(number);
    let rest = right
        .split_once(r#","specialities""#)
        .map_or("", |(_, rest)| rest);
    format!(r#"{{"practiceNumber":"{number}","specialities"{rest}"#)
}

fn written(number: u64, more: &str) -> String {
    let rng = &mut chance(2, number);
    let (first, last, city) = (one(rng, &FIRST), one(rng, &LAST), one(rng, &CITIES));
    let (one_speciality, another) = (one(rng, &SPECIALITIES), one(rng, &SPECIALITIES));
    let country = one(rng, &COUNTRIES);
    let (active, year, month) = (
        rng.random_bool(0.9),
        rng.random_range(1980..2025),
        rng.random_range(1..=12),
    );
    let (rating, street, postal) = (
        rng.random_range(0..50),
        rng.random_range(1..9_999),
        rng.random_range(10_000..99_999),
    );
    format!(
        r#"{{"name":"{first} {last}","practiceNumber":{practice},"specialities":["{one_speciality}","{another}"],"active":{active},"licensedSince":"{year}-{month:02}-15","rating":{}.{}0,"email":"provider{number}@clinic{street}.example"{more},"address":{{"line":"{street} Rue de la Grande Fontaine","city":"{city}","postalCode":"{postal}","country":"{country}"}}}}"#,
        rating / 10,
        rating % 10,
        practice = number + 1,
    )
}
