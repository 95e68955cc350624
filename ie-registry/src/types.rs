//! The type system of elements: abstract data types with their lengths, semantics and units, with the codes that
//! RFC 5610 type records carry.

use crate::VARIABLE_LENGTH;

macro_rules! coded {
    ($(#[$doc:meta])* $name:ident($code:ty) { $($(#[$variant_doc:meta])* $variant:ident = $value:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant = $value,)* }

        impl $name {
            /// All of them, in order of code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The registered code.
            #[inline]
            #[must_use]
            pub const fn code(self) -> $code {
                self as $code
            }

            /// What `code` stands for; `None` if it is not assigned.
            #[must_use]
            pub const fn from_code(code: $code) -> Option<Self> {
                match code { $($value => Some(Self::$variant),)* _ => None }
            }

            /// Name as registered.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The one called `name`.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|item| item.name() == name)
            }
        }
    };
}

coded! {
    /// Abstract data type (RFC 7012 section 3.1, RFC 6313, RFC 9740); the code is the value of
    /// `informationElementDataType` (339).
    DataType(u8) {
        /// Octets without further meaning.
        OctetArray = 0, "octetArray";
        /// Integer of one octet.
        Unsigned8 = 1, "unsigned8";
        /// Integer of two octets.
        Unsigned16 = 2, "unsigned16";
        /// Integer of four octets.
        Unsigned32 = 3, "unsigned32";
        /// Integer of eight octets.
        Unsigned64 = 4, "unsigned64";
        /// Signed integer of one octet.
        Signed8 = 5, "signed8";
        /// Signed integer of two octets.
        Signed16 = 6, "signed16";
        /// Signed integer of four octets.
        Signed32 = 7, "signed32";
        /// Signed integer of eight octets.
        Signed64 = 8, "signed64";
        /// IEEE 754 single precision.
        Float32 = 9, "float32";
        /// IEEE 754 double precision; may be shortened to a `float32`.
        Float64 = 10, "float64";
        /// 1 true, 2 false, anything else undefined.
        Boolean = 11, "boolean";
        /// Six octets.
        MacAddress = 12, "macAddress";
        /// UTF-8.
        String = 13, "string";
        /// Seconds since 1970, 32 bits.
        DateTimeSeconds = 14, "dateTimeSeconds";
        /// Milliseconds since 1970, 64 bits.
        DateTimeMilliseconds = 15, "dateTimeMilliseconds";
        /// NTP timestamp: seconds since 1900 and a fraction, 32 bits each; the lowest 11 bits have no meaning.
        DateTimeMicroseconds = 16, "dateTimeMicroseconds";
        /// NTP timestamp: seconds since 1900 and a fraction, 32 bits each.
        DateTimeNanoseconds = 17, "dateTimeNanoseconds";
        /// Four octets.
        Ipv4Address = 18, "ipv4Address";
        /// Sixteen octets.
        Ipv6Address = 19, "ipv6Address";
        /// List of values of one element (RFC 6313 section 4.5.1).
        BasicList = 20, "basicList";
        /// List of records of one Template (RFC 6313 section 4.5.2).
        SubTemplateList = 21, "subTemplateList";
        /// List of records of several Templates (RFC 6313 section 4.5.3).
        SubTemplateMultiList = 22, "subTemplateMultiList";
        /// Integer of 32 octets (RFC 9740).
        Unsigned256 = 23, "unsigned256";
    }
}

impl DataType {
    /// Octets of the unreduced encoding; [`VARIABLE_LENGTH`] where there is no natural one.
    #[must_use]
    pub const fn default_length(self) -> u16 {
        match self {
            Self::Unsigned8 | Self::Signed8 | Self::Boolean => 1,
            Self::Unsigned16 | Self::Signed16 => 2,
            Self::Unsigned32
            | Self::Signed32
            | Self::Float32
            | Self::DateTimeSeconds
            | Self::Ipv4Address => 4,
            Self::MacAddress => 6,
            Self::Unsigned64
            | Self::Signed64
            | Self::Float64
            | Self::DateTimeMilliseconds
            | Self::DateTimeMicroseconds
            | Self::DateTimeNanoseconds => 8,
            Self::Ipv6Address => 16,
            Self::Unsigned256 => 32,
            Self::OctetArray
            | Self::String
            | Self::BasicList
            | Self::SubTemplateList
            | Self::SubTemplateMultiList => VARIABLE_LENGTH,
        }
    }

