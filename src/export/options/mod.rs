//! Options: what a collector is told about the records and the exporter.
//!
//! In: the plan, the counters, the supervisor's statistics. Out: Options Templates and their records: Metering Process
//! Statistics, Metering and Exporting Process Reliability, Flow Keys (RFC 7011 sections 4.1 to 4.4), type records of own
//! elements (RFC 5610), names of interfaces, VRFs and the Observation Domain, sampling (RFC 5476), anonymisation (RFC
//! 6235), the time window of a file (RFC 5655).

mod names;
mod selection;
mod window;

pub use names::InterfaceName;
pub(super) use selection::{
    old_algorithm, sampling_record, selected_record, selector_record, sequence_record,
};

pub(super) use window::{Window, window_record, window_template};

use super::anonymise::Anonymisation;
use super::exporter::ExportPlan;
use super::preset::UserElement;
use crate::capture::Timestamp;
use crate::capture::sampling::Sampling;
use crate::ipfix::{FieldSpecifier, MessageBuilder, Refused, Template, Writer};
use crate::telemetry::CollectorCounters;
use ie_registry::ie::{self, sixtap};
use ie_registry::{
    DataType, Element, SIXTAP_DEFAULT_PEN, Semantics, Units, VARIABLE_LENGTH, sixtap_description,
};

/// Template IDs of the Options Templates: above all that [`super::record::Records`] makes.
mod id {
    pub(super) const METERING: u16 = 1024;
    pub(super) const IGNORED: u16 = 1025;
    pub(super) const NOT_SENT: u16 = 1026;
    pub(super) const KEYS: u16 = 1027;
    pub(super) const TYPES: u16 = 1028;
    pub(super) const INTERFACES: u16 = 1029;
    pub(super) const VRF: u16 = 1030;
    pub(super) const DOMAIN: u16 = 1031;
    pub(super) const SELECTOR: u16 = 1032;
    pub(super) const SEQUENCE: u16 = 1033;
    pub(super) const SELECTED: u16 = 1034;
    pub(super) const SAMPLING: u16 = 1035;
    pub(super) const ANONYMISED: u16 = 1036;
    pub(super) const ANONYMISED_OWN: u16 = 1037;
    pub(super) const WINDOW: u16 = 1038;
}

/// What the supervisor knows and the exporter does not: totals since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// When the Metering Process began.
    pub started: Timestamp,
    /// Packets observed and not metered (`ignoredPacketTotalCount`): lost by NIC and rings, and those the parser could not
    /// read. Frames without an IP packet are not among them.
    pub ignored_packets: u64,
    /// Octets of those, as far as known (`ignoredOctetTotalCount`): of frames the NIC or a ring lost nothing is known.
    pub ignored_octets: u64,
    /// Packets offered to sampling (`selectorIdTotalPktsObserved`); 0 without it.
    pub observed_packets: u64,
    /// Packets that sampling chose (`selectorIdTotalPktsSelected`).
    pub selected_packets: u64,
    /// When the first packet was ignored; 0 if none was.
    pub first_ignored: Timestamp,
    /// When the last packet was ignored.
    pub last_ignored: Timestamp,
    /// Flow records lost before they came to the exporter: a full ring between worker and exporter.
    pub lost_flows: u64,
    /// Packets of those.
    pub lost_packets: u64,
    /// IP octets of those.
    pub lost_octets: u64,
    /// When the first flow record was lost there; 0 if none was.
    pub first_lost: Timestamp,
    /// When the last flow record was lost there.
    pub last_lost: Timestamp,
}

/// Which fields beyond the 5-tuple and the VLANs are Flow Keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// Flow label and traffic class.
    pub label_and_class: bool,
    /// The chain of extension headers.
    pub chain: bool,
}

/// What the options records tell that does not change.
#[derive(Clone, Debug)]
pub(super) struct OptionsPlan {
    enterprise: u32,
    domain: u32,
    keys: Keys,
    own: Vec<OwnElement>,
    interfaces: Vec<InterfaceName>,
    domain_name: Option<String>,
    sampling: Option<Sampling>,
    anonymisation: Option<Anonymisation>,
}

/// An own element that the preset carries.
#[derive(Clone, Debug)]
pub(super) struct OwnElement {
    id: u16,
    name: String,
    description: String,
    data_type: DataType,
    semantics: Semantics,
    units: Units,
    range: (u64, u64),
}

impl OwnElement {
    fn of(element: &Element) -> Self {
        Self {
            id: element.id,
            name: element.name.to_owned(),
            description: sixtap_description(element.id).unwrap_or_default().to_owned(),
            data_type: element.data_type,
            semantics: element.semantics,
            units: element.units,
            range: element.range.unwrap_or((0, 0)),
        }
    }

    fn user(element: &UserElement) -> Self {
        Self {
            id: element.id,
            name: element.name.clone(),
            description: element.description.clone(),
            data_type: element.data_type,
            semantics: Semantics::Default,
            units: Units::None,
            range: (0, 0),
        }
    }
}

