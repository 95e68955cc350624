//! The rules: what an exporter must do, one small item each.
//!
//! Comes in: templates ([`View`]), records ([`Record`]) and what a session amounts to ([`Facts`]).
//! Goes out: whether a rule is broken, by which field, and what was seen.
//!
//! Must stay true: a rule keeps no state of its own but the [`Tally`] it is handed; ids never change their meaning;
//! every rule has a case in the tests that breaks it and one that does not.

pub mod counters;
pub mod encoding;
pub mod headers;
pub mod ipv6;
pub mod message;
pub mod netflow;
pub mod options;
pub mod sequence;
pub mod template;
pub mod time;

#[cfg(test)]
mod cases;

use super::finding::{Example, Severity, Subject};
use super::session::Facts;
use super::view::{Record, Slot, View};
use std::fmt::Write as _;

/// One rule.
pub struct Rule {
    /// Stable id, such as `V6-ICMP-IN-IE32`.
    pub id: &'static str,
    /// How bad breaking it is.
    pub severity: Severity,
    /// Where it is written: `RFC 7011 section 3.1`.
    pub source: &'static str,
    /// The defect in a few words.
    pub title: &'static str,
    /// What should have been.
    pub wanted: &'static str,
    /// What the defect means to a collector.
    pub meaning: &'static str,
    /// How it is found.
    pub check: Check,
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id)
    }
}

/// A broken template: which field, if one, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateFault {
    /// Index of the offending field.
    pub field: Option<usize>,
    /// What was seen.
    pub saw: String,
}

impl TemplateFault {
    /// The field at `index` offends.
    #[must_use]
    pub fn field(view: &View, index: usize, text: &str) -> Self {
        Self { field: Some(index), saw: format!("{}: {text}", view.label(index)) }
    }

    /// The element offends.
    #[must_use]
    pub fn slot(view: &View, slot: Slot, text: &str) -> Self {
        match view.field(slot) {
            Some(index) => Self::field(view, index, text),
            None => Self { field: None, saw: text.to_owned() },
        }
    }

    /// The template as a whole offends.
    #[must_use]
    pub fn whole(saw: impl Into<String>) -> Self {
        Self { field: None, saw: saw.into() }
    }
}

/// A fault of a session: on what, how often, with what evidence.
#[derive(Clone, Debug)]
pub struct SessionFault {
    /// What it is about.
    pub subject: Subject,
    /// How often.
    pub count: u64,
    /// Evidence.
    pub example: Example,
}

