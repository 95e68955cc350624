//! The IPFIX wire format (RFC 7011, RFC 6313), both directions.
//!
//! In: octets, or values and [`Template`]s. Out: records with the offset of every field, or messages.
//!
//! ```text
//! encode   MessageBuilder ── template(), record(), reserve() ──► one message of at most N octets
//! decode   message ──► Sets ──► template records (TemplateSet)
//!                          └──► Records ──► Fields ──► Value
//! ```
//!
//! What must stay true:
//! - No input makes a function here panic, loop without progress or allocate beyond a small multiple of the input.
//! - Decoding goes on after a fault where the framing allows it; each [`Anomaly`] says at which octet of the message.
//! - Nothing here knows a clock, a socket or a flow. Octet order on the wire is network order throughout.

mod anomaly;
mod decode;
mod encode;
mod header;
pub mod json;
mod list;
mod octets;
mod set;
mod template;
pub mod time;
mod value;
pub mod varlen;

#[cfg(test)]
mod tests;

pub use anomaly::{Anomaly, Kind};
pub use decode::{Field, Fields, RecordOctets, Records, Sets, TemplateSet};
pub use encode::{MessageBuilder, Refused};
pub use header::MessageHeader;
pub use list::{BasicList, ListSemantic, SubTemplateList, SubTemplateMultiList};
pub use octets::Writer;
pub(crate) use octets::{be16, be32};
pub use set::{FIRST_DATA_SET, OPTIONS_TEMPLATE_SET, Set, SetHeader, TEMPLATE_SET};
pub use template::{FieldSpecifier, Template, TemplateRecord};
pub(crate) use value::unsigned;
pub use value::{Value, ValueError};
