//! Presets: which elements a record carries, in which order, for which flows.
//!
//! In: a name or a file. Out: [`Preset`], an ordered list of [`Field`]s. Invariants: every element of a preset is one
//! sixtap can fill ([`FILLINGS`]); lengths are such that RFC 7011 section 6.2 allows them.

mod catalogue;
mod document;
mod file;
mod netflow9;

pub use catalogue::{FILLINGS, Filling, fillings};
pub use document::document;
pub use file::PresetError;

use super::record::{Condition, Kind, Slot, Source, USER, USER_ELEMENTS};
use ie_registry::ie::{self, sixtap};
use ie_registry::{DataType, Element, REVERSE_PEN, SIXTAP_DEFAULT_PEN};

/// One field of a preset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Enterprise number; [`SIXTAP_DEFAULT_PEN`] stands for the configured one.
    pub enterprise: u32,
    /// Element identifier.
    pub id: u16,
    /// Octets; 65535: variable.
    pub length: u16,
    /// For which flows the record has the field.
    pub condition: Condition,
    /// What fills it.
    pub source: Source,
}

/// An ordered list of fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preset {
    /// `default`, `full`, `covert`, or the name its file gives.
    pub name: String,
    /// The fields in the order of the record.
    pub fields: Vec<Field>,
}

/// An element that the user defines and whose values the meter delivers ([`crate::meter::flow::FinishedFlow::user`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserElement {
    /// Name, as in `sixtap:NAME`.
    pub name: String,
    /// Identifier among sixtap's own elements ([`ie_registry::USER_DEFINED`]).
    pub id: u16,
    /// Octets of the value, 1 to 8.
    pub length: u16,
    /// Its abstract data type: an unsigned integer, or an ipv4Address of four octets.
    pub data_type: DataType,
    /// What it is, for the type record (RFC 5610).
    pub description: String,
}

/// The names of the presets that are built in.
pub const NAMES: [&str; 3] = ["default", "full", "covert"];

/// Elements of `default` for every flow: in the order in which the image of a flow holds them.
const PLAIN: &[u16] = &[
    ie::SOURCE_IPV6_ADDRESS,
    ie::SOURCE_IPV4_ADDRESS,
    ie::DESTINATION_IPV6_ADDRESS,
    ie::DESTINATION_IPV4_ADDRESS,
    ie::SOURCE_TRANSPORT_PORT,
    ie::DESTINATION_TRANSPORT_PORT,
    ie::ICMP_TYPE_CODE_IPV4,
    ie::ICMP_TYPE_IPV4,
    ie::ICMP_CODE_IPV4,
    ie::ICMP_TYPE_CODE_IPV6,
    ie::ICMP_TYPE_IPV6,
    ie::ICMP_CODE_IPV6,
    ie::PROTOCOL_IDENTIFIER,
    ie::IP_VERSION,
    ie::IP_CLASS_OF_SERVICE,
    ie::FLOW_END_REASON,
    ie::IP_TTL,
    ie::MINIMUM_TTL,
    ie::MAXIMUM_TTL,
    ie::FLOW_START_MILLISECONDS,
    ie::FLOW_END_MILLISECONDS,
    ie::OCTET_DELTA_COUNT,
    ie::PACKET_DELTA_COUNT,
    ie::MINIMUM_IP_TOTAL_LENGTH,
    ie::MAXIMUM_IP_TOTAL_LENGTH,
    ie::INGRESS_INTERFACE,
    ie::NEXT_HEADER_IPV6,
    ie::FLOW_LABEL_IPV6,
    ie::TCP_CONTROL_BITS,
    // Collectors older than 2020 know only the first of the two.
    ie::VLAN_ID,
    ie::DOT1Q_VLAN_ID,
    ie::DOT1Q_CUSTOMER_VLAN_ID,
];

/// Extension headers and fragments, as `default` has them.
const HEADERS: &[u16] = &[
    ie::IPV6_EXTENSION_HEADERS,
    ie::IPV6_EXTENSION_HEADERS_FULL,
    ie::IPV6_EXTENSION_HEADERS_LIMIT,
    ie::IPV6_EXTENSION_HEADERS_CHAIN_LENGTH,
    ie::FRAGMENT_IDENTIFICATION,
    ie::FRAGMENT_OFFSET,
    ie::FRAGMENT_FLAGS,
    ie::IPSEC_SPI,
];