    /// Whether a Template may give a shorter length (RFC 7011 section 6.2; RFC 9740 for `unsigned256`).
    #[must_use]
    pub const fn is_reducible(self) -> bool {
        self.is_unsigned() && !matches!(self, Self::Unsigned8)
            || self.is_signed() && !matches!(self, Self::Signed8)
            || matches!(self, Self::Float64)
    }

    /// Whether a Template may give this length to the element, [`VARIABLE_LENGTH`] included.
    #[must_use]
    pub const fn is_valid_length(self, length: u16) -> bool {
        let full = self.default_length();
        if full == VARIABLE_LENGTH {
            return true;
        }
        if matches!(self, Self::Float64) {
            return length == 8 || length == 4;
        }
        length == full || self.is_reducible() && length >= 1 && length < full
    }

    /// Whether it is an unsigned integer.
    #[must_use]
    pub const fn is_unsigned(self) -> bool {
        matches!(
            self,
            Self::Unsigned8
                | Self::Unsigned16
                | Self::Unsigned32
                | Self::Unsigned64
                | Self::Unsigned256
        )
    }

    /// Whether it is a signed integer.
    #[must_use]
    pub const fn is_signed(self) -> bool {
        matches!(self, Self::Signed8 | Self::Signed16 | Self::Signed32 | Self::Signed64)
    }

    /// Whether it is one of the structured types of RFC 6313.
    #[must_use]
    pub const fn is_list(self) -> bool {
        matches!(self, Self::BasicList | Self::SubTemplateList | Self::SubTemplateMultiList)
    }

    /// Whether it is a point in time.
    #[must_use]
    pub const fn is_time(self) -> bool {
        matches!(
            self,
            Self::DateTimeSeconds
                | Self::DateTimeMilliseconds
                | Self::DateTimeMicroseconds
                | Self::DateTimeNanoseconds
        )
    }
}

coded! {
    /// How a value is to be understood (RFC 7012 section 3.2); the code is the value of
    /// `informationElementSemantics` (344).
    Semantics(u8) {
        /// No special meaning; also elements for which the registry gives none.
        Default = 0, "default";
        /// A measured number.
        Quantity = 1, "quantity";
        /// Counts since the process began.
        TotalCounter = 2, "totalCounter";
        /// Counts since the last report.
        DeltaCounter = 3, "deltaCounter";
        /// A number that names something.
        Identifier = 4, "identifier";
        /// Bits.
        Flags = 5, "flags";
        /// A structured type (RFC 6313).
        List = 6, "list";
        /// SNMP counter (RFC 8038).
        SnmpCounter = 7, "snmpCounter";
        /// SNMP gauge (RFC 8038).
        SnmpGauge = 8, "snmpGauge";
    }
}

coded! {
    /// Units of a value; the code is the value of `informationElementUnits` (345).
    Units(u16) {
        /// None.
        None = 0, "none";
        /// Bits.
        Bits = 1, "bits";
        /// Octets.
        Octets = 2, "octets";
        /// Packets.
        Packets = 3, "packets";
        /// Flows.
        Flows = 4, "flows";
        /// Seconds.
        Seconds = 5, "seconds";
        /// Milliseconds.
        Milliseconds = 6, "milliseconds";
        /// Microseconds.
        Microseconds = 7, "microseconds";
        /// Nanoseconds.
        Nanoseconds = 8, "nanoseconds";
        /// Words of four octets.
        FourOctetWords = 9, "4-octet words";
        /// Messages.
        Messages = 10, "messages";
        /// Hops.
        Hops = 11, "hops";
        /// Entries of a list or table.
        Entries = 12, "entries";
        /// Layer 2 frames.
        Frames = 13, "frames";
        /// Ports.
        Ports = 14, "ports";
        /// Those of the element that this one is about.
        Inferred = 15, "inferred";
    }
}

/// Whether an element is still to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// In use.
    Current,
    /// Not to be used in new exports.
    Deprecated,
}

/// Whether an element may be used with the reverse enterprise number, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reversal {
    /// It may.
    Yes,
    /// RFC 5103 section 6.1 names it as not reversible; or it is an enterprise element, for which there is no reverse.
    No,
    /// Registered later and not reversible by that section's criteria: our judgement, not an error by the letter.
    ByCriteria,
}