impl OptionsPlan {
    pub(super) fn new(plan: &ExportPlan) -> Self {
        let mut own = Vec::new();
        for field in plan.preset.fields.iter().filter(|f| f.enterprise == SIXTAP_DEFAULT_PEN) {
            let element = match plan.user_elements.iter().find(|element| element.id == field.id) {
                Some(element) => Some(OwnElement::user(element)),
                None => ie_registry::sixtap(field.id).map(OwnElement::of),
            };
            own.extend(element);
        }
        Self {
            enterprise: plan.enterprise,
            domain: plan.domain,
            keys: plan.keys,
            own,
            interfaces: plan.interfaces.clone(),
            domain_name: plan.domain_name.clone(),
            sampling: plan.sampling,
            anonymisation: plan.anonymisation.clone(),
        }
    }

    pub(super) fn own_elements(&self) -> &[OwnElement] {
        &self.own
    }

    pub(super) fn interfaces(&self) -> &[InterfaceName] {
        &self.interfaces
    }

    pub(super) fn domain(&self) -> u32 {
        self.domain
    }

    pub(super) fn sampling(&self) -> Option<Sampling> {
        self.sampling
    }

    pub(super) fn anonymises(&self) -> bool {
        self.anonymisation.is_some()
    }

    /// The Options Templates that will be used.
    pub(super) fn templates(&self) -> Vec<Template> {
        let fields = |fields: &[(u16, u16)]| -> Vec<FieldSpecifier> {
            fields.iter().map(|(id, length)| FieldSpecifier::iana(*id, *length)).collect()
        };
        let time = (ie::OBSERVATION_TIME_MILLISECONDS, 8);
        let process = [(ie::OBSERVATION_DOMAIN_ID, 4), (ie::METERING_PROCESS_ID, 4)];
        let metering = [
            (ie::EXPORTED_MESSAGE_TOTAL_COUNT, 8),
            (ie::EXPORTED_FLOW_RECORD_TOTAL_COUNT, 8),
            (ie::EXPORTED_OCTET_TOTAL_COUNT, 8),
        ];
        let ignored =
            [(ie::IGNORED_PACKET_TOTAL_COUNT, 8), (ie::IGNORED_OCTET_TOTAL_COUNT, 8), time, time];
        let not_sent = [
            (ie::EXPORTING_PROCESS_ID, 4),
            (ie::NOT_SENT_FLOW_TOTAL_COUNT, 8),
            (ie::NOT_SENT_PACKET_TOTAL_COUNT, 8),
            (ie::NOT_SENT_OCTET_TOTAL_COUNT, 8),
            time,
            time,
        ];
        let types = [
            (ie::PRIVATE_ENTERPRISE_NUMBER, 4),
            (ie::INFORMATION_ELEMENT_ID, 2),
            (ie::INFORMATION_ELEMENT_DATA_TYPE, 1),
            (ie::INFORMATION_ELEMENT_SEMANTICS, 1),
            (ie::INFORMATION_ELEMENT_UNITS, 2),
            (ie::INFORMATION_ELEMENT_RANGE_BEGIN, 8),
            (ie::INFORMATION_ELEMENT_RANGE_END, 8),
            (ie::INFORMATION_ELEMENT_NAME, VARIABLE_LENGTH),
            (ie::INFORMATION_ELEMENT_DESCRIPTION, VARIABLE_LENGTH),
        ];
        let keys = [(ie::TEMPLATE_ID, 2), (ie::FLOW_KEY_INDICATOR, 8)];
        let mut templates = vec![
            Template::options(id::METERING, 2, fields(&[&process[..], &metering].concat())),
            Template::options(id::IGNORED, 2, fields(&[&process[..], &ignored].concat())),
            Template::options(id::NOT_SENT, 1, fields(&not_sent)),
            Template::options(id::KEYS, 1, fields(&keys)),
        ];
        if !self.own.is_empty() {
            templates.push(Template::options(id::TYPES, 2, fields(&types)));
        }
        templates.extend(names::templates(self));
        templates.extend(self.sampling.into_iter().flat_map(selection::templates));
        templates
    }

    /// Metering Process Statistics (RFC 7011 section 4.1). The message that carries it is not in the counts.
    pub(super) fn metering_record(
        &self,
        builder: &mut MessageBuilder,
        counters: &CollectorCounters,
    ) -> Result<(), Refused> {
        builder.record(id::METERING, |out| {
            out.u32(self.domain);
            out.u32(PROCESS);
            out.u64(counters.messages);
            out.u64(counters.sent);
            out.u64(counters.octets);
        })
    }

    /// Metering Process Reliability (RFC 7011 section 4.2).
    pub(super) fn ignored_record(
        &self,
        builder: &mut MessageBuilder,
        statistics: &Statistics,
        now: Timestamp,
    ) -> Result<(), Refused> {
        builder.record(id::IGNORED, |out| {
            out.u32(self.domain);
            out.u32(PROCESS);
            out.u64(statistics.ignored_packets);
            out.u64(statistics.ignored_octets);
            span(out, statistics.first_ignored, statistics.last_ignored, statistics, now);
        })
    }

