//! Values of fields by abstract data type (RFC 7011 section 6).

use super::list::{BasicList, SubTemplateList, SubTemplateMultiList};
use super::time::Ntp;
use ie_registry::DataType;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A value that was read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// `unsigned8` to `unsigned64`, of any length.
    Unsigned(u64),
    /// `unsigned256`: the octets as sent, most significant first, leading zeros removed.
    Unsigned256(&'a [u8]),
    /// `signed8` to `signed64`, of any length.
    Signed(i64),
    /// `float32`, and `float64` of four octets.
    Float32(f32),
    /// `float64`.
    Float64(f64),
    /// `boolean`.
    Boolean(bool),
    /// `macAddress`.
    Mac([u8; 6]),
    /// `ipv4Address`.
    Ipv4(Ipv4Addr),
    /// `ipv6Address`.
    Ipv6(Ipv6Addr),
    /// `string`.
    String(&'a str),
    /// `octetArray`.
    Octets(&'a [u8]),
    /// `dateTimeSeconds`: since 1970.
    Seconds(u32),
    /// `dateTimeMilliseconds`: since 1970.
    Milliseconds(u64),
    /// `dateTimeMicroseconds`.
    Microseconds(Ntp),
    /// `dateTimeNanoseconds`.
    Nanoseconds(Ntp),
    /// `basicList`.
    BasicList(BasicList<'a>),
    /// `subTemplateList`.
    SubTemplateList(SubTemplateList<'a>),
    /// `subTemplateMultiList`.
    SubTemplateMultiList(SubTemplateMultiList<'a>),
}

/// Why octets are no value of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// A length that the type cannot have.
    #[error("{length} octets are no {}", .data_type.name())]
    Length {
        /// The type.
        data_type: DataType,
        /// Octets of the field.
        length: usize,
    },
    /// A boolean other than 1 and 2 (RFC 7011 section 6.1.5).
    #[error("{0} is no boolean (1 is true, 2 is false)")]
    Boolean(u8),
    /// A string that is not UTF-8 (RFC 7011 section 6.1.6).
    #[error("octet {at} of the string is not UTF-8")]
    Utf8 {
        /// The first octet that is not.
        at: usize,
    },
    /// A list whose parts do not fit into it (RFC 6313 section 4.5).
    #[error("octet {at} of the list: its parts do not fit")]
    List {
        /// Where, within the list.
        at: usize,
    },
}

impl<'a> Value<'a> {
    /// Reads `octets` as a value of `data_type`.
    ///
    /// Integers are read from any length of 1 to 8 octets, also longer than the type: the value is then still what was
    /// meant. Whether a Template may give that length is for [`DataType::is_valid_length`] to say.
    ///
    /// # Errors
    /// The length or the octets are none that the type can have.
    #[inline]
    pub fn decode(data_type: DataType, octets: &'a [u8]) -> Result<Self, ValueError> {
        let length = ValueError::Length { data_type, length: octets.len() };
        match data_type {
            DataType::Unsigned8
            | DataType::Unsigned16
            | DataType::Unsigned32
            | DataType::Unsigned64 => unsigned(octets).map(Self::Unsigned).ok_or(length),
            DataType::Signed8 | DataType::Signed16 | DataType::Signed32 | DataType::Signed64 => {
                signed(octets).map(Self::Signed).ok_or(length)
            }
            DataType::Unsigned256 if matches!(octets.len(), 1..=32) => {
                let zeros = octets.iter().take_while(|&&octet| octet == 0).count();
                Ok(Self::Unsigned256(octets.get(zeros..).unwrap_or(&[])))
            }
            DataType::Unsigned256 => Err(length),
            DataType::Float32 => {
                exact(octets).map(f32::from_be_bytes).map(Self::Float32).ok_or(length)
            }
            DataType::Float64 => match (exact(octets), exact(octets)) {
                (Some(double), _) => Ok(Self::Float64(f64::from_be_bytes(double))),
                (_, Some(single)) => Ok(Self::Float32(f32::from_be_bytes(single))),
                _ => Err(length),
            },
            DataType::Boolean => match *octets {
                [1] => Ok(Self::Boolean(true)),
                [2] => Ok(Self::Boolean(false)),
                [other] => Err(ValueError::Boolean(other)),
                _ => Err(length),
            },
            DataType::MacAddress => exact(octets).map(Self::Mac).ok_or(length),
            DataType::Ipv4Address => {
                exact::<4>(octets).map(Ipv4Addr::from).map(Self::Ipv4).ok_or(length)
            }
            DataType::Ipv6Address => {
                exact::<16>(octets).map(Ipv6Addr::from).map(Self::Ipv6).ok_or(length)
            }
            DataType::DateTimeSeconds => {
                exact(octets).map(u32::from_be_bytes).map(Self::Seconds).ok_or(length)
            }
            DataType::DateTimeMilliseconds => {
                exact(octets).map(u64::from_be_bytes).map(Self::Milliseconds).ok_or(length)
            }
            DataType::DateTimeMicroseconds => {
                exact(octets).map(u64::from_be_bytes).map(Ntp).map(Self::Microseconds).ok_or(length)
            }
            DataType::DateTimeNanoseconds => {
                exact(octets).map(u64::from_be_bytes).map(Ntp).map(Self::Nanoseconds).ok_or(length)
            }
            DataType::String => std::str::from_utf8(octets)
                .map(Self::String)
                .map_err(|error| ValueError::Utf8 { at: error.valid_up_to() }),
            DataType::OctetArray => Ok(Self::Octets(octets)),
            DataType::BasicList => BasicList::decode(octets).map(Self::BasicList),
            DataType::SubTemplateList => SubTemplateList::decode(octets).map(Self::SubTemplateList),
            DataType::SubTemplateMultiList => {
                SubTemplateMultiList::decode(octets).map(Self::SubTemplateMultiList)
            }
        }
    }

    /// The number, if it is an unsigned integer of at most 64 bits.
    #[must_use]
    pub const fn as_unsigned(&self) -> Option<u64> {
        if let Self::Unsigned(value) = self { Some(*value) } else { None }
    }

    /// Nanoseconds since 1970, if it is a point in time that they can hold.
    #[must_use]
    pub fn unix_nanos(&self) -> Option<i64> {
        match *self {
            Self::Seconds(seconds) => Some(i64::from(seconds) * 1_000_000_000),
            Self::Milliseconds(millis) => i64::try_from(millis).ok()?.checked_mul(1_000_000),
            Self::Microseconds(ntp) => Some(ntp.unix_micros() * 1000),
            Self::Nanoseconds(ntp) => Some(ntp.unix_nanos()),
            _ => None,
        }
    }
}

fn exact<const N: usize>(octets: &[u8]) -> Option<[u8; N]> {
    octets.try_into().ok()
}

/// An unsigned integer of 1 to 8 octets.
#[inline]
#[must_use]
pub(crate) fn unsigned(octets: &[u8]) -> Option<u64> {
    matches!(octets.len(), 1..=8)
        .then(|| octets.iter().fold(0, |value, &octet| value << 8 | u64::from(octet)))
}

fn signed(octets: &[u8]) -> Option<i64> {
    let bits = 64 - 8 * octets.len().min(8) as u32;
    unsigned(octets).map(|value| ((value << bits) as i64) >> bits)
}
