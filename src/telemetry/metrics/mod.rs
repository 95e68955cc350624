//! Every line of the ledger as a metric, for Prometheus.
//!
//! In: a [`Reading`]. Out: text in one of the two exposition formats. Names follow Prometheus' own rules and node_exporter's
//! habits: the subject first, base units, `_total` behind counters, one metric where the labels' values add up to something.
//! [`METRICS`] is the one list: the text, `docs/metrics.md`, the dashboard and the alert rules are held against it.

mod collectors;
mod process;
mod text;
mod values;
mod workers;

pub use text::{Format, Kind};

use super::reading::Reading;
use text::family;
use values::Values;

/// One metric.
#[derive(Clone, Copy)]
pub struct Metric {
    /// Its name, as it stands in the text.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What it means: one sentence.
    pub help: &'static str,
    values: Values,
}

impl Metric {
    const fn counter(name: &'static str, help: &'static str, values: Values) -> Self {
        Self { name, kind: Kind::Counter, help, values }
    }

    const fn gauge(name: &'static str, help: &'static str, values: Values) -> Self {
        Self { name, kind: Kind::Gauge, help, values }
    }
}

/// Groups of metrics, in the order in which a packet meets them.
pub const METRICS: [(&str, &[Metric]); 6] = [
    ("The probe", process::PROBE),
    ("Capture", workers::CAPTURE),
    ("Packets", workers::PACKETS),
    ("Flows", workers::FLOWS),
    ("Collectors", collectors::COLLECTORS),
    ("The process", process::PROCESS),
];

/// The whole text.
#[must_use]
pub fn render(reading: &Reading, format: Format) -> String {
    let mut text = String::with_capacity(16 * 1024);
    for metric in METRICS.iter().flat_map(|(_, group)| group.iter()) {
        family(format, &mut text, (metric.name, metric.kind, metric.help), |samples| {
            metric.values.write(reading, samples);
        });
    }
    if format == Format::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

/// The page `docs/metrics.md`, without its words before and after.
#[must_use]
pub fn document() -> String {
    use std::fmt::Write;
    let mut text = String::new();
    for (group, metrics) in METRICS {
        let _ =
            write!(text, "## {group}\n\n| metric | kind | labels | meaning |\n|---|---|---|---|\n");
        for Metric { name, kind, help, values } in metrics {
            let labels = values.labels();
            let _ = writeln!(text, "| `{name}` | {} | {labels} | {help} |", kind.word());
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
pub(super) mod tests;
