//! What can be wrong with octets, and where.

use std::fmt;

/// Something in a message that the format does not allow, or that makes part of it unreadable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// Octet of the message at which it shows; 0 is the first octet of the message header.
    pub offset: usize,
    /// What it is.
    pub kind: Kind,
}

/// Kinds of [`Anomaly`]. Lengths are octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Fewer octets than a message header.
    HeaderTruncated {
        /// Octets there are.
        available: usize,
    },
    /// The version is none that is understood.
    Version {
        /// The version number found.
        found: u16,
    },
    /// The message's length field does not agree with what came (RFC 7011 section 3.1).
    MessageLength {
        /// What the header says.
        stated: usize,
        /// Octets that came.
        available: usize,
    },
    /// Octets behind the last Set that are too few for a Set header.
    TrailingOctets {
        /// How many.
        length: usize,
    },
    /// A Set's length is less than its header or more than the message has left (RFC 7011 section 3.3.2).
    SetLength {
        /// Set ID.
        id: u16,
        /// What the Set header says.
        stated: usize,
        /// What the message has left.
        remaining: usize,
    },
    /// A Set without a record.
    EmptySet {
        /// Set ID.
        id: u16,
    },
    /// A Set ID that is not assigned: 0, 1, 4 to 255 (RFC 7011 section 3.3.2).
    SetId {
        /// Set ID.
        id: u16,
    },
    /// A Template Record reaches beyond its Set.
    TemplateTruncated {
        /// Template ID.
        id: u16,
        /// Fields it says it has.
        fields: u16,
    },
    /// A Template ID below 256 (RFC 7011 section 3.4.1).
    TemplateId {
        /// Template ID.
        id: u16,
    },
    /// An Options Template whose scope field count is 0 or exceeds its field count (RFC 7011 section 3.4.2.2).
    ScopeCount {
        /// Template ID.
        id: u16,
        /// Scope field count.
        scopes: u16,
        /// Field count.
        fields: u16,
    },
    /// Lengths of a NetFlow v9 options template that are not whole field specifiers (RFC 3954 section 6.1).
    OptionsLength {
        /// Template ID.
        id: u16,
        /// Stated length of the scope fields.
        scope: u16,
        /// Stated length of the option fields.
        option: u16,
    },
    /// A Template whose records would have no octets.
    TemplateEmpty {
        /// Template ID.
        id: u16,
    },
    /// A Template that withdraws nothing known, or withdraws where withdrawal is not allowed.
    Withdrawal {
        /// Template ID; 2 or 3 for all.
        id: u16,
        /// Whether the transport forbids it (RFC 7011 section 8.4), rather than the Template being unknown.
        forbidden: bool,
    },
    /// A live Template was defined differently without withdrawal on a reliable transport (RFC 7011 section 8.1).
    TemplateRedefined {
        /// Template ID.
        id: u16,
    },
    /// A Data Set for which there is no Template (yet): its records cannot be read.
    NoTemplate {
        /// Set ID.
        id: u16,
        /// Octets of the Set's contents.
        length: usize,
    },
    /// A variable-length field reaches beyond its Set (RFC 7011 section 7).
    VariableLength {
        /// Template ID.
        id: u16,
        /// Which field of the Template, from 0.
        field: u16,
        /// Length it says it has.
        stated: usize,
        /// What the Set has left.
        remaining: usize,
    },
    /// Octets at the end of a Data Set as long as a record or longer cannot be padding; shorter ones not zero.
    Padding {
        /// Set ID.
        id: u16,
        /// How many octets.
        length: usize,
    },
    /// The header's count of records is not what the message holds (NetFlow v5 and v9).
    RecordCount {
        /// What the header says.
        stated: usize,
        /// Records found.
        found: usize,
    },
    /// A limit of the collector was reached: what follows in the Set or message is passed over.
    Limit {
        /// Which limit.
        limit: &'static str,
        /// Its value.
        value: usize,
    },
    /// Octets between two messages of a stream that are no message: the reader went on at the next header.
    Resynchronised {
        /// Octets passed over.
        skipped: usize,
    },
}