/// Own elements on fragments: what the signatures of fragment attacks look at.
const FRAGMENTS: &[u16] = &[
    sixtap::FRAGMENT_MINIMUM_OFFSET,
    sixtap::FRAGMENT_PACKETS,
    sixtap::FRAGMENT_ATOMIC_COUNT,
    sixtap::FRAGMENT_DUPLICATE_COUNT,
    sixtap::FRAGMENT_OVERLAP_COUNT,
    sixtap::FRAGMENT_OUT_OF_ORDER_COUNT,
    sixtap::FRAGMENT_INCOMPLETE_DATAGRAM_COUNT,
    sixtap::FRAGMENT_TINY_FIRST_COUNT,
    sixtap::FRAGMENT_PORTS_REWRITTEN,
    sixtap::FRAGMENT_REWRITTEN_DESTINATION_PORT,
];

/// Elements that only `full` has.
const FULL: &[u16] = &[
    ie::IPV6_EXTENSION_HEADER_TYPE_COUNT_LIST,
    ie::IPV6_EXTENSION_HEADER_CHAIN_LENGTH_LIST,
    ie::IP_DIFF_SERV_CODE_POINT,
    ie::IS_MULTICAST,
    ie::SOURCE_MAC_ADDRESS,
    ie::DESTINATION_MAC_ADDRESS,
    ie::DOT1Q_PRIORITY,
    ie::DOT1Q_DEI,
    ie::DOT1Q_CUSTOMER_PRIORITY,
    ie::DOT1Q_CUSTOMER_DEI,
    ie::ETHERNET_TYPE,
    ie::LAYER2_OCTET_DELTA_COUNT,
    ie::MPLS_TOP_LABEL_STACK_SECTION,
    ie::MPLS_LABEL_STACK_SECTION2,
    ie::MPLS_LABEL_STACK_SECTION3,
    ie::SRH_FLAGS_IPV6,
    ie::SRH_TAG_IPV6,
    ie::SRH_SEGMENTS_IPV6_LEFT,
    ie::SRH_ACTIVE_SEGMENT_IPV6,
    ie::SRH_SEGMENT_IPV6_BASIC_LIST,
    ie::SRH_IPV6_ACTIVE_SEGMENT_TYPE,
    ie::TCP_OPTIONS_FULL,
    ie::TCP_SHARED_OPTION_EXID16_LIST,
    ie::TCP_SHARED_OPTION_EXID32_LIST,
];

/// Own elements on what changed within the flow.
const CHANGES: &[u16] = &[
    sixtap::FLOW_LABEL_DISTINCT_COUNT,
    sixtap::FLOW_LABEL_MINIMUM,
    sixtap::FLOW_LABEL_MAXIMUM,
    sixtap::TRAFFIC_CLASS_DISTINCT_COUNT,
    sixtap::TRAFFIC_CLASS_MINIMUM,
    sixtap::TRAFFIC_CLASS_MAXIMUM,
    sixtap::HOP_LIMIT_DISTINCT_COUNT,
];

/// Own elements on the tunnel that carried the flow.
const TUNNEL: &[u16] = &[
    sixtap::TUNNEL_KIND,
    sixtap::TUNNEL_LEVEL,
    sixtap::TUNNEL_IDENTIFIER,
    sixtap::TUNNEL_SOURCE_IPV4_ADDRESS,
    sixtap::TUNNEL_DESTINATION_IPV4_ADDRESS,
    sixtap::TUNNEL_SOURCE_IPV6_ADDRESS,
    sixtap::TUNNEL_DESTINATION_IPV6_ADDRESS,
];

const REVERSE: &[u16] = &[
    ie::FLOW_START_MILLISECONDS,
    ie::FLOW_END_MILLISECONDS,
    ie::OCTET_DELTA_COUNT,
    ie::PACKET_DELTA_COUNT,
    ie::MINIMUM_IP_TOTAL_LENGTH,
    ie::MAXIMUM_IP_TOTAL_LENGTH,
    ie::TCP_CONTROL_BITS,
    ie::IP_TTL,
    ie::MINIMUM_TTL,
    ie::MAXIMUM_TTL,
    ie::IP_CLASS_OF_SERVICE,
    ie::NEXT_HEADER_IPV6,
    ie::FLOW_LABEL_IPV6,
    ie::IPV6_EXTENSION_HEADERS,
    ie::IPV6_EXTENSION_HEADERS_FULL,
];

