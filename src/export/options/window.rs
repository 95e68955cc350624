//! File Time Window (RFC 5655 section 8.1.2): from when to when the flows of a file are.
//!
//! A file is a Transport Session of its own, and the record stands at its end, when the window is known: whoever looks for
//! flows of a time passes over files without reading their records.

use super::id;
use crate::capture::Timestamp;
use crate::ipfix::{FieldSpecifier, MessageBuilder, Refused, Template};
use crate::meter::flow::FinishedFlow;
use ie_registry::ie;

/// Earliest start and latest end of flows.
#[derive(Clone, Copy, Debug, Default)]
pub(in super::super) struct Window(Option<(Timestamp, Timestamp)>);

impl Window {
    /// Takes in a flow, with its reverse direction.
    pub(in super::super) fn add(&mut self, flow: &FinishedFlow<'_>) {
        self.span(flow.record.first, flow.record.last);
        if let Some(reverse) = flow.extra.map(|extra| &extra.reverse).filter(|one| one.packets > 0)
        {
            self.span(reverse.first, reverse.last);
        }
    }

    fn span(&mut self, first: Timestamp, last: Timestamp) {
        self.0 = Some(match self.0 {
            None => (first, last),
            Some((earliest, latest)) => (earliest.min(first), latest.max(last)),
        });
    }
}

/// The Options Template of [`window_record`].
pub(in super::super) fn window_template() -> Template {
    let fields = [
        FieldSpecifier::iana(ie::SESSION_SCOPE, 1),
        FieldSpecifier::iana(ie::MIN_FLOW_START_MILLISECONDS, 8),
        FieldSpecifier::iana(ie::MAX_FLOW_END_MILLISECONDS, 8),
    ];
    Template::options(id::WINDOW, 1, fields)
}

/// The record; none of a file without flows.
pub(in super::super) fn window_record(
    builder: &mut MessageBuilder,
    window: Window,
) -> Result<(), Refused> {
    let Some((first, last)) = window.0 else { return Ok(()) };
    builder.record(id::WINDOW, |out| {
        // A marker: the content is ignored.
        out.u8(0);
        out.u64(first.milliseconds());
        // No flow may end after it.
        out.u64(last.0.div_ceil(1_000_000));
    })
}
