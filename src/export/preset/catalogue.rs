//! Every element sixtap can fill, and what fills it.
//!
//! Invariant: an element that is not here cannot be in a record; each row's condition says for which flows the value
//! exists at all, whatever the preset.

use crate::export::record::{
    Condition, Kind, List, Slot, Source, change, constant, derived, fragments, headers, layer2,
    plain, reverse, route,
};
use ie_registry::ie::{self, sixtap};
use ie_registry::{REVERSE_PEN, SIXTAP_DEFAULT_PEN, VARIABLE_LENGTH};

/// How sixtap fills one element.
#[derive(Clone, Copy, Debug)]
pub struct Filling {
    /// Enterprise number; [`SIXTAP_DEFAULT_PEN`] stands for the configured one.
    pub enterprise: u32,
    /// Element identifier.
    pub id: u16,
    /// Field length unless the preset asks for another.
    pub length: u16,
    /// For which flows there is a value.
    pub condition: Condition,
    /// Where the value comes from.
    pub source: Source,
    /// The same in words.
    pub text: &'static str,
}

const fn number(
    id: u16,
    slot: Slot,
    length: u16,
    condition: Condition,
    text: &'static str,
) -> Filling {
    Filling { enterprise: 0, id, length, condition, source: Source::Number(slot), text }
}

const fn bits(
    id: u16,
    slot: Slot,
    length: u16,
    condition: Condition,
    text: &'static str,
) -> Filling {
    Filling { enterprise: 0, id, length, condition, source: Source::Bits(slot), text }
}

const fn octets(id: u16, slot: Slot, condition: Condition, text: &'static str) -> Filling {
    let length = slot.length;
    Filling { enterprise: 0, id, length, condition, source: Source::Octets(slot), text }
}

const fn list(id: u16, list: List, condition: Condition, text: &'static str) -> Filling {
    let length = VARIABLE_LENGTH;
    Filling { enterprise: 0, id, length, condition, source: Source::List(list), text }
}

const fn own(filling: Filling) -> Filling {
    Filling { enterprise: SIXTAP_DEFAULT_PEN, ..filling }
}

const fn backwards(filling: Filling) -> Filling {
    Filling { enterprise: REVERSE_PEN, ..filling }
}

const ALWAYS: Condition = Condition::ALWAYS;
const V4: Condition = Condition::when(0).unless(Kind::IPV6);
const V6: Condition = Condition::when(Kind::IPV6);
const HEADERS: Condition = Condition::when(Kind::IPV6 | Kind::HEADERS);
const ONE_CHAIN: Condition = Condition::when(Kind::IPV6 | Kind::HEADERS | Kind::ONE_CHAIN);
const SEVERAL_CHAINS: Condition =
    Condition::when(Kind::IPV6 | Kind::HEADERS | Kind::SEVERAL_CHAINS);
const FRAGMENT: Condition = Condition::when(Kind::FRAGMENT);
const LAYER2: Condition = Condition::when(Kind::LAYER2);
const SEGMENTS: Condition = Condition::when(Kind::SEGMENTS);
const TUNNEL: Condition = Condition::when(Kind::TUNNEL);
const TUNNEL_IPV4: Condition = TUNNEL.unless(Kind::TUNNEL_IPV6);
const TUNNEL_IPV6: Condition = Condition::when(Kind::TUNNEL | Kind::TUNNEL_IPV6);
const CHANGED: Condition = Condition::when(Kind::CHANGED);
const CHANGED_V6: Condition = Condition::when(Kind::CHANGED | Kind::IPV6);
const REVERSE: Condition = Condition::when(Kind::REVERSE);
const REVERSE_V6: Condition = Condition::when(Kind::REVERSE | Kind::IPV6);
const REVERSE_TCP: Condition = Condition::when(Kind::REVERSE | Kind::TCP);

