//! The span of a task, made when the log tells that it has ended.
//!
//! A task outlives the call that it came with, its worker and even the process, so nobody holds a span open for it. Where
//! this process accepted it, it goes on in the trace of that call; else it is one of its own, and `task.id` tells.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use granary_engine::told::{TASK_ACCEPTED, TASK_ENDED};
use opentelemetry::trace::{Span, SpanContext, SpanKind, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SdkTracer;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer;

/// A task is remembered with the trace of its call until it ends, or until so many others were accepted after it: those
/// that have ended count too.
const REMEMBERED_MAX: usize = 10_000;

/// True for what the span of a task is made of.
pub(super) fn tells(metadata: &Metadata<'_>) -> bool {
    metadata.is_event() && matches!(metadata.name(), TASK_ACCEPTED | TASK_ENDED)
}

/// Makes spans of tasks.
pub(super) struct Tasks {
    tracer: SdkTracer,
    accepted: Mutex<Accepted>,
}

/// Which call a task came with, by its id.
#[derive(Default)]
struct Accepted {
    by: HashMap<String, SpanContext>,
    order: VecDeque<String>,
}

impl Accepted {
    fn remember(&mut self, task: String, call: SpanContext, max: usize) {
        // Those that have ended are still in the order.
        while self.order.len() >= max {
            let oldest = self.order.pop_front();
            oldest.and_then(|oldest| self.by.remove(&oldest));
        }
        self.order.push_back(task.clone());
        self.by.insert(task, call);
    }
}

impl Tasks {
    pub(super) fn new(tracer: SdkTracer) -> Self {
        Self {
            tracer,
            accepted: Mutex::default(),
        }
    }

    fn accepted(&self) -> std::sync::MutexGuard<'_, Accepted> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> layer::Layer<S> for Tasks {
    fn on_event(&self, event: &Event<'_>, _context: layer::Context<'_, S>) {
        let mut told = Told::default();
        event.record(&mut told);
        let Some(id) = told.task else {
            return;
        };
        if event.metadata().name() == TASK_ACCEPTED {
            let call = Context::current().span().span_context().clone();
            if call.is_valid() {
                self.accepted().remember(id, call, REMEMBERED_MAX);
            }
            return;
        }
        let call = self.accepted().by.remove(&id);
        let parent = call.map_or_else(Context::new, |call| Context::new().with_remote_span_context(call));
        let ended_at = SystemTime::now();
        let took = Duration::from_millis(told.elapsed_ms.saturating_sub(told.waited_ms));
        let mut attributes = told.attributes;
        attributes.push(KeyValue::new("task.id", id));
        let span = self
            .tracer
            .span_builder("task")
            .with_kind(SpanKind::Consumer)
            .with_start_time(ended_at.checked_sub(took).unwrap_or(ended_at))
            .with_attributes(attributes);
        span.start_with_context(&self.tracer, &parent)
            .end_with_timestamp(ended_at);
    }
}

/// What an event tells of a task.
#[derive(Default)]
struct Told {
    task: Option<String>,
    waited_ms: u64,
    elapsed_ms: u64,
    attributes: Vec<KeyValue>,
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => {}
            "task.id" => self.task = Some(format!("{value:?}")),
            name => self.attributes.push(KeyValue::new(name, format!("{value:?}"))),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.attributes
            .push(KeyValue::new(field.name(), value.to_owned()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "waited_ms" => self.waited_ms = value,
            "elapsed_ms" => self.elapsed_ms = value,
            name => {
                let value = i64::try_from(value).unwrap_or(i64::MAX);
                self.attributes.push(KeyValue::new(name, value));
            }
        }
    }
}
