//! The log of a server, on stderr: one line an event, as text or as JSON.
//!
//! A line has the fields of its event, and those of the spans that it is in: so all lines about a request have its
//! `request.id`, whoever writes them.

use std::env::VarError;
use std::fmt;

use anyhow::Context;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::traces::Traces;

/// How lines of the log are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object a line, for programs
    Json,
}

/// What the log shows unless `GRANARY_LOG` says otherwise.
const LOG: &str = "info,fjall=warn,lsm_tree=warn,deadpool=error,opentelemetry_sdk=warn";
/// What it shows whatever `GRANARY_LOG` says of the rest: who changed the schema or keys, purged or cancelled.
const AUDIT: &str = "granary::audit";
/// The span that says which request a line is about.
const REQUEST: &str = "granary::request";

/// Writes the log to stderr, as much as `GRANARY_LOG` asks for, and hands on what traces are made of. Fails where what it
/// asks for cannot be understood.
pub(crate) fn start_log(format: LogFormat, traces: Option<&Traces>) -> anyhow::Result<()> {
    let asked = match std::env::var("GRANARY_LOG") {
        Err(VarError::NotPresent) => String::new(),
        asked => asked.context("GRANARY_LOG is no text; leave it away, or give it a level such as info")?,
    };
    let filter = filter(&asked)?;
    let registry = tracing_subscriber::registry();
    match traces {
        // With one filter for all, what is not shown costs nothing.
        None => registry.with(filter).with(lines(format)).init(),
        Some(traces) => registry
            .with(lines(format).with_filter(filter))
            .with(traces.layer())
            .init(),
    }
    Ok(())
}

fn lines<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let colours =
        std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none();
    match format {
        LogFormat::Text => lines.with_ansi(colours).event_format(Lines).boxed(),
        LogFormat::Json => { lines.with_ansi(false).fmt_fields(JsonFields) }
            .event_format(JsonLines)
            .boxed(),
    }
}

fn filter(asked: &str) -> anyhow::Result<EnvFilter> {
    let wrong = || {
        format!(
            "GRANARY_LOG is '{asked}'; give it off, error, warn, info, debug or trace, or these by part, as \
             info,granary_engine=debug"
        )
    };
    let filter = match asked {
        "" => EnvFilter::new(LOG),
        asked => EnvFilter::try_new(asked).with_context(wrong)?,
    };
    let always = |filter: EnvFilter, target: &str, level: &str| match asked.contains(target) {
        true => filter,
        false => match format!("{target}={level}").parse() {
            Ok(directive) => filter.add_directive(directive),
            Err(_) => filter,
        },
    };
    let filter = always(filter, AUDIT, "info");
    Ok(match asked {
        "off" => filter,
        _ => always(filter, REQUEST, "error"),
    })
}

/// Lines as text.
struct Lines;

impl<S> FormatEvent<S, DefaultFields> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, DefaultFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let ansi = writer.has_ansi_escapes();
        let (dim, plain) = if ansi { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
        let metadata = event.metadata();
        write!(writer, "{dim}")?;
        SystemTime.format_time(&mut writer)?;
        write!(writer, "{plain} ")?;
        let level = metadata.level();
        match ansi {
            true => write!(writer, "\x1b[{}m{level:>5}\x1b[0m", colour(*level))?,
            false => write!(writer, "{level:>5}")?,
        }
        write!(writer, " {dim}{}:{plain} ", metadata.target())?;
        let mut fields = String::new();
        context.format_fields(Writer::new(&mut fields), event)?;
        writer.write_str(&fields)?;
        for span in context.event_scope().into_iter().flatten() {
            let extensions = span.extensions();
            let of_span = extensions.get::<FormattedFields<DefaultFields>>();
            // A line that says it itself does not say it twice.
            if let Some(of_span) = of_span.filter(|of| !of.is_empty() && !fields.contains(of.fields.as_str()))
            {
                write!(writer, " {}", of_span.fields)?;
            }
        }
        writeln!(writer)
    }
}

const fn colour(level: Level) -> u8 {
    match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    }
}

/// Lines as JSON: `timestamp`, `level`, `target`, `message`, and all fields beside them.
struct JsonLines;

impl<S> FormatEvent<S, JsonFields> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let mut line = Map::new();
        line.insert("timestamp".to_owned(), timestamp.into());
        line.insert("level".to_owned(), metadata.level().as_str().into());
        line.insert("target".to_owned(), metadata.target().into());
        event.record(&mut Fields(&mut line));
        for span in context.event_scope().into_iter().flatten() {
            let extensions = span.extensions();
            let Some(of_span) = extensions.get::<FormattedFields<JsonFields>>() else {
                continue;
            };
            // What the event itself says, and what an inner span says, comes first.
            for (name, value) in serde_json::from_str::<Map<_, _>>(&of_span.fields).unwrap_or_default() {
                line.entry(name).or_insert(value);
            }
        }
        let line = serde_json::to_string(&line).map_err(|_| fmt::Error)?;
        writeln!(writer, "{line}")
    }
}

/// Fields of a span as JSON.
struct JsonFields;

impl<'writer> FormatFields<'writer> for JsonFields {
    fn format_fields<R: tracing_subscriber::field::RecordFields>(
        &self,
        mut writer: Writer<'writer>,
        fields: R,
    ) -> fmt::Result {
        let mut all = Map::new();
        fields.record(&mut Fields(&mut all));
        let all = serde_json::to_string(&all).map_err(|_| fmt::Error)?;
        writer.write_str(&all)
    }

    fn add_fields(
        &self,
        current: &'writer mut FormattedFields<Self>,
        fields: &tracing::span::Record<'_>,
    ) -> fmt::Result {
        let mut all: Map<String, Value> = serde_json::from_str(&current.fields).unwrap_or_default();
        fields.record(&mut Fields(&mut all));
        current.fields = serde_json::to_string(&all).map_err(|_| fmt::Error)?;
        Ok(())
    }
}

/// Takes fields into a JSON object.
struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}