/// All fillings, by enterprise and identifier. An element with two rows has two lengths, one for each condition.
#[rustfmt::skip]
pub const FILLINGS: &[Filling] = &[
    number(ie::OCTET_DELTA_COUNT, plain::OCTETS, 8, ALWAYS, "IP octets: headers and payload as the IP header says"),
    number(ie::PACKET_DELTA_COUNT, plain::PACKETS, 8, ALWAYS, "packets"),
    number(ie::PROTOCOL_IDENTIFIER, plain::PROTOCOL, 1, ALWAYS, "upper layer: the last Next Header value"),
    number(ie::IP_CLASS_OF_SERVICE, plain::CLASS, 1, ALWAYS, "traffic class or TOS octet of the first packet"),
    bits(ie::TCP_CONTROL_BITS, plain::TCP_FLAGS, 2, Condition::when(Kind::TCP), "TCP flags of all packets, OR-ed; 12 bits"),
    number(ie::SOURCE_TRANSPORT_PORT, plain::SOURCE_PORT, 2, Condition::when(Kind::PORTS), "source port"),
    octets(ie::SOURCE_IPV4_ADDRESS, plain::SOURCE_IPV4, V4, "source address"),
    number(ie::INGRESS_INTERFACE, plain::INTERFACE, 4, ALWAYS, "ifIndex, or number within the capture file, of the first packet"),
    number(ie::DESTINATION_TRANSPORT_PORT, plain::DESTINATION_PORT, 2, Condition::when(Kind::PORTS), "destination port"),
    octets(ie::DESTINATION_IPV4_ADDRESS, plain::DESTINATION_IPV4, V4, "destination address"),
    number(ie::MINIMUM_IP_TOTAL_LENGTH, plain::MIN_LENGTH, 4, ALWAYS, "octets of the smallest IP packet"),
    number(ie::MAXIMUM_IP_TOTAL_LENGTH, plain::MAX_LENGTH, 4, ALWAYS, "octets of the largest IP packet"),
    octets(ie::SOURCE_IPV6_ADDRESS, plain::SOURCE_IPV6, V6, "source address"),
    octets(ie::DESTINATION_IPV6_ADDRESS, plain::DESTINATION_IPV6, V6, "destination address"),
    number(ie::FLOW_LABEL_IPV6, plain::LABEL, 4, V6, "flow label of the first packet, 20 bits"),
    number(ie::ICMP_TYPE_CODE_IPV4, plain::ICMP_TYPE_CODE, 2, Condition::when(Kind::ICMP), "ICMP type × 256 + code"),
    number(ie::FLOW_ACTIVE_TIMEOUT, constant::ACTIVE_TIMEOUT, 2, ALWAYS, "the configured active timeout"),
    number(ie::FLOW_IDLE_TIMEOUT, constant::IDLE_TIMEOUT, 2, ALWAYS, "the configured idle timeout"),
    number(ie::MINIMUM_TTL, plain::MIN_TTL, 1, ALWAYS, "smallest hop limit or TTL"),
    number(ie::MAXIMUM_TTL, plain::MAX_TTL, 1, ALWAYS, "largest hop limit or TTL"),
    number(ie::FRAGMENT_IDENTIFICATION, fragments::IDENTIFICATION, 4, FRAGMENT, "identification of the first fragment seen"),
    octets(ie::SOURCE_MAC_ADDRESS, layer2::SOURCE_MAC, LAYER2, "source MAC address of the first frame"),
    number(ie::VLAN_ID, derived::VLAN, 2, Condition::when(Kind::VLAN), "VLAN identifier of the outer tag"),
    number(ie::IP_VERSION, plain::VERSION, 1, ALWAYS, "4 or 6"),
    bits(ie::IPV6_EXTENSION_HEADERS, headers::OLD_BITS, 4, HEADERS, "extension headers of all packets, OR-ed; erratum 1738 numbering, bit 0 least significant"),
    octets(ie::MPLS_TOP_LABEL_STACK_SECTION, layer2::MPLS1, Condition::when(Kind::MPLS), "first label stack entry without its TTL"),
    octets(ie::MPLS_LABEL_STACK_SECTION2, layer2::MPLS2, Condition::when(Kind::MPLS2), "second label stack entry without its TTL"),
    octets(ie::MPLS_LABEL_STACK_SECTION3, layer2::MPLS3, Condition::when(Kind::MPLS3), "third label stack entry without its TTL"),
    octets(ie::DESTINATION_MAC_ADDRESS, layer2::DESTINATION_MAC, LAYER2, "destination MAC address of the first frame"),
    number(ie::FRAGMENT_OFFSET, fragments::OFFSET, 2, FRAGMENT, "offset of the first fragment seen, 8-octet units"),
    number(ie::FLOW_END_REASON, plain::END_REASON, 1, ALWAYS, "why the record ends"),
    number(ie::ICMP_TYPE_CODE_IPV6, plain::ICMP_TYPE_CODE, 2, Condition::when(Kind::ICMPV6), "ICMPv6 type × 256 + code"),
    octets(ie::FLOW_START_SECONDS, derived::START_S, ALWAYS, "first packet"),
    octets(ie::FLOW_END_SECONDS, derived::END_S, ALWAYS, "last packet"),
    octets(ie::FLOW_START_MILLISECONDS, plain::START_MS, ALWAYS, "first packet"),
    octets(ie::FLOW_END_MILLISECONDS, plain::END_MS, ALWAYS, "last packet"),
    octets(ie::FLOW_START_MICROSECONDS, derived::START_US, ALWAYS, "first packet"),
    octets(ie::FLOW_END_MICROSECONDS, derived::END_US, ALWAYS, "last packet"),
    octets(ie::FLOW_START_NANOSECONDS, derived::START_NS, ALWAYS, "first packet"),
    octets(ie::FLOW_END_NANOSECONDS, derived::END_NS, ALWAYS, "last packet"),
    number(ie::FLOW_DURATION_MILLISECONDS, derived::DURATION_MS, 4, ALWAYS, "from first to last packet"),
    number(ie::FLOW_DURATION_MICROSECONDS, derived::DURATION_US, 4, ALWAYS, "from first to last packet; 2^32 - 1 above 71 minutes"),
    number(ie::ICMP_TYPE_IPV4, plain::ICMP_TYPE, 1, Condition::when(Kind::ICMP), "ICMP type"),
    number(ie::ICMP_CODE_IPV4, plain::ICMP_CODE, 1, Condition::when(Kind::ICMP), "ICMP code"),
    number(ie::ICMP_TYPE_IPV6, plain::ICMP_TYPE, 1, Condition::when(Kind::ICMPV6), "ICMPv6 type"),
    number(ie::ICMP_CODE_IPV6, plain::ICMP_CODE, 1, Condition::when(Kind::ICMPV6), "ICMPv6 code"),
    number(ie::IP_TTL, plain::TTL, 1, ALWAYS, "hop limit or TTL of the first packet"),
    number(ie::NEXT_HEADER_IPV6, plain::NEXT_HEADER, 1, V6, "Next Header of the first packet's IPv6 header"),
    number(ie::IP_DIFF_SERV_CODE_POINT, derived::DSCP, 1, ALWAYS, "upper six bits of the first packet's traffic class"),
    number(ie::IP_PRECEDENCE, derived::PRECEDENCE, 1, ALWAYS, "upper three bits of the first packet's traffic class"),
    bits(ie::FRAGMENT_FLAGS, fragments::FLAGS, 1, FRAGMENT, "DF (IPv4) and MF of the first fragment seen"),
    bits(ie::IS_MULTICAST, derived::MULTICAST, 1, ALWAYS, "multicast scope and T flag of the destination address"),
    number(ie::BIFLOW_DIRECTION, constant::BIFLOW_DIRECTION, 1, REVERSE, "1: the source sent the first packet seen"),
    number(ie::DOT1Q_VLAN_ID, derived::VLAN, 2, Condition::when(Kind::VLAN), "VLAN identifier of the outer tag"),
    number(ie::DOT1Q_PRIORITY, layer2::PRIORITY, 1, Condition::when(Kind::VLAN | Kind::LAYER2), "priority of the outer tag, first frame"),
    number(ie::DOT1Q_CUSTOMER_VLAN_ID, derived::CUSTOMER_VLAN, 2, Condition::when(Kind::CUSTOMER_VLAN), "VLAN identifier of the inner tag"),
    number(ie::DOT1Q_CUSTOMER_PRIORITY, layer2::CUSTOMER_PRIORITY, 1, Condition::when(Kind::CUSTOMER_VLAN | Kind::LAYER2), "priority of the inner tag, first frame"),
    number(ie::ETHERNET_TYPE, layer2::ETHER_TYPE, 2, LAYER2, "EtherType of the payload, behind the tags"),
    number(ie::IPSEC_SPI, layer2::SPI, 4, Condition::when(Kind::SPI), "Security Parameters Index of the first ESP or AH header"),
    number(ie::LAYER2_OCTET_DELTA_COUNT, layer2::OCTETS, 8, LAYER2, "octets of the frames, link header included"),
    octets(ie::DOT1Q_DEI, layer2::DEI, Condition::when(Kind::VLAN | Kind::LAYER2), "drop eligibility of the outer tag, first frame"),
    octets(ie::DOT1Q_CUSTOMER_DEI, layer2::CUSTOMER_DEI, Condition::when(Kind::CUSTOMER_VLAN | Kind::LAYER2), "drop eligibility of the inner tag, first frame"),
    bits(ie::SRH_FLAGS_IPV6, route::SRH_FLAGS, 1, SEGMENTS, "flags of the first Segment Routing Header"),
    number(ie::SRH_TAG_IPV6, route::SRH_TAG, 2, SEGMENTS, "tag of the first Segment Routing Header"),
    octets(ie::SRH_ACTIVE_SEGMENT_IPV6, route::SRH_ACTIVE, SEGMENTS, "destination address in force of the first packet with the header"),
    list(ie::SRH_SEGMENT_IPV6_BASIC_LIST, List::Segments, Condition::when(Kind::SEGMENTS | Kind::SEGMENT_LIST), "segment list of the first Segment Routing Header, as in the header: the last segment first; at most 8"),
    list(ie::SRH_SEGMENT_IPV6_LIST_SECTION, List::SegmentSection, Condition::when(Kind::SEGMENTS | Kind::SEGMENT_LIST), "the same as octets"),
    list(ie::SRH_IPV6_SECTION, List::RoutingSection, Condition::when(Kind::SEGMENTS | Kind::SEGMENT_SECTION), "octets of the first Segment Routing Header, TLVs included; at most 176, else absent"),
    number(ie::SRH_IPV6_ACTIVE_SEGMENT_TYPE, constant::SEGMENT_TYPE, 1, SEGMENTS, "0, unknown: no packet says from where the router learned the segment"),
    number(ie::SRH_SEGMENTS_IPV6_LEFT, route::SRH_LEFT, 1, SEGMENTS, "Segments Left of the first Segment Routing Header"),
    bits(ie::IPV6_EXTENSION_HEADERS_FULL, headers::BITS, 2, HEADERS, "extension headers of all packets, OR-ed; bit 0 least significant"),
    list(ie::IPV6_EXTENSION_HEADER_TYPE_COUNT_LIST, List::TypeCounts, ONE_CHAIN, "the chain: header types in wire order and how many in a row"),
    octets(ie::IPV6_EXTENSION_HEADERS_LIMIT, headers::COMPLETE, HEADERS, "true: every chain was walked to its end"),
    number(ie::IPV6_EXTENSION_HEADERS_CHAIN_LENGTH, headers::CHAIN_LENGTH, 4, ONE_CHAIN, "octets of the chain; ESP counts 8"),
    list(ie::IPV6_EXTENSION_HEADER_CHAIN_LENGTH_LIST, List::ChainLengths, SEVERAL_CHAINS, "bits and length of each distinct chain; at most 8"),
    number(ie::TCP_OPTIONS_FULL, change::TCP_OPTIONS, 8, Condition::when(Kind::TCP | Kind::TCP_OPTIONS).unless(Kind::TCP_OPTIONS_WIDE), "TCP option kinds of all packets, OR-ed"),
    number(ie::TCP_OPTIONS_FULL, change::TCP_OPTIONS, 32, Condition::when(Kind::TCP | Kind::TCP_OPTIONS | Kind::TCP_OPTIONS_WIDE), "TCP option kinds of all packets, OR-ed"),
    list(ie::TCP_SHARED_OPTION_EXID16_LIST, List::ExIds16, Condition::when(Kind::TCP | Kind::EXID16), "two-octet experiment identifiers; at most 4"),
    list(ie::TCP_SHARED_OPTION_EXID32_LIST, List::ExIds32, Condition::when(Kind::TCP | Kind::EXID32), "four-octet experiment identifiers; at most 4"),

    own(number(sixtap::FRAGMENT_MINIMUM_OFFSET, fragments::MIN_OFFSET, 2, FRAGMENT, "smallest offset but 0 of any fragment, 8-octet units")),
    own(number(sixtap::FRAGMENT_PACKETS, fragments::PACKETS, 4, FRAGMENT, "fragments")),
    own(number(sixtap::FRAGMENT_ATOMIC_COUNT, fragments::ATOMIC, 4, FRAGMENT, "atomic fragments")),
    own(number(sixtap::FRAGMENT_DUPLICATE_COUNT, fragments::DUPLICATES, 4, FRAGMENT, "exact duplicates of fragments")),
    own(number(sixtap::FRAGMENT_OVERLAP_COUNT, fragments::OVERLAPS, 4, FRAGMENT, "fragments that overlap an earlier one")),
    own(number(sixtap::FRAGMENT_OUT_OF_ORDER_COUNT, fragments::OUT_OF_ORDER, 4, FRAGMENT, "fragments before one of a smaller offset")),
    own(number(sixtap::FRAGMENT_INCOMPLETE_DATAGRAM_COUNT, fragments::INCOMPLETE, 4, FRAGMENT, "datagrams never complete")),
    own(number(sixtap::FRAGMENT_TINY_FIRST_COUNT, fragments::TINY, 4, FRAGMENT, "first fragments without the ports")),
    own(octets(sixtap::FRAGMENT_PORTS_REWRITTEN, fragments::PORTS_REWRITTEN, FRAGMENT, "true: an overlap rewrote the ports")),
    own(number(sixtap::FRAGMENT_REWRITTEN_DESTINATION_PORT, fragments::REWRITTEN_PORT, 2, FRAGMENT, "the destination port an overlap wrote")),
    own(number(sixtap::FLOW_LABEL_DISTINCT_COUNT, change::LABEL_COUNT, 1, CHANGED_V6, "distinct flow labels; 9: more than 8")),
    own(number(sixtap::FLOW_LABEL_MINIMUM, change::LABEL_MIN, 4, CHANGED_V6, "smallest flow label")),
    own(number(sixtap::FLOW_LABEL_MAXIMUM, change::LABEL_MAX, 4, CHANGED_V6, "largest flow label")),
    own(number(sixtap::TRAFFIC_CLASS_DISTINCT_COUNT, change::CLASS_COUNT, 1, CHANGED, "distinct traffic classes; 9: more than 8")),
    own(number(sixtap::TRAFFIC_CLASS_MINIMUM, change::CLASS_MIN, 1, CHANGED, "smallest traffic class")),
    own(number(sixtap::TRAFFIC_CLASS_MAXIMUM, change::CLASS_MAX, 1, CHANGED, "largest traffic class")),
    own(number(sixtap::HOP_LIMIT_DISTINCT_COUNT, change::HOP_LIMIT_COUNT, 1, CHANGED, "distinct hop limits; 9: more than 8")),
    own(number(sixtap::IPV6_EXTENSION_HEADER_CHAIN_DISTINCT_COUNT, headers::CHAIN_COUNT, 1, HEADERS, "distinct chains; 9: more than 8")),
    own(number(sixtap::TUNNEL_KIND, route::TUNNEL_KIND, 1, TUNNEL, "the innermost tunnel around the flow")),
    own(number(sixtap::TUNNEL_LEVEL, derived::TUNNEL_LEVEL, 1, TUNNEL, "tunnels around the flow's IP header")),
    own(number(sixtap::TUNNEL_IDENTIFIER, route::TUNNEL_IDENTIFIER, 4, TUNNEL, "network identifier, key or endpoint identifier of the tunnel")),
    own(octets(sixtap::TUNNEL_SOURCE_IPV4_ADDRESS, route::TUNNEL_SOURCE_IPV4, TUNNEL_IPV4, "source of the tunnel")),
    own(octets(sixtap::TUNNEL_DESTINATION_IPV4_ADDRESS, route::TUNNEL_DESTINATION_IPV4, TUNNEL_IPV4, "destination of the tunnel")),
    own(octets(sixtap::TUNNEL_SOURCE_IPV6_ADDRESS, route::TUNNEL_SOURCE, TUNNEL_IPV6, "source of the tunnel")),
    own(octets(sixtap::TUNNEL_DESTINATION_IPV6_ADDRESS, route::TUNNEL_DESTINATION, TUNNEL_IPV6, "destination of the tunnel")),
    own(octets(sixtap::EXTRA_FACTS_LOST, derived::EXTRA_LOST, Condition::when(Kind::EXTRA_LOST), "true: the meter had no room for the facts beyond the plain ones")),

    backwards(number(ie::OCTET_DELTA_COUNT, reverse::OCTETS, 8, REVERSE, "the same of the reverse direction")),
    backwards(number(ie::PACKET_DELTA_COUNT, reverse::PACKETS, 8, REVERSE, "the same of the reverse direction")),
    backwards(number(ie::IP_CLASS_OF_SERVICE, reverse::CLASS, 1, REVERSE, "the same of the reverse direction")),
    backwards(bits(ie::TCP_CONTROL_BITS, reverse::TCP_FLAGS, 2, REVERSE_TCP, "the same of the reverse direction")),
    backwards(number(ie::MINIMUM_IP_TOTAL_LENGTH, reverse::MIN_LENGTH, 4, REVERSE, "the same of the reverse direction")),
    backwards(number(ie::MAXIMUM_IP_TOTAL_LENGTH, reverse::MAX_LENGTH, 4, REVERSE, "the same of the reverse direction")),
    backwards(number(ie::FLOW_LABEL_IPV6, reverse::LABEL, 4, REVERSE_V6, "the same of the reverse direction")),
    backwards(number(ie::MINIMUM_TTL, reverse::MIN_TTL, 1, REVERSE, "the same of the reverse direction")),
    backwards(number(ie::MAXIMUM_TTL, reverse::MAX_TTL, 1, REVERSE, "the same of the reverse direction")),
    backwards(bits(ie::IPV6_EXTENSION_HEADERS, reverse::OLD_BITS, 4, REVERSE_V6, "the same of the reverse direction")),
    backwards(octets(ie::FLOW_START_MILLISECONDS, reverse::START_MS, REVERSE, "the same of the reverse direction")),
    backwards(octets(ie::FLOW_END_MILLISECONDS, reverse::END_MS, REVERSE, "the same of the reverse direction")),
    backwards(number(ie::IP_TTL, reverse::TTL, 1, REVERSE, "the same of the reverse direction")),
    backwards(number(ie::NEXT_HEADER_IPV6, reverse::NEXT_HEADER, 1, REVERSE_V6, "the same of the reverse direction")),
    backwards(bits(ie::IPV6_EXTENSION_HEADERS_FULL, reverse::BITS, 2, REVERSE_V6, "the same of the reverse direction")),
];

