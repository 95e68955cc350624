//! IPFIX Information Elements: what IANA has registered, and sixtap's own. No dependencies, no allocation.
//!
//! In: `iana.csv`, `subregistries.csv` and `protocol-numbers.csv` (facts of IANA's registries) and `sixtap.csv` (our own
//! elements), from which `scripts/registry-update` makes the tables in `generated.rs`.
//! Out: [`Element`]s by number ([`iana`], [`reverse`], [`sixtap`], [`lookup`]) or by name ([`by_name`]), their numbers
//! as constants ([`ie`]), the type system of RFC 7012 and RFC 5610 ([`DataType`], [`Semantics`], [`Units`]), and the
//! value registries ([`subregistry`], [`protocol_name`], [`EXTENSION_HEADER_BITS`]).
//!
//! What must stay true: tables are sorted by id, indexes are O(1), and `generated.rs` is exactly what the script makes
//! (`tests/generated.rs`).

#[rustfmt::skip]
mod generated;
mod types;

pub use generated::ie;
pub use types::{DataType, Reversal, Semantics, Status, Units};

/// The enterprise number of sixtap's own elements unless configured otherwise: 32473 is set aside for documentation
/// (RFC 5612).
pub const SIXTAP_DEFAULT_PEN: u32 = 32473;

/// The enterprise number that stands for "the IANA element of this id, in the reverse direction" (RFC 5103
/// section 6.1).
pub const REVERSE_PEN: u32 = 29305;

/// Ids, in sixtap's own number space, that are set aside for elements a user defines.
pub const USER_DEFINED: core::ops::RangeInclusive<u16> = 1000..=1031;

/// Element length in a Template that says "variable" (RFC 7011 section 7).
pub const VARIABLE_LENGTH: u16 = 65535;

/// One Information Element (RFC 7012 section 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    /// Number of the element, without the enterprise bit.
    pub id: u16,
    /// Private Enterprise Number; 0 for IANA's, [`REVERSE_PEN`] for the reverse direction of IANA's,
    /// [`SIXTAP_DEFAULT_PEN`] for sixtap's own whatever number is configured.
    pub enterprise: u32,
    /// Name as registered.
    pub name: &'static str,
    /// Abstract data type.
    pub data_type: DataType,
    /// Octets of the unreduced encoding; [`VARIABLE_LENGTH`] for strings, octet arrays and lists.
    pub default_length: u16,
    /// How the value is to be understood.
    pub semantics: Semantics,
    /// Units of the value.
    pub units: Units,
    /// Whether the element is still to be used.
    pub status: Status,
    /// Smallest and largest valid value, where the registry bounds them more than the type does.
    pub range: Option<(u64, u64)>,
    /// Whether a reverse direction makes sense (RFC 5103 section 6.1); see [`Element::reversal`] for who says so.
    pub reversible: bool,
    /// Whether, and on whose word, the element may be reversed.
    pub reversal: Reversal,
}

/// One row of the generated tables.
#[allow(clippy::too_many_arguments, reason = "the columns of the CSV file")]
const fn element(
    id: u16,
    enterprise: u32,
    name: &'static str,
    data_type: DataType,
    semantics: Semantics,
    units: Units,
    status: Status,
    range: Option<(u64, u64)>,
    reversal: Reversal,
) -> Element {
    Element {
        id,
        enterprise,
        name,
        data_type,
        default_length: data_type.default_length(),
        semantics,
        units,
        status,
        range,
        reversible: matches!(reversal, Reversal::Yes),
        reversal,
    }
}

fn at(table: &'static [Element], index: &[u16], id: u16) -> Option<&'static Element> {
    let place = usize::from(*index.get(usize::from(id))?);
    table.get(place.checked_sub(1)?)
}

/// IANA's element number `id`.
#[inline]
#[must_use]
pub fn iana(id: u16) -> Option<&'static Element> {
    at(&generated::IANA, &generated::IANA_INDEX, id)
}

/// The reverse direction of IANA's element `id` (RFC 5103): its name is `reverse` and the element's own. Elements that
/// must not be reversed are found too, with [`Element::reversible`] false, so that their wrong use can be named.
#[inline]
#[must_use]
pub fn reverse(id: u16) -> Option<&'static Element> {
    at(&generated::REVERSE, &generated::IANA_INDEX, id)
}

/// sixtap's own element number `id`.
#[inline]
#[must_use]
pub fn sixtap(id: u16) -> Option<&'static Element> {
    at(&generated::SIXTAP, &generated::SIXTAP_INDEX, id)
}

