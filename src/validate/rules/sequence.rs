//! Rules about sequence numbers. They are judged over a whole session: see [`crate::validate::sequence`].

use super::Check::Stream;
use super::Rule;
use crate::validate::finding::Severity::{Error, Warning};

const WANTED: &str = "the number of Data Records (options included) sent before this message in this domain, modulo 2³²; \
                      NetFlow v9: of messages; NetFlow v5: of flows";

/// A2.
pub static COUNTS_MESSAGES: Rule = Rule {
    id: "SEQ-COUNTS-MESSAGES",
    severity: Error,
    source: "RFC 7011 sections 3.1 and 10.3.2",
    title: "the sequence number counts messages",
    wanted: WANTED,
    meaning: "every message looks like a loss, so real loss cannot be told",
    check: Stream,
};

/// A3.
pub static COUNTS_TEMPLATES: Rule = Rule {
    id: "SEQ-COUNTS-TEMPLATES",
    severity: Error,
    source: "RFC 7011 section 3.1",
    title: "the sequence number counts template records too",
    wanted: WANTED,
    meaning: "each template refresh looks like a loss",
    check: Stream,
};

/// Options Data Records left out.
pub static OPTIONS_NOT_COUNTED: Rule = Rule {
    id: "SEQ-OPTIONS-NOT-COUNTED",
    severity: Error,
    source: "RFC 7011 section 3.1",
    title: "the sequence number leaves out options records",
    wanted: WANTED,
    meaning: "each options record looks like a message out of order",
    check: Stream,
};

/// Sets.
pub static COUNTS_SETS: Rule = Rule {
    id: "SEQ-COUNTS-SETS",
    severity: Error,
    source: "RFC 7011 section 3.1",
    title: "the sequence number counts Sets",
    wanted: WANTED,
    meaning: "loss cannot be told",
    check: Stream,
};

/// Octets.
pub static COUNTS_OCTETS: Rule = Rule {
    id: "SEQ-COUNTS-OCTETS",
    severity: Error,
    source: "RFC 7011 section 3.1",
    title: "the sequence number counts octets",
    wanted: WANTED,
    meaning: "loss cannot be told",
    check: Stream,
};

/// A4.
pub static CONSTANT: Rule = Rule {
    id: "SEQ-CONSTANT",
    severity: Error,
    source: "RFC 7011 section 3.1",
    title: "the sequence number never changes",
    wanted: WANTED,
    meaning: "loss cannot be told",
    check: Stream,
};

/// A5.
pub static ACROSS_DOMAINS: Rule = Rule {
    id: "SEQ-ACROSS-DOMAINS",
    severity: Error,
    source: "RFC 7011 section 3.1",
    title: "one sequence number for all Observation Domains",
    wanted: WANTED,
    meaning: "each domain seems to lose what the others send",
    check: Stream,
};

/// peers-measured: softflowd.
pub static WRONG: Rule = Rule {
    id: "SEQ-WRONG",
    severity: Error,
    source: "RFC 7011 section 3.1",
    title: "sequence numbers follow no count",
    wanted: WANTED,
    meaning: "collectors warn at most messages, and real loss hides among the warnings",
    check: Stream,
};

/// Loss.
pub static GAP: Rule = Rule {
    id: "SEQ-GAP",
    severity: Warning,
    source: "RFC 7011 section 10.3.2",
    title: "records are missing",
    wanted: "a sequence number that goes on where the last message ended",
    meaning: "records were lost on the way, or dropped by the exporter",
    check: Stream,
};

/// Reordering or a restart.
pub static BACKWARDS: Rule = Rule {
    id: "SEQ-BACKWARDS",
    severity: Warning,
    source: "RFC 7011 sections 3.1 and 10.3.2",
    title: "the sequence number goes back",
    wanted: "numbers that rise; a restart begins at 0 with a new session",
    meaning: "messages were reordered or sent twice, or the exporter restarted",
    check: Stream,
};