/// The rows for one element: none, if sixtap cannot fill it.
pub fn fillings(enterprise: u32, id: u16) -> impl Iterator<Item = &'static Filling> {
    FILLINGS.iter().filter(move |row| row.enterprise == enterprise && row.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ie_registry::DataType;

    #[test]
    fn every_row_is_a_registered_element_in_a_length_its_type_allows() {
        for row in FILLINGS {
            let element = ie_registry::lookup(row.enterprise, row.id, SIXTAP_DEFAULT_PEN);
            let element = element.unwrap_or_else(|| panic!("{}/{}", row.enterprise, row.id));
            let name = element.name;
            match row.source {
                Source::Octets(slot) if element.default_length != VARIABLE_LENGTH => {
                    assert_eq!(slot.length, element.default_length, "{name}");
                }
                Source::Octets(slot) => assert_eq!(slot.length, row.length, "{name}"),
                Source::List(_) => assert_eq!(element.default_length, VARIABLE_LENGTH, "{name}"),
                Source::Number(_) | Source::Bits(_) => {
                    assert!(row.length <= element.default_length, "{name}");
                    assert!(
                        matches!(
                            element.data_type,
                            DataType::Unsigned8
                                | DataType::Unsigned16
                                | DataType::Unsigned32
                                | DataType::Unsigned64
                                | DataType::Unsigned256
                        ),
                        "{name}"
                    );
                }
            }
        }
    }
}