impl Kind {
    /// A stable short name for reports and counters.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::HeaderTruncated { .. } => "header-truncated",
            Self::Version { .. } => "version",
            Self::MessageLength { .. } => "message-length",
            Self::TrailingOctets { .. } => "trailing-octets",
            Self::SetLength { .. } => "set-length",
            Self::EmptySet { .. } => "empty-set",
            Self::SetId { .. } => "set-id",
            Self::TemplateTruncated { .. } => "template-truncated",
            Self::TemplateId { .. } => "template-id",
            Self::ScopeCount { .. } => "scope-count",
            Self::OptionsLength { .. } => "options-length",
            Self::TemplateEmpty { .. } => "template-empty",
            Self::Withdrawal { .. } => "withdrawal",
            Self::TemplateRedefined { .. } => "template-redefined",
            Self::NoTemplate { .. } => "no-template",
            Self::VariableLength { .. } => "variable-length",
            Self::Padding { .. } => "padding",
            Self::RecordCount { .. } => "record-count",
            Self::Limit { .. } => "limit",
            Self::Resynchronised { .. } => "resynchronised",
        }
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "octet {}: ", self.offset)?;
        match self.kind {
            Kind::HeaderTruncated { available } => {
                write!(f, "{available} octets are too few for a message header")
            }
            Kind::Version { found } => write!(f, "version {found} is not understood"),
            Kind::MessageLength { stated, available } => {
                write!(f, "the header says {stated} octets, {available} came")
            }
            Kind::TrailingOctets { length } => {
                write!(f, "{length} octets behind the last set are no set")
            }
            Kind::SetLength { id, stated, remaining } => {
                write!(f, "set {id} says {stated} octets, the message has {remaining} left")
            }
            Kind::EmptySet { id } => write!(f, "set {id} has no record"),
            Kind::SetId { id } => write!(f, "set id {id} is not assigned"),
            Kind::TemplateTruncated { id, fields } => {
                write!(f, "template {id} says {fields} fields, which reach beyond its set")
            }
            Kind::TemplateId { id } => write!(f, "template id {id} is below 256"),
            Kind::ScopeCount { id, scopes, fields } => {
                write!(f, "options template {id} has {scopes} scope fields of {fields} fields")
            }
            Kind::OptionsLength { id, scope, option } => write!(
                f,
                "options template {id} has scope length {scope} and option length {option}, \
                 not multiples of 4"
            ),
            Kind::TemplateEmpty { id } => {
                write!(f, "records of template {id} would have no octets")
            }
            Kind::Withdrawal { id, forbidden: true } => {
                write!(f, "template {id} is withdrawn over UDP, which is not allowed")
            }
            Kind::Withdrawal { id, forbidden: false } => {
                write!(f, "template {id} is withdrawn but not known")
            }
            Kind::TemplateRedefined { id } => {
                write!(f, "template {id} is defined anew, differently, without withdrawal")
            }
            Kind::NoTemplate { id, length } => {
                write!(f, "no template {id} is known for {length} octets of data")
            }
            Kind::VariableLength { id, field, stated, remaining } => write!(
                f,
                "field {field} of template {id} says {stated} octets, its set has {remaining} left"
            ),
            Kind::Padding { id, length } => {
                write!(f, "{length} octets at the end of set {id} are neither record nor padding")
            }
            Kind::RecordCount { stated, found } => {
                write!(f, "the header says {stated} records, the message has {found}")
            }
            Kind::Limit { limit, value } => {
                write!(f, "limit of {value} {limit} reached, the rest is passed over")
            }
            Kind::Resynchronised { skipped } => {
                write!(f, "{skipped} octets are no message, read on at the next header")
            }
        }
    }
}