/// The element that `id` means under enterprise number `enterprise`, when sixtap's own elements use `own`.
#[inline]
#[must_use]
pub fn lookup(enterprise: u32, id: u16, own: u32) -> Option<&'static Element> {
    match enterprise {
        0 => iana(id),
        REVERSE_PEN => reverse(id),
        _ if enterprise == own => sixtap(id),
        _ => None,
    }
}

fn named(table: &'static [Element], order: &[u16], name: &str) -> Option<&'static Element> {
    let place = order
        .binary_search_by(|&place| table.get(usize::from(place)).map_or("", |e| e.name).cmp(name))
        .ok()?;
    table.get(usize::from(*order.get(place)?))
}

/// The element called `name`, in the registry's spelling: IANA's, the reverse of IANA's (`reverseOctetDeltaCount`), or
/// sixtap's own, with or without `sixtap:` in front.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Element> {
    let own = |name| named(&generated::SIXTAP, &generated::SIXTAP_NAMES, name);
    if let Some(name) = name.strip_prefix("sixtap:") {
        return own(name);
    }
    named(&generated::IANA, &generated::IANA_NAMES, name)
        .or_else(|| own(name))
        .or_else(|| generated::REVERSE.iter().find(|e| e.name == name))
}

/// All of IANA's elements in order of id.
#[must_use]
pub fn all_iana() -> &'static [Element] {
    &generated::IANA
}

/// All of sixtap's own elements in order of id, without the user-defined ones.
#[must_use]
pub fn all_sixtap() -> &'static [Element] {
    &generated::SIXTAP
}

/// What sixtap's own element `id` says, in words.
#[must_use]
pub fn sixtap_description(id: u16) -> Option<&'static str> {
    let place = usize::from(*generated::SIXTAP_INDEX.get(usize::from(id))?);
    generated::SIXTAP_DESCRIPTIONS.get(place.checked_sub(1)?).copied()
}

/// One of the registries of values that elements refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subregistry {
    /// Its name at IANA, such as `ipfix-flow-end-reason`.
    pub id: &'static str,
    /// The assigned values; unassigned ones are left out.
    pub values: &'static [Value],
}

/// A value, or a run of values, with one meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// First value.
    pub first: u32,
    /// Last value.
    pub last: u32,
    /// What it means, in the registry's words, cut where an explanation begins.
    pub label: &'static str,
}

impl Subregistry {
    /// What `value` means; `None` if it is not assigned.
    #[must_use]
    pub fn label(&self, value: u32) -> Option<&'static str> {
        self.values.iter().find(|v| v.first <= value && value <= v.last).map(|v| v.label)
    }
}

/// The registry of values called `id` at IANA.
#[must_use]
pub fn subregistry(id: &str) -> Option<&'static Subregistry> {
    generated::SUBREGISTRIES.iter().find(|registry| registry.id == id)
}

/// One bit of `ipv6ExtensionHeadersFull` (element 515).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtensionHeaderBit {
    /// Bit number; 0 is the least significant bit of the 256-bit integer.
    pub bit: u8,
    /// Short name in the registry; `EXP253` and `EXP254` for the two nameless ones.
    pub label: &'static str,
    /// The protocol number it stands for; `None` for `UNK`, twice 44 for `FRA0` and `FRA1`.
    pub protocol: Option<u8>,
}

/// Bits of `ipv6ExtensionHeadersFull` in order (registry "IPFIX ipv6ExtensionHeaders Bits", RFC 9740 section 3.3).
pub const EXTENSION_HEADER_BITS: &[ExtensionHeaderBit] = generated::EXTENSION_HEADER_BITS;

/// The bit of `ipv6ExtensionHeadersFull` for a header of type `protocol`. `later_fragment`: it is a Fragment header
/// with a non-zero offset. Types without a bit of their own have bit 3, `UNK`.
#[must_use]
pub fn extension_header_bit(protocol: u8, later_fragment: bool) -> u8 {
    const UNKNOWN: u8 = 3;
    let mut bits = EXTENSION_HEADER_BITS.iter().filter(|b| b.protocol == Some(protocol));
    match (bits.next(), bits.next(), later_fragment) {
        (Some(_), Some(last), true) => last.bit,
        (Some(first), _, _) => first.bit,
        (None, ..) => UNKNOWN,
    }
}

/// Name of a protocol number as registered; `None` where none is assigned.
#[must_use]
pub fn protocol_name(protocol: u8) -> Option<&'static str> {
    generated::PROTOCOL_NAMES.get(usize::from(protocol)).copied().filter(|name| !name.is_empty())
}

/// Whether the protocol number is registered as an IPv6 extension header (59, "no next header", is not).
#[inline]
#[must_use]
pub const fn is_ipv6_extension_header(protocol: u8) -> bool {
    generated::EXTENSION_HEADERS[(protocol >> 6) as usize] >> (protocol & 63) & 1 != 0
}