impl Preset {
    /// What every collector copes with: IANA elements in their plainest form; more only for flows that have more.
    #[must_use]
    pub fn standard() -> Self {
        let mut preset = Self::empty("default");
        preset.iana(PLAIN);
        preset.iana(HEADERS);
        preset.own(FRAGMENTS);
        preset.own(TUNNEL);
        preset.own(&[sixtap::EXTRA_FACTS_LOST]);
        preset.finish()
    }

    /// Everything there is to know of a flow, each fact once.
    #[must_use]
    pub fn full() -> Self {
        let mut preset = Self::empty("full");
        preset.iana(PLAIN);
        preset.iana(HEADERS);
        preset.own(FRAGMENTS);
        preset.iana(FULL);
        preset.own(CHANGES);
        preset.own(&[sixtap::IPV6_EXTENSION_HEADER_CHAIN_DISTINCT_COUNT]);
        preset.own(TUNNEL);
        preset.own(&[sixtap::EXTRA_FACTS_LOST]);
        preset.finish()
    }

    /// As `default`, for a meter that makes flow label and traffic class Flow Keys: what the published signatures of
    /// covert channels, floods and overlapping fragments look at.
    #[must_use]
    pub fn covert() -> Self {
        let mut preset = Self::empty("covert");
        preset.iana(PLAIN);
        preset.iana(HEADERS);
        preset.own(FRAGMENTS);
        preset.own(CHANGES);
        preset.own(&[sixtap::IPV6_EXTENSION_HEADER_CHAIN_DISTINCT_COUNT]);
        preset.own(TUNNEL);
        preset.own(&[sixtap::EXTRA_FACTS_LOST]);
        preset.finish()
    }

    /// The built-in preset called `name` ([`NAMES`]).
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "default" => Some(Self::standard()),
            "full" => Some(Self::full()),
            "covert" => Some(Self::covert()),
            _ => None,
        }
    }

    /// Adds the elements of the reverse direction (RFC 5103) for records that hold both. Uniflows keep their templates.
    #[must_use]
    pub fn with_reverse(mut self) -> Self {
        let reverse = REVERSE.iter().map(|id| (REVERSE_PEN, *id));
        for (enterprise, id) in std::iter::once((0, ie::BIFLOW_DIRECTION)).chain(reverse) {
            // A template file may have named it, in the place where it is wanted.
            if !self.fields.iter().any(|field| (field.enterprise, field.id) == (enterprise, id)) {
                self.add(enterprise, id, None);
            }
        }
        self
    }

    /// Adds a field for each user-defined element that the preset does not have yet. At most 32 can be.
    #[must_use]
    pub fn with_user_elements(mut self, elements: &[UserElement]) -> Self {
        for (index, element) in elements.iter().take(USER_ELEMENTS).enumerate() {
            let known =
                |field: &Field| field.enterprise == SIXTAP_DEFAULT_PEN && field.id == element.id;
            if !self.fields.iter().any(known) {
                self.fields.push(element.field(index));
            }
        }
        self
    }

    fn empty(name: &str) -> Self {
        Self { name: name.to_owned(), fields: Vec::new() }
    }

    fn iana(&mut self, ids: &[u16]) {
        for id in ids {
            self.add(0, *id, None);
        }
    }

    fn own(&mut self, ids: &[u16]) {
        for id in ids {
            self.add(SIXTAP_DEFAULT_PEN, *id, None);
        }
    }

    /// Adds the fields for an element; false if sixtap cannot fill it.
    fn add(&mut self, enterprise: u32, id: u16, length: Option<u16>) -> bool {
        let before = self.fields.len();
        for row in fillings(enterprise, id) {
            // An element of two lengths: the user's replaces the shorter.
            let length = length.map_or(row.length, |length| match row.length {
                32 => 32,
                _ => length,
            });
            let (condition, source) = (row.condition, row.source);
            self.fields.push(Field { enterprise, id, length, condition, source });
        }
        self.fields.len() > before
    }

    /// Holds the rules of RFC 9740 section 3: 515 and 516 never describe the same flow, and 515 is not a union over
    /// different chains where 519 tells them apart. So a record has the one that says most: 516 (one chain), 519
    /// (several), else 515.
    fn finish(mut self) -> Self {
        let has = |id| self.fields.iter().any(|field| field.enterprise == 0 && field.id == id);
        let one = has(ie::IPV6_EXTENSION_HEADER_TYPE_COUNT_LIST);
        let several = has(ie::IPV6_EXTENSION_HEADER_CHAIN_LENGTH_LIST);
        let listed =
            if one { Kind::ONE_CHAIN } else { 0 } | if several { Kind::SEVERAL_CHAINS } else { 0 };
        for field in &mut self.fields {
            if (field.enterprise, field.id) == (0, ie::IPV6_EXTENSION_HEADERS_FULL) {
                field.condition = field.condition.unless(listed);
            }
        }
        self
    }
}