/// How a rule is checked.
#[derive(Clone, Copy)]
pub enum Check {
    /// Where messages are taken apart and sessions followed; the code there names the rule.
    Stream,
    /// Once for each definition of a template.
    Template(fn(&View) -> Vec<TemplateFault>),
    /// For each record of the templates it applies to: the index of the offending field.
    Record {
        /// Whether records of this template are to be checked.
        applies: fn(&View) -> bool,
        /// Index of the offending field, if the rule is broken.
        broken: fn(&Record<'_>) -> Option<usize>,
        /// What was seen.
        saw: fn(&Record<'_>, usize) -> String,
    },
    /// Over many records: counted as they pass, judged at the end of the session.
    Tally {
        /// Whether records of this template are counted.
        applies: fn(&View) -> bool,
        /// Counts one record.
        observe: fn(&Record<'_>, &mut Tally),
        /// What was seen, if the rule is broken.
        judge: fn(&Tally, &Facts) -> Option<String>,
    },
    /// Once at the end of a session.
    Session(fn(&Facts) -> Vec<SessionFault>),
}

/// What a tally rule remembers of a session.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Counters; each rule names its own.
    pub n: [u64; 8],
    /// The first record worth showing.
    pub example: Option<Example>,
}

impl Tally {
    /// Keeps the record as evidence if it is the first.
    pub fn keep(&mut self, record: &Record<'_>, slot: Slot) {
        if self.example.is_none() {
            let index = record.view.field(slot);
            self.example = Some(record.example(index, record.show(slot), String::new()));
        }
    }
}

/// The usual description of a broken record: name and value of the offending field.
fn value(record: &Record<'_>, index: usize) -> String {
    record.show_field(index)
}

/// All rules, in the order of the documentation.
pub static RULES: &[&Rule] = &[
    // Messages and Sets
    &message::LENGTH,
    &message::VERSION,
    &message::SET_OVERRUN,
    &message::SET_SHORT,
    &message::TRAILING,
    &message::SET_EMPTY,
    &message::EMPTY,
    &message::SET_RESERVED,
    &message::SET_NETFLOW,
    &message::PADDING_NONZERO,
    &message::PADDING_LONG,
    &message::FRAGMENTED,
    &message::CHECKSUM_ZERO,
    &message::EXPORT_TIME,
    &message::CLOCK_OFFSET,
    &message::EXPORT_TIME_BACKWARDS,
    &message::HEADER_SWAPPED,
    &message::DOMAIN_ZERO,
    // Sequence numbers
    &sequence::COUNTS_MESSAGES,
    &sequence::COUNTS_TEMPLATES,
    &sequence::OPTIONS_NOT_COUNTED,
    &sequence::COUNTS_SETS,
    &sequence::COUNTS_OCTETS,
    &sequence::CONSTANT,
    &sequence::ACROSS_DOMAINS,
    &sequence::WRONG,
    &sequence::GAP,
    &sequence::BACKWARDS,
    // Templates
    &template::ID_RESERVED,
    &template::MALFORMED,
    &template::SCOPE_COUNT,
    &template::ENTERPRISE_ZERO,
    &template::CHANGED,
    &template::ALTERNATES,
    &template::RESENT,
    &template::LATE,
    &template::MISSING,
    &template::OTHER_SESSION,
    &template::NOT_REFRESHED,
    &template::WITHDRAWN_UDP,
    &template::WITHDRAWN_UNKNOWN,
    &template::DATA_AFTER_WITHDRAWAL,
    &template::UNASSIGNED,
    &template::NETFLOW_ONLY,
    &template::DEPRECATED,
    &template::ELEMENT_TWICE,
    &template::MIXED_FAMILIES,
    &template::NOT_REVERSIBLE,
    &template::REVERSE_WITHOUT_KEY,
    &template::LENGTH_ZERO,
    &template::NO_TIME,
    &template::POST_MAC,
    // Encoding
    &encoding::TOO_LONG,
    &encoding::REDUCED_FORBIDDEN,
    &encoding::FIELD_OVERRUN,
    &encoding::LIST,
    &encoding::LIST_TEMPLATE,
    &encoding::BOOLEAN,
    &encoding::RANGE,
    &encoding::UTF8,
    &encoding::STRING_NUL,
    &encoding::PADDING_VALUE,
    &encoding::COUNTER_SATURATED,
    &encoding::ORDER_ETHERTYPE,
    &encoding::ORDER_PORTS,
    &encoding::ORDER_COUNTERS,
    &encoding::VLAN_RANGE,
    &encoding::MICRO_BITS,
    // IPv6
    &ipv6::ICMP_IN_IE32,
    &ipv6::ICMP_IN_PORT,
    &ipv6::ICMP_SWAPPED,
    &ipv6::ICMP_ABSENT,
    &ipv6::NO_PROTOCOL,
    &ipv6::PROTOCOL_IS_EXTENSION,
    &ipv6::PROTOCOL_IS_FRAGMENT,
    &ipv6::CHAIN_STOPS,
    &ipv6::LABEL_ABSENT,
    &ipv6::LABEL_RANGE,
    &ipv6::LABEL_ZERO,
    &ipv6::LABEL_TRUNCATED,
    &ipv6::CLASS_ZERO,
    &ipv6::CLASS_IS_DSCP,
    &ipv6::HOP_LIMIT_ORDER,
    &ipv6::FRAGMENT_OFFSET_OCTETS,
    &ipv6::FRAGMENT_PORTS,
    &ipv6::FRAGMENT_ID_SHORT,
    &ipv6::FRAGMENT_DF,
    &ipv6::VERSION_MISMATCH,
    &ipv6::MAPPED,
    &headers::HEADERS_64_CONTRADICT,
    &headers::HEADERS_BOTH,
    &headers::HEADERS_BITS,
    &headers::HEADERS_CONTRADICT,
    &headers::HEADERS_NO_LIMIT,
    &ipv6::HEADER_LENGTH,
    &ipv6::PREFIX_ADDRESS,
    &ipv6::MULTICAST,
    &ipv6::TUNNEL_PORTS,
    &ipv6::PORTS_WITHOUT_TRANSPORT,
    &ipv6::IPV4_ELEMENTS,
    // Counters, flags and directions
    &counters::ZERO,
    &counters::TOO_SMALL,
    &counters::TOO_BIG,
    &counters::MIN_MAX,
    &counters::NEGATIVE,
    &counters::LAYER_TWO,
    &counters::ETHERNET_PADDING,
    &counters::ALL_MULTIPLES,
    &counters::CUMULATIVE,
    &counters::TOTAL_AS_DELTA,
    &counters::DUPLICATE,
    &counters::OVERLAP,
    &counters::REVERSE_ZERO,
    &counters::POST_AS_REVERSE,
    &counters::DIRECTION,
    &counters::BIFLOW_DIRECTION,
    &counters::TCP_OFFSET_BITS,
    &counters::TCP_FLAGS_NOT_TCP,
    &counters::TCP_FLAGS_NOT_GATHERED,
    &counters::TCP_FLAGS_UPPER_ZERO,
    &counters::NOT_IP,
    &counters::INTERFACE_CONSTANT,
    // Times
    &time::UPTIME_WITHOUT_INIT,
    &time::END_BEFORE_START,
    &time::AFTER_EXPORT,
    &time::UPTIME_WRAP,
    &time::EPOCH,
    &time::NEAR_1970,
    &time::FUTURE,
    &time::NTP_FRACTION,
    &time::OLD,
    &time::DURATION_ZERO,
    &time::ACTIVE_EXCEEDED,
    &time::REASON_RANGE,
    &time::REASON_CONSTANT,
    &time::REASON_WITHOUT_FIN,
    // Options
    &options::INTERVAL_WITHOUT_SPACE,
    &options::SAMPLING_INCOMPLETE,
    &options::SELECTOR_UNKNOWN,
    &options::APPLICATION_SCOPE,
    &options::TYPE_BIT,
    &options::TYPE_IANA,
    &options::FLOW_KEY_BITS,
    &options::STATISTICS_DECREASE,
    &options::STATISTICS_WRONG,
    &options::STATISTICS_ABSENT,
    // NetFlow
    &netflow::COUNT,
    &netflow::ALIGNMENT,
    &netflow::SET_IPFIX,
    &netflow::SCOPE_LENGTH,
    &netflow::VARIABLE_LENGTH,
    &netflow::ELEMENT_HIGH,
    &netflow::ICMP_V6,
    &netflow::V5_COUNT,
];

/// The part of an id before the first hyphen, in words: the chapter of the documentation.
#[must_use]
pub fn chapter(id: &str) -> &'static str {
    match id.split('-').next().unwrap_or_default() {
        "MSG" => "Messages and Sets",
        "SEQ" => "Sequence numbers",
        "TPL" => "Templates",
        "ENC" => "Encoding",
        "V6" => "IPv6",
        "CNT" => "Counters, flags and directions",
        "TIME" => "Times and end of flows",
        "OPT" => "Options",
        _ => "NetFlow v9 and v5",
    }
}

/// The rules as the page `docs/rules.md`.
#[must_use]
pub fn markdown() -> String {
    let mut page = String::from(
        "# Rules of `sixtap validate`\n\nWritten by `sixtap validate --rules --markdown`; a test keeps the two equal.\n\
         An **error** is wrong data or a broken MUST, a **warning** is doubtful or a broken SHOULD, a **note** is worth\n\
         knowing. Ids are stable.\n",
    );
    let errors = RULES.iter().filter(|rule| rule.severity == Severity::Error).count();
    let warnings = RULES.iter().filter(|rule| rule.severity == Severity::Warning).count();
    let notes = RULES.len() - errors - warnings;
    let _ = writeln!(
        page,
        "\n{} rules: {errors} errors, {warnings} warnings, {notes} notes.",
        RULES.len()
    );
    let mut last = "";
    for rule in RULES {
        let name = chapter(rule.id);
        if name != last {
            let _ = writeln!(page, "\n## {name}");
            last = name;
        }
        let _ = writeln!(
            page,
            "\n### {}\n\n**{}**: {}. {}.\n\n- Should be: {}.\n- To a collector: {}.",
            rule.id, rule.severity, rule.title, rule.source, rule.wanted, rule.meaning
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_docs_is_what_the_rules_say() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/rules.md");
        if std::env::var_os("SIXTAP_WRITE_DOCS").is_some() {
            std::fs::write(path, markdown()).unwrap();
        }
        let page = std::fs::read_to_string(path).unwrap();
        assert!(page == markdown(), "run: sixtap validate --rules --markdown > docs/rules.md");
    }

    #[test]
    fn ids_are_unique_and_every_text_is_there() {
        let mut ids: Vec<_> = RULES.iter().map(|rule| rule.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), RULES.len());
        for rule in RULES {
            for text in [rule.source, rule.title, rule.wanted, rule.meaning] {
                assert!(!text.is_empty() && !text.ends_with('.'), "{}: {text:?}", rule.id);
            }
        }
    }
}
