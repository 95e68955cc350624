//! The exposition formats: Prometheus text 0.0.4 and OpenMetrics 1.0.
//!
//! The two differ in the name of a counter's family (OpenMetrics leaves `_total` out) and in the last line.

use std::fmt::Write;

/// How a scraper wants it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text format 0.0.4.
    #[default]
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// What an `Accept` header asks for.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    /// The media type.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; its name ends in `_total`.
    Counter,
    /// A value of the moment.
    Gauge,
}

impl Kind {
    /// As the formats spell it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// The samples of one metric on their way into the text.
#[derive(Debug)]
pub(super) struct Samples<'a> {
    name: &'a str,
    text: &'a mut String,
}

impl Samples<'_> {
    /// One sample.
    pub(super) fn add(&mut self, labels: &[(&str, &str)], value: u64) {
        self.start(labels);
        let _ = writeln!(self.text, " {value}");
    }

    /// One sample that is not a whole number.
    pub(super) fn add_fraction(&mut self, labels: &[(&str, &str)], value: f64) {
        self.start(labels);
        let _ = writeln!(self.text, " {value}");
    }

    fn start(&mut self, labels: &[(&str, &str)]) {
        self.text.push_str(self.name);
        for (number, (name, value)) in labels.iter().enumerate() {
            self.text.push(if number == 0 { '{' } else { ',' });
            self.text.push_str(name);
            self.text.push_str("=\"");
            escape(value, true, self.text);
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
    }
}

/// One metric: what it is called, what it is, what it means, and its samples.
pub(super) fn family(
    format: Format,
    text: &mut String,
    (name, kind, help): (&str, Kind, &str),
    fill: impl FnOnce(&mut Samples<'_>),
) {
    let family = match (format, kind) {
        (Format::OpenMetrics, Kind::Counter) => name.strip_suffix("_total").unwrap_or(name),
        _ => name,
    };
    let _ = write!(text, "# HELP {family} ");
    escape(help, format == Format::OpenMetrics, text);
    let _ = writeln!(text, "\n# TYPE {family} {}", kind.word());
    fill(&mut Samples { name, text });
}

fn escape(value: &str, quotes: bool, text: &mut String) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '"' if quotes => text.push_str("\\\""),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(format: Format) -> String {
        let mut text = String::new();
        family(format, &mut text, ("sixtap_x_total", Kind::Counter, "Say \"x\"."), |samples| {
            samples.add(&[("a", "b\"c\\d\ne"), ("f", "g")], 7);
            samples.add(&[], 8);
        });
        text
    }

    #[test]
    fn label_values_and_help_are_escaped() {
        let prometheus = write(Format::Prometheus);
        assert_eq!(
            prometheus,
            "# HELP sixtap_x_total Say \"x\".\n# TYPE sixtap_x_total counter\n\
             sixtap_x_total{a=\"b\\\"c\\\\d\\ne\",f=\"g\"} 7\nsixtap_x_total 8\n"
        );
        let open = write(Format::OpenMetrics);
        assert!(open.starts_with("# HELP sixtap_x Say \\\"x\\\".\n# TYPE sixtap_x counter\n"));
        assert!(open.contains("sixtap_x_total 8"));
    }

    #[test]
    fn the_format_is_what_the_scraper_asks_for() {
        let prometheus = "text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let open = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;q=0.5";
        assert_eq!(Format::accepted(prometheus), Format::Prometheus);
        assert_eq!(Format::accepted(open), Format::OpenMetrics);
        assert_eq!(Format::accepted(""), Format::Prometheus);
    }
}
