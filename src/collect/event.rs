//! What the collector says while it reads a message.

use super::names::Names;
use super::session::Domain;
use crate::ipfix::{Anomaly, Field, Fields, RecordOctets, Template};
use std::net::SocketAddr;
use std::sync::Arc;

/// How messages came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// A file of messages (RFC 5655), or one datagram in a file.
    File,
    /// UDP, from a socket or a capture.
    Udp,
    /// TCP, from a socket or a capture.
    Tcp,
}

/// What is known of a UDP checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Checksum {
    /// Not seen: it came by a socket or a file, or not by UDP.
    Unknown,
    /// There was one (it was not computed again).
    Present,
    /// It was zero, "none": not allowed over IPv6 (RFC 8200 section 8.1) nor for IPFIX (RFC 7011 section 10.3.2).
    Zero,
}

/// Facts of the transport of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transport {
    /// How it came.
    pub protocol: Protocol,
    /// Address and port of the exporter; `None` for a file.
    pub exporter: Option<SocketAddr>,
    /// Address and port it was sent to; `None` for a file.
    pub collector: Option<SocketAddr>,
    /// When it arrived: nanoseconds since 1970; `None` for a file.
    pub arrival: Option<u64>,
    /// Octets of the UDP payload, or of the message within a stream.
    pub length: usize,
    /// The UDP checksum.
    pub checksum: Checksum,
    /// Whether the datagram came in IP fragments.
    pub fragmented: bool,
    /// Whether the capture holds less of the datagram than was sent.
    pub cut: bool,
    /// Where the message stands in the input.
    pub position: Position,
}

/// Where a message stands in its input, so that it is found again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Position {
    /// Octet (from 0) of the file or TCP stream at which it begins.
    Octet(u64),
    /// Number (from 1) of the packet, in a capture, that completed it.
    Packet(u64),
    /// Number (from 1) of the datagram that a socket received.
    Datagram(u64),
}

impl Position {
    /// The number, whatever it counts.
    #[must_use]
    pub const fn number(self) -> u64 {
        match self {
            Self::Octet(number) | Self::Packet(number) | Self::Datagram(number) => number,
        }
    }

    /// What it counts, as a word: `octet`, `packet`, `datagram`.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Octet(_) => "octet",
            Self::Packet(_) => "packet",
            Self::Datagram(_) => "datagram",
        }
    }
}

impl Default for Position {
    fn default() -> Self {
        Self::Octet(0)
    }
}

/// `packet 18`.
impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.unit(), self.number())
    }
}

impl Transport {
    /// A message from octet `position` of a file, or from a place of which nothing is known.
    #[must_use]
    pub const fn file(length: usize, position: u64) -> Self {
        Self {
            protocol: Protocol::File,
            exporter: None,
            collector: None,
            arrival: None,
            length,
            checksum: Checksum::Unknown,
            fragmented: false,
            cut: false,
            position: Position::Octet(position),
        }
    }
}

/// Which protocol a message speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// IPFIX (RFC 7011), version 10.
    Ipfix,
    /// NetFlow version 9 (RFC 3954).
    Netflow9,
    /// NetFlow version 5.
    Netflow5,
    /// Another number, or no header: only anomalies come of it.
    Unknown,
}

impl Version {
    /// The number in the header; 0 for [`Version::Unknown`].
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::Ipfix => 10,
            Self::Netflow9 => 9,
            Self::Netflow5 => 5,
            Self::Unknown => 0,
        }
    }
}

/// The message header, of any version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// IPFIX: octets of the message. NetFlow: how many records it says it has.
    pub stated: u16,
    /// When it left the exporter: seconds since 1970.
    pub export_time: u32,
    /// NetFlow v5: nanoseconds to add to `export_time`.
    pub export_nanos: u32,
    /// NetFlow: milliseconds since the exporter started.
    pub uptime: Option<u32>,
    /// IPFIX: Data Records before this message. NetFlow v9: messages before it. NetFlow v5: flows before it.
    pub sequence: u32,
    /// Observation Domain ID; NetFlow v9: Source ID; NetFlow v5: engine type and engine id.
    pub domain: u32,
}