    /// Exporting Process Reliability (RFC 7011 section 4.3): what this collector did not get.
    pub(super) fn not_sent_record(
        &self,
        builder: &mut MessageBuilder,
        counters: &CollectorCounters,
        statistics: &Statistics,
        now: Timestamp,
    ) -> Result<(), Refused> {
        let earlier = |one: Timestamp, other: Timestamp| match (one.0, other.0) {
            (0, _) => other,
            (_, 0) => one,
            _ => one.min(other),
        };
        let first = earlier(statistics.first_lost, Timestamp(counters.first_lost));
        let last = statistics.last_lost.max(Timestamp(counters.last_lost));
        builder.record(id::NOT_SENT, |out| {
            out.u32(PROCESS);
            out.u64(statistics.lost_flows + counters.lost.total());
            out.u64(statistics.lost_packets + counters.not_sent_packets);
            out.u64(statistics.lost_octets + counters.not_sent_octets);
            span(out, first, last, statistics, now);
        })
    }

    /// Flow Keys of a Template (RFC 7011 section 4.4).
    pub(super) fn keys_record(
        &self,
        builder: &mut MessageBuilder,
        template: &Template,
    ) -> Result<(), Refused> {
        let mut bits = 0u64;
        for (place, field) in template.fields().iter().enumerate().take(64) {
            bits |= u64::from(self.is_key(field)) << place;
        }
        builder.record(id::KEYS, |out| {
            out.u16(template.id());
            out.u64(bits);
        })
    }

    fn is_key(&self, field: &FieldSpecifier) -> bool {
        if field.enterprise == self.enterprise {
            return TUNNEL_KEYS.contains(&field.id);
        }
        field.enterprise == 0
            && match field.id {
                ie::SOURCE_IPV4_ADDRESS
                | ie::DESTINATION_IPV4_ADDRESS
                | ie::SOURCE_IPV6_ADDRESS
                | ie::DESTINATION_IPV6_ADDRESS
                | ie::SOURCE_TRANSPORT_PORT
                | ie::DESTINATION_TRANSPORT_PORT
                | ie::ICMP_TYPE_CODE_IPV4
                | ie::ICMP_TYPE_IPV4
                | ie::ICMP_CODE_IPV4
                | ie::ICMP_TYPE_CODE_IPV6
                | ie::ICMP_TYPE_IPV6
                | ie::ICMP_CODE_IPV6
                | ie::PROTOCOL_IDENTIFIER
                | ie::IP_VERSION
                | ie::VLAN_ID
                | ie::DOT1Q_VLAN_ID
                | ie::DOT1Q_CUSTOMER_VLAN_ID => true,
                ie::FLOW_LABEL_IPV6 | ie::IP_CLASS_OF_SERVICE => self.keys.label_and_class,
                ie::IPV6_EXTENSION_HEADERS_FULL
                | ie::IPV6_EXTENSION_HEADER_TYPE_COUNT_LIST
                | ie::IPV6_EXTENSION_HEADERS_CHAIN_LENGTH => self.keys.chain,
                _ => false,
            }
    }

    /// Type record of an own element (RFC 5610 section 3.9). A range from 0 to 0 says nothing.
    pub(super) fn type_record(
        &self,
        builder: &mut MessageBuilder,
        element: &OwnElement,
    ) -> Result<(), Refused> {
        builder.record(id::TYPES, |out| {
            out.u32(self.enterprise);
            out.u16(element.id);
            out.u8(element.data_type.code());
            out.u8(element.semantics.code());
            out.u16(element.units.code());
            out.u64(element.range.0);
            out.u64(element.range.1);
            out.variable(element.name.as_bytes());
            out.variable(element.description.as_bytes());
        })
    }
}

/// The same addresses in two tunnels are two flows.
const TUNNEL_KEYS: [u16; 7] = [
    sixtap::TUNNEL_KIND,
    sixtap::TUNNEL_LEVEL,
    sixtap::TUNNEL_IDENTIFIER,
    sixtap::TUNNEL_SOURCE_IPV4_ADDRESS,
    sixtap::TUNNEL_DESTINATION_IPV4_ADDRESS,
    sixtap::TUNNEL_SOURCE_IPV6_ADDRESS,
    sixtap::TUNNEL_DESTINATION_IPV6_ADDRESS,
];

/// `meteringProcessId` and `exportingProcessId`: there is one of each.
const PROCESS: u32 = 1;

/// The times of the first and last loss. Where nothing was lost it is the time in which that is so: from the start to
/// now.
fn span(
    out: &mut Writer<'_>,
    first: Timestamp,
    last: Timestamp,
    statistics: &Statistics,
    now: Timestamp,
) {
    let (first, last) = if first.0 == 0 { (statistics.started, now) } else { (first, last) };
    out.u64(first.milliseconds());
    out.u64(last.milliseconds());
}
