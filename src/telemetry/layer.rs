//! The `tracing` layer that turns events into lines.
//!
//! Guarantees: an event costs no allocation and takes one short lock; the fields of the spans around it are part of its
//! line.

use std::cell::RefCell;
use std::sync::Arc;

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::line::{self, Dated, Fields, Style};
use super::sink::Sink;
use crate::ports::Clock;

/// What a thread keeps from line to line.
#[derive(Default)]
struct Scratch {
    line: String,
    dated: Dated,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Writes each event as one line to the sink.
#[derive(Debug)]
pub(super) struct LineLayer<C> {
    sink: Arc<Sink>,
    style: Style,
    clock: C,
}

/// The fields of a span as they stand in a line.
struct SpanFields(String);

impl<C: Clock> LineLayer<C> {
    pub(super) fn new(sink: Arc<Sink>, style: Style, clock: C) -> Self {
        Self { sink, style, clock }
    }

    fn write<S>(&self, scratch: &mut Scratch, event: &Event<'_>, context: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let Scratch { line, dated } = scratch;
        line.clear();
        let (level, target) = (*event.metadata().level(), event.metadata().target());
        line::begin(line, self.style, dated, self.clock.now(), level, target);
        event.record(&mut Fields { out: line, style: self.style });
        if let Some(scope) = context.event_scope(event) {
            for span in scope.from_root() {
                if let Some(SpanFields(fields)) = span.extensions().get() {
                    line.push_str(fields);
                }
            }
        }
        line::end(line, self.style);
        self.sink.append(line, level <= Level::WARN);
    }
}

impl<S, C> Layer<S> for LineLayer<C>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    C: Clock + 'static,
{
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let kept = SCRATCH.try_with(|scratch| match scratch.try_borrow_mut() {
            Ok(mut scratch) => {
                self.write(&mut scratch, event, &context);
                true
            }
            // A field that logs while it is being written.
            Err(_) => false,
        });
        // Likewise a thread that ends has no scratch any more.
        if kept != Ok(true) {
            self.write(&mut Scratch::default(), event, &context);
        }
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if attributes.is_empty() {
            return;
        }
        let mut fields = String::new();
        attributes.record(&mut Fields { out: &mut fields, style: self.style });
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(SpanFields(fields));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let mut more = String::new();
        values.record(&mut Fields { out: &mut more, style: self.style });
        let Some(span) = context.span(id) else { return };
        let mut extensions = span.extensions_mut();
        match extensions.get_mut::<SpanFields>() {
            Some(SpanFields(fields)) => fields.push_str(&more),
            None => extensions.insert(SpanFields(more)),
        }
    }
}
