//! Structured values (RFC 6313): lists within a record.
//!
//! Every list here is bounded by the meter well below 255 octets, so its length is always one octet (RFC 7011
//! section 7).

use crate::ipfix::{FieldSpecifier, ListSemantic, Writer};
use crate::meter::flow::{CHAINS, FinishedFlow, RUNS, SEGMENTS, Section};
use ie_registry::ie;

/// Shortest list: semantic and Template ID.
pub(super) const HEADER: usize = 3;

/// Header of a basicList: semantic, element, element length.
const BASIC_HEADER: usize = 5;

/// Template IDs of the entries of lists; 0 where the preset has no such list.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Templates {
    /// `ipv6ExtensionHeaderType` and `ipv6ExtensionHeaderCount`.
    pub(super) type_count: u16,
    /// `ipv6ExtensionHeadersFull` (2 octets) and `ipv6ExtensionHeadersChainLength` (4 octets).
    pub(super) chain_length: u16,
}

/// The structured values a record may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// `ipv6ExtensionHeaderTypeCountList` (516): the headers of the one chain, in wire order.
    TypeCounts,
    /// `ipv6ExtensionHeaderChainLengthList` (519): an entry for each distinct chain.
    ChainLengths,
    /// `tcpSharedOptionExID16List` (523).
    ExIds16,
    /// `tcpSharedOptionExID32List` (524).
    ExIds32,
    /// `srhSegmentIPv6BasicList` (496), order as in the header.
    Segments,
    /// `srhSegmentIPv6ListSection` (497): the octets of the segment list, no list header.
    SegmentSection,
    /// `srhIPv6Section` (499): the octets of the header, no list header.
    RoutingSection,
}

impl List {
    /// Octets of the longest list, without the length in front.
    pub(super) const fn maximum_length(self) -> usize {
        match self {
            Self::TypeCounts => HEADER + 2 * RUNS,
            Self::ChainLengths => HEADER + 6 * CHAINS,
            Self::ExIds16 => BASIC_HEADER + 2 * 4,
            Self::ExIds32 => BASIC_HEADER + 4 * 4,
            Self::Segments => BASIC_HEADER + 16 * SEGMENTS,
            Self::SegmentSection => 16 * SEGMENTS,
            Self::RoutingSection => size_of::<Section>(),
        }
    }

    /// Writes the list with its length in front; how many octets. `None` if `out` has no room.
    pub(super) fn encode(
        self,
        flow: &FinishedFlow<'_>,
        templates: Templates,
        out: &mut [u8],
    ) -> Option<usize> {
        let mut out = Writer::new(out);
        match self {
            Self::TypeCounts => type_counts(flow, templates.type_count, &mut out),
            Self::ChainLengths => chain_lengths(flow, templates.chain_length, &mut out),
            Self::ExIds16 => {
                let field = FieldSpecifier::iana(ie::TCP_SHARED_OPTION_EXID16, 2);
                out.basic_list(ListSemantic::ALL_OF, field, |out| {
                    if let Some(options) = flow.extra.map(|extra| &extra.tcp_options) {
                        let ids = options.exids16.iter().take(options.exids16_count.into());
                        ids.for_each(|id| out.u16(*id));
                    }
                });
            }
            Self::ExIds32 => {
                let field = FieldSpecifier::iana(ie::TCP_SHARED_OPTION_EXID32, 4);
                out.basic_list(ListSemantic::ALL_OF, field, |out| {
                    if let Some(options) = flow.extra.map(|extra| &extra.tcp_options) {
                        let ids = options.exids32.iter().take(options.exids32_count.into());
                        ids.for_each(|id| out.u32(*id));
                    }
                });
            }
            Self::Segments => {
                let field = FieldSpecifier::iana(ie::SRH_SEGMENT_IPV6, 16);
                out.basic_list(ListSemantic::ORDERED, field, |out| segments(flow, out));
            }
            Self::SegmentSection => out.variable_with(|out| segments(flow, out)),
            Self::RoutingSection => out.variable_with(|out| {
                out.octets(flow.extra.map_or(&[], |extra| extra.segments.section()));
            }),
        }
        (!out.overflowed()).then(|| out.len())
    }
}

fn type_counts(flow: &FinishedFlow<'_>, template: u16, out: &mut Writer<'_>) {
    out.sub_template_list(ListSemantic::ORDERED, template, |out| {
        if let Some(chain) = flow.chains.first() {
            for (header, repeats) in chain.runs.iter().take(chain.run_count.into()) {
                out.u8(*header);
                out.u8(*repeats);
            }
        }
    });
}

fn chain_lengths(flow: &FinishedFlow<'_>, template: u16, out: &mut Writer<'_>) {
    out.sub_template_list(ListSemantic::ALL_OF, template, |out| {
        for chain in flow.chains.iter().take(CHAINS) {
            out.u16(chain.headers);
            out.u32(chain.length);
        }
    });
}

fn segments(flow: &FinishedFlow<'_>, out: &mut Writer<'_>) {
    if let Some(segments) = flow.extra.map(|extra| &extra.segments) {
        out.octets(segments.list());
    }
}