/// The message that an event is about.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// How it came.
    pub transport: &'a Transport,
    /// Number of the Transport Session, in order of first appearance.
    pub session: u32,
    /// What it speaks.
    pub version: Version,
    /// Its header.
    pub header: Header,
    /// All its octets.
    pub octets: &'a [u8],
}

/// What became of a Template definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// The id was free.
    New,
    /// The same Template was known.
    Repeated,
    /// It replaces a different one.
    Changed,
}

/// One Data Record, readable as long as the event lasts.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The message it stands in.
    pub message: &'a Message<'a>,
    /// Its Template. NetFlow v5 has one of its own, with id 5.
    pub template: &'a Arc<Template>,
    /// Its octets and where they begin in the message.
    pub octets: RecordOctets<'a>,
    pub(super) domain: &'a Domain,
    pub(super) names: &'a Names,
}

impl<'a> Record<'a> {
    /// The fields in order, each with its octets and offset in the message.
    #[inline]
    #[must_use]
    pub fn fields(&self) -> Fields<'a, 'a> {
        Fields::new(self.template, self.octets)
    }

    /// Whether `field` is a scope field.
    #[inline]
    #[must_use]
    pub fn is_scope(&self, field: &Field<'_>) -> bool {
        field.index < self.template.scope_count()
    }

    /// The first field with this element.
    #[must_use]
    pub fn field(&self, enterprise: u32, id: u16) -> Option<Field<'a>> {
        let place = self.template.position(enterprise, id)?;
        self.fields().nth(place)
    }

    /// The value of IANA's element `id`, if the record has it as an unsigned integer of at most 64 bits.
    #[must_use]
    pub fn unsigned(&self, id: u16) -> Option<u64> {
        crate::ipfix::unsigned(self.field(0, id)?.octets)
    }

    /// The Template of the same session and domain with this id: for lists in fields.
    #[must_use]
    pub fn template_of(&self, id: u16) -> Option<&'a Arc<Template>> {
        self.domain.template(id)
    }

    /// The names by which elements are shown.
    #[must_use]
    pub fn names(&self) -> &'a Names {
        self.names
    }
}

/// A Set, once its records have been told.
#[derive(Clone, Copy, Debug)]
pub struct SetEnd<'a> {
    /// Set ID.
    pub id: u16,
    /// Where its header begins in the message.
    pub offset: usize,
    /// Octets of the Set as far as the message has them, header included.
    pub length: usize,
    /// Data Records read, or Template Records.
    pub records: u32,
    /// The Template of a Data Set; `None` if it is not known.
    pub template: Option<&'a Arc<Template>>,
    /// The octets behind the last record.
    pub padding: &'a [u8],
}

/// The end of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageEnd {
    /// Data Records read, options records included.
    pub records: u32,
    /// Template Records read, withdrawals included.
    pub templates: u32,
    /// Data Sets for which there was no Template.
    pub unreadable_sets: u32,
    /// Whether every octet of the message was understood, so that `records` is what the exporter counted.
    pub complete: bool,
}

/// One step through a message. Every message gives `Message` first and `End` last; what stands between follows the
/// order of the octets.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A message begins.
    Message(&'a Message<'a>),
    /// A Template or Options Template was defined.
    Template {
        /// The message.
        message: &'a Message<'a>,
        /// Where the Template Record begins.
        offset: usize,
        /// The Template.
        template: &'a Arc<Template>,
        /// What it did to the one known before.
        change: Change,
    },
    /// A Template was withdrawn (RFC 7011 section 8.1); 2 and 3 stand for all Templates and all Options Templates.
    Withdrawal {
        /// The message.
        message: &'a Message<'a>,
        /// Where the Template Record begins.
        offset: usize,
        /// Template ID.
        id: u16,
        /// Whether it had been defined and is now forgotten.
        known: bool,
    },
    /// A Data Record.
    Record(Record<'a>),
    /// A Set has ended.
    Set {
        /// The message.
        message: &'a Message<'a>,
        /// The Set.
        set: SetEnd<'a>,
    },
    /// Something is wrong.
    Anomaly {
        /// The message.
        message: &'a Message<'a>,
        /// What and where.
        anomaly: Anomaly,
    },
    /// The message has ended.
    End {
        /// The message.
        message: &'a Message<'a>,
        /// What it had.
        end: MessageEnd,
    },
}
