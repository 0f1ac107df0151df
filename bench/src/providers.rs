//! The data of the workload: providers of about 350 bytes, the same at every run.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Result;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

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
    "address": {"type": "object", "properties": {
      "line": {"type": "symbol"}, "city": {"type": "symbol"}, "postalCode": {"type": "symbol"},
      "country": {"type": "code", "rules": [{"enum": ["CA", "FR", "LU", "US"]}]}
    }}
  }
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
const ID_DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Writes a bulk request of so many creates, with random ids of 27 characters.
pub(crate) fn write_request(path: &Path, operations: u64) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(SEED);
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    out.write_all(br#"{"operations":["#)?;
    for number in 0..operations {
        if number > 0 {
            out.write_all(b",\n")?;
        }
        let (id, data) = provider(&mut rng, number);
        write!(
            out,
            r#"{{"action":"CREATE","create":{{"id":"{id}","type":"provider","data":{data}}}}}"#
        )?;
    }
    out.write_all(b"]}")?;
    out.flush()?;
    Ok(())
}

/// The same providers, each as its id and its data.
pub(crate) fn for_each(
    operations: u64,
    mut provider_is: impl FnMut(&str, &str) -> std::io::Result<()>,
) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(SEED);
    for number in 0..operations {
        let (id, data) = provider(&mut rng, number);
        provider_is(&id, &data)?;
    }
    Ok(())
}

fn provider(rng: &mut StdRng, number: u64) -> (String, String) {
    fn one<'a>(rng: &mut StdRng, of: &[&'a str]) -> &'a str {
        of[rng.random_range(0..of.len())]
    }
    let id: String = (0..27)
        .map(|_| char::from(ID_DIGITS[rng.random_range(0..62)]))
        .collect();
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
    let data = format!(
        r#"{{"name":"{first} {last}","practiceNumber":{practice},"specialities":["{one_speciality}","{another}"],"active":{active},"licensedSince":"{year}-{month:02}-15","rating":{}.{}0,"email":"provider{number}@clinic{street}.example","address":{{"line":"{street} Rue de la Grande Fontaine","city":"{city}","postalCode":"{postal}","country":"{country}"}}}}"#,
        rating / 10,
        rating % 10,
        practice = number + 1,
    );
    (id, data)
}
