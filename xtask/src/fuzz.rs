//! Runs the fuzz targets of `fuzz/`, without the help of cargo-fuzz: builds them with the flags that it would pass, and
//! hands libFuzzer the committed corpus. The flags are those of any toolchain: the address sanitizer, which wants a
//! nightly one, looks for what safe code cannot do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

/// Has the compiler count which edges are taken and what is compared.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Ccodegen-units=1";
/// How many executions a target has in the test run. The corpus alone is some hundreds of them.
const RUNS: u64 = 5_000;
/// The longest input. What is found is found in short ones, which are run more often.
const INPUT_BYTES_MAX: u64 = 2_048;
/// The longest that one input may take.
const SECONDS_MAX: u64 = 10;
/// The most memory that a target may take.
const MEMORY_MB_MAX: u64 = 2_048;

/// How the targets are run.
struct Options {
    /// `-runs=` or `-max_total_time=`.
    until: String,
    target: Option<String>,
    seed: u64,
    /// Where what is learned is kept for the next run; what a run of a seed learns is kept for none.
    learned: Option<PathBuf>,
}

/// A short run of every target, the same each time.
pub(crate) fn short() -> Result<()> {
    run(&Options {
        until: format!("-runs={RUNS}"),
        target: None,
        seed: 1,
        learned: None,
    })
}

/// As long a run as the arguments say: `--minutes N` for each target, `--target NAME`, `--seed S`.
pub(crate) fn long(arguments: &[&str]) -> Result<()> {
    let mut minutes: f64 = 1.0;
    let mut options = Options {
        until: String::new(),
        target: None,
        // libFuzzer takes it from the clock.
        seed: 0,
        learned: Some(home()?.join("learned")),
    };
    let mut words = arguments.iter();
    while let Some(name) = words.next() {
        let value = words.next().with_context(|| format!("{name} has a value"))?;
        match *name {
            "--minutes" => minutes = value.parse().context("--minutes is a number")?,
            "--target" => options.target = Some((*value).to_owned()),
            "--seed" => options.seed = value.parse().context("--seed is a number")?,
            other => bail!("'{other}' is not known; --minutes, --target and --seed are"),
        }
    }
    let seconds = (minutes * 60.0) as u64;
    ensure!(seconds > 0, "--minutes is a second or more");
    options.until = format!("-max_total_time={seconds}");
    run(&options)
}

/// Where all of it is built and kept: beside what this binary was built into.
fn home() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let target = own
        .parent()
        .and_then(Path::parent)
        .context("xtask is in a target folder")?;
    Ok(target.join("fuzz"))
}

fn run(options: &Options) -> Result<()> {
    let programs = build()?;
    let targets = targets(options.target.as_deref())?;
    let queue = Mutex::new(targets.iter());
    let failed = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism()?.get().min(targets.len());
    println!("{:>14}  {:>8}  target", "executions", "a second");
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let Some(name) = queue.lock().ok().and_then(|mut queue| queue.next()) else {
                        return;
                    };
                    let line = match one(options, &programs, name) {
                        Ok(line) => line,
                        Err(error) => {
                            if let Ok(mut failed) = failed.lock() {
                                failed.push(name.clone());
                            }
                            format!("{name} FAILED: {error:#}")
                        }
                    };
                    println!("{line}");
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_default();
    ensure!(
        failed.is_empty(),
        "fuzzing found something in {}",
        failed.join(", ")
    );
    Ok(())
}

/// The names of the targets, or that of one.
fn targets(only: Option<&str>) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir("fuzz/fuzz_targets")? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str());
        names.push(name.context("a target has a name")?.to_owned());
    }
    names.sort_unstable();
    match only {
        None => Ok(names),
        Some(only) if names.iter().any(|name| name == only) => Ok(vec![only.to_owned()]),
        Some(only) => bail!("there is no target '{only}'; there are {}", names.join(", ")),
    }
}

/// Builds all targets: the folder that they are in.
fn build() -> Result<PathBuf> {
    let version = Command::new("rustc")
        .arg("-vV")
        .output()
        .context("cannot run rustc")?;
    let version = String::from_utf8(version.stdout)?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("rustc does not say what it builds for")?;
    let folder = home()?;
    // With a target named, build scripts and macros are built without the flags.
    let mut command = crate::cargo::command(&[
        "build",
        "--release",
        "--locked",
        "--bins",
        "--manifest-path",
        "fuzz/Cargo.toml",
        "--target",
        host,
    ]);
    command
        .arg("--target-dir")
        .arg(&folder)
        .env("RUSTFLAGS", FLAGS)
        // They would win over the variable.
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    println!(
        "$ cargo build --release --bins --manifest-path fuzz/Cargo.toml   # RUSTFLAGS as in xtask/src/fuzz.rs"
    );
    ensure!(
        command.status()?.success(),
        "the fuzz targets were not built, with coverage counted; see above"
    );
    Ok(folder.join(host).join("release"))
}

/// Runs one target: what to tell of it.
fn one(options: &Options, programs: &Path, name: &str) -> Result<String> {
    let home = home()?;
    let learned = match &options.learned {
        Some(kept) => kept.join(name),
        None => {
            let fresh = home.join("fresh").join(name);
            // Of an earlier run.
            let _ = fs::remove_dir_all(&fresh);
            fresh
        }
    };
    let (artifacts, logs) = (Path::new("fuzz/artifacts").join(name), home.join("logs"));
    for folder in [&learned, &artifacts, &logs] {
        fs::create_dir_all(folder)?;
    }
    let log = logs.join(format!("{name}.log"));
    let mut command = Command::new(programs.join(name));
    command.arg(&learned).arg(Path::new("fuzz/corpus").join(name));
    let dictionary = Path::new("fuzz/dictionaries").join(format!("{name}.dict"));
    if dictionary.exists() {
        command.arg(format!("-dict={}", dictionary.display()));
    }
    command
        .arg(&options.until)
        .arg(format!("-seed={}", options.seed))
        .arg(format!("-max_len={INPUT_BYTES_MAX}"))
        .arg(format!("-timeout={SECONDS_MAX}"))
        .arg(format!("-rss_limit_mb={MEMORY_MB_MAX}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg("-print_final_stats=1")
        .stdout(fs::File::create(&log)?)
        .stderr(fs::File::options().append(true).open(&log)?);
    let started = Instant::now();
    let status = command
        .status()
        .with_context(|| format!("cannot run the target {name}"))?;
    let told = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    if !status.success() {
        let after = |words: &str| Some(told.split_once(words)?.1.lines().next()?.to_owned());
        let why: String = told
            .lines()
            .skip_while(|line| !line.contains("panicked at") && !line.contains("ERROR: libFuzzer"))
            .take(4)
            .map(|line| format!("\n    {}", line.chars().take(300).collect::<String>()))
            .collect();
        let again = match after("Test unit written to ") {
            Some(input) => {
                let program = programs.join(name);
                format!(
                    "the input is {input}; run it again with `{} {input}`",
                    program.display()
                )
            }
            None => format!("it left no input: {status}"),
        };
        bail!("{again}; all it said is in {}{why}", log.display());
    }
    let executions = told.lines().find_map(|line| {
        line.strip_prefix("stat::number_of_executed_units:")?
            .trim()
            .parse::<u64>()
            .ok()
    });
    let executions =
        executions.with_context(|| format!("it does not say how much it did; see {}", log.display()))?;
    let rate = executions as f64 / started.elapsed().as_secs_f64().max(0.001);
    Ok(format!("{executions:>14}  {rate:>8.0}  {name}"))
}
