//! Rules about message headers, Sets and datagrams. They are checked where messages are taken apart.

use super::Check::Stream;
use super::Rule;
use crate::validate::finding::Severity::{Error, Note, Warning};

/// A1.
pub static LENGTH: Rule = Rule {
    id: "MSG-LENGTH",
    severity: Error,
    source: "RFC 7011 section 3.1",
    title: "the message's length is not what came",
    wanted: "the length field equal to the octets of the datagram, or leading to the next message of the stream",
    meaning: "the message is cut or the stream lost: records are misread or dropped",
    check: Stream,
};

/// Versions.
pub static VERSION: Rule = Rule {
    id: "MSG-VERSION",
    severity: Error,
    source: "RFC 7011 section 3.1; RFC 3954 section 5.1",
    title: "a message of an unknown version",
    wanted: "10 (IPFIX), 9 or 5 (NetFlow)",
    meaning: "the message cannot be read",
    check: Stream,
};

/// A1.
pub static SET_OVERRUN: Rule = Rule {
    id: "MSG-SET-OVERRUN",
    severity: Error,
    source: "RFC 7011 section 3.3.2",
    title: "a Set reaches beyond its message",
    wanted: "Set lengths that add up to the message's length less its header",
    meaning: "the end of the message cannot be read",
    check: Stream,
};

/// A1.
pub static SET_SHORT: Rule = Rule {
    id: "MSG-SET-SHORT",
    severity: Error,
    source: "RFC 7011 section 3.3.2",
    title: "a Set shorter than its own header",
    wanted: "a length of at least 4, header included",
    meaning: "careless collectors loop for ever; careful ones drop the rest of the message",
    check: Stream,
};

/// A1.
pub static TRAILING: Rule = Rule {
    id: "MSG-TRAILING",
    severity: Error,
    source: "RFC 7011 section 3.1",
    title: "octets behind the last Set",
    wanted: "Sets that fill the message; padding belongs inside a Set",
    meaning: "the message's framing is doubtful: some collectors drop it",
    check: Stream,
};

/// peers-measured: YAF over UDP.
pub static SET_EMPTY: Rule = Rule {
    id: "MSG-SET-EMPTY",
    severity: Error,
    source: "RFC 7011 section 3.3",
    title: "a Set without a record",
    wanted: "one or more records in each Set",
    meaning: "ipfixcol2 drops the template of an empty Data Set, and with it every flow until the next refresh",
    check: Stream,
};

/// A header and nothing else.
pub static EMPTY: Rule = Rule {
    id: "MSG-EMPTY",
    severity: Note,
    source: "RFC 7011 section 3.1",
    title: "a message without a Set",
    wanted: "at least one Set",
    meaning: "harmless, but a waste of a datagram",
    check: Stream,
};

/// A9.
pub static SET_RESERVED: Rule = Rule {
    id: "MSG-SET-RESERVED",
    severity: Error,
    source: "RFC 7011 section 3.3.2",
    title: "a Set ID that is not assigned",
    wanted: "2 (templates), 3 (options templates), 256 and above (data)",
    meaning: "the Set is ignored",
    check: Stream,
};

/// A9.
pub static SET_NETFLOW: Rule = Rule {
    id: "MSG-SET-NETFLOW",
    severity: Error,
    source: "RFC 7011 section 3.3.2; RFC 5153 section 10.1",
    title: "a Set ID of NetFlow v9 in IPFIX",
    wanted: "2 for templates and 3 for options templates; 0 and 1 are NetFlow's",
    meaning: "templates are never learnt, so no record can be read",
    check: Stream,
};

/// A16.
pub static PADDING_NONZERO: Rule = Rule {
    id: "MSG-PADDING-NONZERO",
    severity: Warning,
    source: "RFC 7011 section 3.3.1",
    title: "padding that is not zero",
    wanted: "zero octets",
    meaning: "the octets may be the rest of a record that the template does not describe",
    check: Stream,
};

/// A17.
pub static PADDING_LONG: Rule = Rule {
    id: "MSG-PADDING-LONG",
    severity: Error,
    source: "RFC 7011 section 3.3.1; RFC 5153 section 10.2",
    title: "padding as long as a record",
    wanted: "padding shorter than the shortest record of the Set",
    meaning: "a collector reads a record of zeros",
    check: Stream,
};

/// A23.
pub static FRAGMENTED: Rule = Rule {
    id: "MSG-FRAGMENTED",
    severity: Warning,
    source: "RFC 7011 section 10.3.3",
    title: "a message that IP had to fragment",
    wanted: "datagrams within the path MTU, 512 octets where it is not known",
    meaning: "one lost or filtered fragment loses the whole message; many firewalls drop fragments",
    check: Stream,
};

/// A24.
pub static CHECKSUM_ZERO: Rule = Rule {
    id: "MSG-CHECKSUM-ZERO",
    severity: Warning,
    source: "RFC 7011 section 10.3.2; RFC 8200 section 8.1",
    title: "a datagram without a UDP checksum",
    wanted: "a checksum, which IPv6 demands",
    meaning: "damage goes unseen; over IPv6 the datagram is dropped",
    check: Stream,
};

/// A7.
pub static EXPORT_TIME: Rule = Rule {
    id: "MSG-EXPORT-TIME",
    severity: Error,
    source: "RFC 7011 section 3.1",
    title: "an Export Time that is no time of day",
    wanted: "seconds since 1970, UTC, when the message left the exporter",
    meaning: "flows are filed under the wrong time; relative times come out wrong",
    check: Stream,
};

/// A7. A capture that was replayed later shows it too, so that it proves nothing alone.
pub static CLOCK_OFFSET: Rule = Rule {
    id: "MSG-CLOCK-OFFSET",
    severity: Warning,
    source: "RFC 7011 section 3.1",
    title: "an Export Time more than an hour from the capture's clock",
    wanted: "UTC, from a clock kept right, unless the capture is of messages replayed later",
    meaning: "flows are filed under the wrong time",
    check: Stream,
};

/// A7.
pub static EXPORT_TIME_BACKWARDS: Rule = Rule {
    id: "MSG-EXPORT-TIME-BACKWARDS",
    severity: Warning,
    source: "RFC 7011 sections 3.1 and 8.2",
    title: "the Export Time goes back",
    wanted: "times that do not fall from one message to the next",
    meaning: "template changes are ordered by it: records may be read with the wrong template",
    check: Stream,
};

/// A6.
pub static HEADER_SWAPPED: Rule = Rule {
    id: "MSG-HEADER-SWAPPED",
    severity: Error,
    source: "RFC 7011 section 3.1",
    title: "sequence number and Export Time change places",
    wanted: "Export Time in octets 4 to 7, the sequence number in octets 8 to 11",
    meaning: "every flow is misdated and loss cannot be told",
    check: Stream,
};

/// A26.
pub static DOMAIN_ZERO: Rule = Rule {
    id: "MSG-DOMAIN-ZERO",
    severity: Note,
    source: "RFC 7011 section 3.1",
    title: "flow records in Observation Domain 0",
    wanted: "an id of the domain; 0 says that none applies to the whole message",
    meaning: "two engines behind one address cannot be told apart",
    check: Stream,
};