impl UserElement {
    /// The field of the user-defined element that is number `index` of the plan.
    fn field(&self, index: usize) -> Field {
        let slot = Slot { at: USER + 8 * index as u16, length: 8 };
        Field {
            enterprise: SIXTAP_DEFAULT_PEN,
            id: self.id,
            length: self.length.clamp(1, 8),
            condition: Condition::when(Kind::USER),
            source: Source::Number(slot),
        }
    }
}

/// One line of `sixtap elements`.
#[derive(Clone, Debug)]
pub struct CatalogueEntry {
    /// The element.
    pub element: &'static Element,
    /// What fills it; `None` if sixtap cannot.
    pub filling: Option<&'static Filling>,
    /// The built-in presets that carry it.
    pub presets: Vec<&'static str>,
}

/// Every element known, what fills it and which presets carry it.
#[must_use]
pub fn catalogue() -> Vec<CatalogueEntry> {
    let presets: Vec<(&'static str, Preset)> =
        NAMES.iter().filter_map(|name| Some((*name, Preset::named(name)?))).collect();
    let reverse = FILLINGS
        .iter()
        .filter(|row| row.enterprise == REVERSE_PEN)
        .filter_map(|row| ie_registry::reverse(row.id));
    let elements = ie_registry::all_iana().iter().chain(ie_registry::all_sixtap()).chain(reverse);
    elements
        .map(|element| {
            let (enterprise, id) = (element.enterprise, element.id);
            let carries = |preset: &Preset| {
                preset.fields.iter().any(|field| (field.enterprise, field.id) == (enterprise, id))
            };
            CatalogueEntry {
                element,
                filling: fillings(enterprise, id).next(),
                presets: presets
                    .iter()
                    .filter(|(_, preset)| carries(preset))
                    .map(|(name, _)| *name)
                    .collect(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_presets_have_every_element_they_name() {
        let has = |preset: &Preset, enterprise, id| {
            preset.fields.iter().any(|field| (field.enterprise, field.id) == (enterprise, id))
        };
        let default = Preset::standard();
        for id in PLAIN.iter().chain(HEADERS) {
            assert!(has(&default, 0, *id), "{id}");
        }
        let full = Preset::full();
        for id in PLAIN.iter().chain(HEADERS).chain(FULL) {
            assert!(has(&full, 0, *id), "{id}");
        }
        for id in FRAGMENTS.iter().chain(CHANGES).chain(TUNNEL) {
            assert!(has(&full, SIXTAP_DEFAULT_PEN, *id), "{id}");
        }
        assert!(NAMES.iter().all(|name| Preset::named(name).is_some()));
    }

    #[test]
    fn no_kind_of_flow_has_both_515_and_516_or_515_and_519() {
        let full = Preset::full();
        for chains in [0, Kind::ONE_CHAIN, Kind::SEVERAL_CHAINS] {
            let kind = Kind(Kind::IPV6 | Kind::HEADERS | chains);
            let told: Vec<u16> = full
                .fields
                .iter()
                .filter(|field| field.condition.holds(kind))
                .map(|field| field.id)
                .filter(|id| [515, 516, 519].contains(id))
                .collect();
            assert_eq!(told.len(), 1, "{told:?}");
        }
    }
}
