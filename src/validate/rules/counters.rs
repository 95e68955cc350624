//! Rules about counters, TCP flags, directions and interfaces.

use super::Check::{Record, Stream, Tally};
use super::{Rule, value};
use crate::validate::finding::Severity::{Error, Note, Warning};
use crate::validate::view::{self, Slot, View};

type Seen<'a> = view::Record<'a>;

/// Flow templates that count packets and octets; not records of NAT or firewall events, which may count nothing.
fn counted(view: &View) -> bool {
    view.is_flow()
        && (view.has_all(&[Slot::OctetDelta, Slot::PacketDelta])
            || view.has_all(&[Slot::OctetTotal, Slot::PacketTotal]))
        && !view.has_any(&[Slot::NatEvent, Slot::FirewallEvent])
}

fn octet_field(record: &Seen<'_>) -> Option<usize> {
    record.view.field(Slot::OctetDelta).or_else(|| record.view.field(Slot::OctetTotal))
}

fn packet_field(record: &Seen<'_>) -> Option<usize> {
    record.view.field(Slot::PacketDelta).or_else(|| record.view.field(Slot::PacketTotal))
}

fn both(record: &Seen<'_>, _: usize) -> String {
    let show =
        |index: Option<usize>| index.map(|index| record.show_field(index)).unwrap_or_default();
    format!("{}, {}", show(packet_field(record)), show(octet_field(record)))
}

/// D28.
pub static ZERO: Rule = Rule {
    id: "CNT-ZERO",
    severity: Warning,
    source: "RFC 7012 section 5; IANA elements 1 and 2",
    title: "a flow of no packets or no octets",
    wanted: "at least one packet: a flow begins with one",
    meaning: "rates and averages divide by zero",
    check: Record {
        applies: counted,
        broken: |record| {
            let zero = |count: Option<u64>| count == Some(0);
            let reverse =
                record.unsigned(Slot::ReversePacketDelta).is_some_and(|packets| packets > 0);
            if zero(record.packet_count()) && !reverse {
                return packet_field(record);
            }
            let empty = zero(record.octet_count()) && !zero(record.packet_count());
            empty.then(|| octet_field(record)).flatten()
        },
        saw: both,
    },
};

/// D2.
pub static TOO_SMALL: Rule = Rule {
    id: "CNT-TOO-SMALL",
    severity: Error,
    source: "IANA elements 1 and 85",
    title: "fewer octets than the IP headers alone",
    wanted: "IP headers and payload: at least 40 octets a packet in IPv6, 20 in IPv4",
    meaning: "volumes are too low; short packets seem empty",
    check: Record {
        applies: counted,
        broken: |record| {
            let (octets, packets) = (record.octet_count()?, record.packet_count()?);
            let header = if record.is_ipv6() { 40 } else { 20 };
            let known = record.is_ipv6() || record.view.families.v4;
            let small = known && octets > 0 && octets < packets.saturating_mul(header);
            small.then(|| octet_field(record)).flatten()
        },
        saw: both,
    },
};

/// A mean above what the length field can say.
pub static TOO_BIG: Rule = Rule {
    id: "CNT-TOO-BIG",
    severity: Warning,
    source: "IANA elements 1 and 2; RFC 8200 section 3",
    title: "more octets a packet than a packet can have",
    wanted: "at most 65575 octets a packet in IPv6 (but for jumbograms), 65535 in IPv4",
    meaning: "one of the two counters is wrong, or they are scaled differently",
    check: Record {
        applies: counted,
        broken: |record| {
            let (octets, packets) = (record.octet_count()?, record.packet_count()?);
            // A jumbogram has a Hop-by-Hop header; offloaded super-packets show in the largest length.
            let jumbo = record.unsigned(Slot::NextHeader) == Some(0)
                || record.unsigned(Slot::MaximumLength).is_some_and(|length| length > 65_575);
            if jumbo {
                return None;
            }
            let most = if record.is_ipv6() { 65_575 } else { 65_535 };
            let big = packets > 0 && octets < 1 << 63 && octets > packets.saturating_mul(most);
            big.then(|| octet_field(record)).flatten()
        },
        saw: both,
    },
};

/// D27.
pub static MIN_MAX: Rule = Rule {
    id: "CNT-MIN-MAX",
    severity: Error,
    source: "IANA elements 25 and 26",
    title: "smallest, largest and total length contradict each other",
    wanted: "minimumIpTotalLength × packets ≤ octets ≤ maximumIpTotalLength × packets",
    meaning: "packet sizes, the base of many signatures, cannot be trusted",
    check: Record {
        applies: |view| view.has_any(&[Slot::MinimumLength, Slot::MaximumLength]) && counted(view),
        broken: |record| {
            let (octets, packets) = (record.octet_count()?, record.packet_count()?);
            let (low, high) =
                (record.unsigned(Slot::MinimumLength), record.unsigned(Slot::MaximumLength));
            if packets == 0 {
                return None;
            }
            if low.is_some_and(|low| low.saturating_mul(packets) > octets)
                || matches!((low, high), (Some(low), Some(high)) if low > high)
            {
                return record.view.field(Slot::MinimumLength);
            }
            // NetFlow v9 has two octets for it (RFC 3954 section 8): all ones are that length or any above.
            let high = high.filter(|&high| {
                high != 65_535 || record.view.length(Slot::MaximumLength) != Some(2)
            });
            let over = high.is_some_and(|high| high.saturating_mul(packets) < octets);
            over.then(|| record.view.field(Slot::MaximumLength)).flatten()
        },
        saw: |record, index| {
            let (low, high) = (record.show(Slot::MinimumLength), record.show(Slot::MaximumLength));
            format!("{} {low} {high}", both(record, index))
        },
    },
};

/// D3, the other way round.
pub static NEGATIVE: Rule = Rule {
    id: "CNT-NEGATIVE",
    severity: Error,
    source: "IANA elements 1 and 2",
    title: "a counter that must have wrapped below zero",
    wanted: "what was counted since the last record of the flow",
    meaning: "one record outweighs all others",
    check: Record {
        applies: |view| view.has_any(&[Slot::OctetDelta, Slot::PacketDelta]),
        broken: |record| {
            let slots = [Slot::OctetDelta, Slot::PacketDelta];
            let negative =
                |slot: &Slot| record.unsigned(*slot).is_some_and(|count| count >= 1 << 63);
            let slot = slots.into_iter().find(|slot| negative(slot))?;
            record.view.field(slot)
        },
        saw: value,
    },
};

/// Whether the record is a lone TCP acknowledgement.
fn lone_ack(record: &Seen<'_>) -> bool {
    record.packet_count() == Some(1)
        && record.unsigned(Slot::Protocol) == Some(6)
        && record.unsigned(Slot::TcpFlags) == Some(0x10)
}

fn tcp(view: &View) -> bool {
    counted(view) && view.has_all(&[Slot::Protocol, Slot::TcpFlags])
}

/// D1.
pub static LAYER_TWO: Rule = Rule {
    id: "CNT-LAYER-TWO",
    severity: Warning,
    source: "IANA elements 1 and 352",
    title: "octets include the link layer's header",
    wanted: "octets of the IP packet; the frame's go into layer2OctetDeltaCount (352)",
    meaning: "volumes are too high by 14 octets or more a packet",
    check: Tally {
        applies: tcp,
        observe: |record, tally| {
            if !lone_ack(record) {
                return;
            }
            // A bare acknowledgement, without and with the timestamp option; then with 14 or 18 octets of Ethernet.
            let base = if record.is_ipv6() { 60 } else { 40 };
            match record.octet_count().and_then(|octets| octets.checked_sub(base)) {
                Some(0 | 12) => tally.n[0] += 1,
                Some(14 | 18 | 26 | 30) => {
                    tally.n[1] += 1;
                    tally.keep(record, Slot::OctetDelta);
                }
                _ => {}
            }
        },
        judge: |tally, _| {
            (tally.n[1] >= 20 && tally.n[0] == 0).then(|| {
                format!(
                    "{} lone acknowledgements are 14 or 18 octets too long, none is right",
                    tally.n[1]
                )
            })
        },
    },
};

/// peers-measured: softflowd.
pub static ETHERNET_PADDING: Rule = Rule {
    id: "CNT-ETHERNET-PADDING",
    severity: Warning,
    source: "IANA element 1",
    title: "octets include Ethernet padding",
    wanted: "the length the IP header gives: 40 for a bare IPv4 acknowledgement",
    meaning: "short packets are counted as 46 octets",
    check: Tally {
        applies: tcp,
        observe: |record, tally| {
            if !lone_ack(record) || record.is_ipv6() {
                return;
            }
            match record.octet_count() {
                Some(40) => tally.n[0] += 1,
                Some(46) => {
                    tally.n[1] += 1;
                    tally.keep(record, Slot::OctetDelta);
                }
                _ => {}
            }
        },
        judge: |tally, _| {
            (tally.n[1] >= 10 && tally.n[0] == 0).then(|| {
                format!("{} lone IPv4 acknowledgements have 46 octets, none has 40", tally.n[1])
            })
        },
    },
};

fn common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

const SAMPLING: &[Slot] = &[
    Slot::SamplingInterval,
    Slot::SamplerRandom,
    Slot::PacketInterval,
    Slot::SamplingSize,
    Slot::SamplingProbability,
    Slot::SelectorAlgorithm,
];

/// D6.
pub static ALL_MULTIPLES: Rule = Rule {
    id: "CNT-ALL-MULTIPLES",
    severity: Warning,
    source: "RFC 5476 section 6.5; RFC 7011 section 4",
    title: "all packet counts are multiples of one number and no sampling is declared",
    wanted: "the selector in an Options Record (selectorAlgorithm (304) and its parameters)",
    meaning: "counts were multiplied by a sampling rate nobody can know or undo",
    check: Tally {
        applies: |view| counted(view) || view.has_any(SAMPLING),
        observe: |record, tally| {
            if record.view.has_any(SAMPLING) {
                tally.n[2] = 1;
            }
            let Some(packets) = record.packet_count().filter(|&packets| packets > 0) else {
                return;
            };
            tally.n[0] = common_divisor(tally.n[0], packets);
            tally.n[1] += 1;
            tally.keep(record, Slot::PacketDelta);
        },
        judge: |tally, _| {
            // Small divisors come by themselves: every exchange may be of two packets.
            (tally.n[1] >= 100 && tally.n[0] >= 10 && tally.n[2] == 0).then(|| {
                format!("{} packet counts are all multiples of {}", tally.n[1], tally.n[0])
            })
        },
    },
};

/// D3, D14.
pub static CUMULATIVE: Rule = Rule {
    id: "CNT-CUMULATIVE",
    severity: Error,
    source: "IANA elements 1 and 2; RFC 5153 section 4.3",
    title: "delta counters that go on counting",
    wanted: "only what came since the flow's last record",
    meaning: "long flows are counted again with every record",
    check: Stream,
};

/// D4.
pub static TOTAL_AS_DELTA: Rule = Rule {
    id: "CNT-TOTAL-AS-DELTA",
    severity: Warning,
    source: "IANA elements 85 and 86",
    title: "total counters that fall",
    wanted: "totals since the Metering Process began, or octetDeltaCount and packetDeltaCount",
    meaning: "a collector that subtracts totals gets negative volumes",
    check: Stream,
};

/// D5.
pub static DUPLICATE: Rule = Rule {
    id: "CNT-DUPLICATE",
    severity: Warning,
    source: "RFC 7011 section 2",
    title: "the same flow record twice",
    wanted: "one record a flow and interval",
    meaning: "traffic is counted twice",
    check: Stream,
};

/// D32.
pub static OVERLAP: Rule = Rule {
    id: "CNT-OVERLAP",
    severity: Warning,
    source: "RFC 7011 section 2; RFC 7012 section 5",
    title: "records of one flow overlap in time",
    wanted: "intervals of one flow that follow each other",
    meaning: "a flow was split over queues or caches: first packets, flags and durations are wrong",
    check: Stream,
};

/// D20.
pub static REVERSE_ZERO: Rule = Rule {
    id: "CNT-REVERSE-ZERO",
    severity: Warning,
    source: "RFC 5103 section 4",
    title: "a one-way flow exported as a biflow with zeros",
    wanted: "a template without reverse elements for flows seen in one direction",
    meaning: "reverse values that were never seen overwrite or dilute real ones",
    check: Record {
        applies: |view| view.has(Slot::ReversePacketDelta),
        broken: |record| {
            let zero = record.unsigned(Slot::ReversePacketDelta) == Some(0);
            zero.then(|| record.view.field(Slot::ReversePacketDelta)).flatten()
        },
        saw: value,
    },
};

/// D18.
pub static POST_AS_REVERSE: Rule = Rule {
    id: "CNT-POST-AS-REVERSE",
    severity: Warning,
    source: "IANA elements 23 and 24; RFC 5103 section 6",
    title: "postPacketDeltaCount seems to count the other direction",
    wanted: "enterprise number 29305 for the reverse direction",
    meaning: "a collector takes the answer for the same traffic behind a middlebox",
    check: Tally {
        applies: |view| {
            view.has_all(&[Slot::PacketDelta, Slot::PostPacketDelta])
                && !view.has(Slot::ReversePacketDelta)
        },
        observe: |record, tally| {
            tally.n[0] += 1;
            if record.unsigned(Slot::PacketDelta) != record.unsigned(Slot::PostPacketDelta) {
                tally.n[1] += 1;
                tally.keep(record, Slot::PostPacketDelta);
            }
        },
        judge: |tally, _| {
            (tally.n[0] >= 50 && tally.n[1] * 2 > tally.n[0]).then(|| {
                format!(
                    "it differs from packetDeltaCount in {} of {} records",
                    tally.n[1], tally.n[0]
                )
            })
        },
    },
};

/// D17.
pub static DIRECTION: Rule = Rule {
    id: "CNT-DIRECTION",
    severity: Error,
    source: "IANA element 61",
    title: "flowDirection is neither ingress nor egress",
    wanted: "0 (ingress) or 1 (egress)",
    meaning: "in and out cannot be told apart",
    check: Record {
        applies: |view| view.has(Slot::Direction) && !view.options,
        broken: |record| {
            let direction = record.unsigned(Slot::Direction)?;
            (direction > 1).then(|| record.view.field(Slot::Direction)).flatten()
        },
        saw: value,
    },
};

/// 239.
pub static BIFLOW_DIRECTION: Rule = Rule {
    id: "CNT-BIFLOW-DIRECTION",
    severity: Error,
    source: "RFC 5103 section 6.3; IANA element 239",
    title: "biflowDirection has no assigned value",
    wanted: "0 (arbitrary), 1 (initiator), 2 (reverse initiator) or 3 (perimeter)",
    meaning: "who began the conversation is not known",
    check: Record {
        applies: |view| view.has(Slot::BiflowDirection),
        broken: |record| {
            let direction = record.unsigned(Slot::BiflowDirection)?;
            (direction > 3).then(|| record.view.field(Slot::BiflowDirection)).flatten()
        },
        saw: value,
    },
};

/// D23.
pub static TCP_OFFSET_BITS: Rule = Rule {
    id: "CNT-TCP-OFFSET-BITS",
    severity: Error,
    source: "RFC 9565 section 3",
    title: "tcpControlBits includes the data offset",
    wanted: "the upper 4 bits zero",
    meaning: "flags do not compare; signatures on them fail",
    check: Record {
        applies: |view| view.length(Slot::TcpFlags) == Some(2),
        broken: |record| {
            let bits = record.unsigned(Slot::TcpFlags)?;
            (bits & 0xf000 != 0).then(|| record.view.field(Slot::TcpFlags)).flatten()
        },
        saw: |record, _| {
            format!("tcpControlBits = {:#06x}", record.unsigned(Slot::TcpFlags).unwrap_or(0))
        },
    },
};

/// D24.
pub static TCP_FLAGS_NOT_TCP: Rule = Rule {
    id: "CNT-TCP-FLAGS-NOT-TCP",
    severity: Warning,
    source: "IANA element 6",
    title: "TCP flags in a flow that is not TCP",
    wanted: "0, or a template without the element",
    meaning: "payload or another protocol's header was read as TCP",
    check: Record {
        applies: |view| view.has_all(&[Slot::TcpFlags, Slot::Protocol]),
        broken: |record| {
            let flags = record.unsigned(Slot::TcpFlags)?;
            let other = record.unsigned(Slot::Protocol).is_some_and(|protocol| protocol != 6);
            (flags != 0 && other).then(|| record.view.field(Slot::TcpFlags)).flatten()
        },
        saw: |record, index| {
            let flags = record.unsigned(Slot::TcpFlags).unwrap_or(0);
            let name = record.view.label(index);
            format!("{}, {name} = {flags:#x}", record.show(Slot::Protocol))
        },
    },
};

/// D22.
pub static TCP_FLAGS_NOT_GATHERED: Rule = Rule {
    id: "CNT-TCP-FLAGS-NOT-GATHERED",
    severity: Warning,
    source: "RFC 9565 section 3; IANA element 6",
    title: "TCP flags of one packet only",
    wanted: "the flags of all packets of the flow, OR-ed",
    meaning: "every connection looks like a scan or a half-open one",
    check: Tally {
        applies: tcp,
        observe: |record, tally| {
            if record.unsigned(Slot::Protocol) != Some(6) || record.packet_count().unwrap_or(0) < 10
            {
                return;
            }
            tally.n[0] += 1;
            // A long flow with SYN or FIN must have ACK too; ACK alone is the middle of a flow.
            if matches!(record.unsigned(Slot::TcpFlags), Some(0 | 1 | 2 | 4 | 8)) {
                tally.n[1] += 1;
                tally.keep(record, Slot::TcpFlags);
            }
        },
        judge: |tally, _| {
            (tally.n[0] >= 20 && tally.n[1] * 2 > tally.n[0]).then(|| {
                format!(
                    "{} of {} TCP flows of ten packets or more have at most one flag",
                    tally.n[1], tally.n[0]
                )
            })
        },
    },
};

/// D22.
pub static TCP_FLAGS_UPPER_ZERO: Rule = Rule {
    id: "CNT-TCP-FLAGS-UPPER-ZERO",
    severity: Note,
    source: "RFC 9565 section 3",
    title: "tcpControlBits has two octets, the upper is always zero",
    wanted: "one octet if the upper bits are not observed",
    meaning: "whether the upper flags were absent or never looked at is not known",
    check: Tally {
        applies: |view| tcp(view) && view.length(Slot::TcpFlags) == Some(2),
        observe: |record, tally| {
            if record.unsigned(Slot::Protocol) == Some(6) {
                tally.n[0] += 1;
                tally.n[1] |= record.unsigned(Slot::TcpFlags).unwrap_or(0) & 0x0f00;
                tally.keep(record, Slot::TcpFlags);
            }
        },
        judge: |tally, _| {
            (tally.n[0] > 1000 && tally.n[1] == 0)
                .then(|| format!("zero in all {} TCP records", tally.n[0]))
        },
    },
};

/// D26.
pub static NOT_IP: Rule = Rule {
    id: "CNT-NOT-IP",
    severity: Error,
    source: "IANA elements 60 and 256",
    title: "a frame that is not IP exported as an IP flow",
    wanted: "ipVersion 4 or 6, or a template without IP elements",
    meaning: "spanning tree and ARP are counted as IP traffic of address 0",
    check: Record {
        applies: |view| {
            view.is_flow()
                && view.has_any(&[Slot::IpVersion, Slot::EtherType])
                && (view.families.v4 || view.families.v6)
        },
        broken: |record| {
            if let Some(version) = record.unsigned(Slot::IpVersion) {
                let wrong = !matches!(version, 4 | 6);
                return wrong.then(|| record.view.field(Slot::IpVersion)).flatten();
            }
            // 0x0008 and 0xdd86 are the same in the wrong octet order, which another rule names.
            let kind = record.unsigned(Slot::EtherType)?;
            let wrong = matches!(kind, 1..=0x05ff | 0x0806 | 0x88cc) && kind != 8 && kind != 0x81;
            wrong.then(|| record.view.field(Slot::EtherType)).flatten()
        },
        saw: value,
    },
};

/// D34.
pub static INTERFACE_CONSTANT: Rule = Rule {
    id: "CNT-INTERFACE-ZERO",
    severity: Note,
    source: "IANA element 10",
    title: "ingressInterface is always zero",
    wanted: "the interface's ifIndex, or a template without the element",
    meaning: "traffic cannot be told by interface",
    check: Tally {
        applies: |view| view.is_flow() && view.has(Slot::IngressInterface),
        observe: |record, tally| {
            tally.n[0] += 1;
            tally.n[1] += u64::from(record.unsigned(Slot::IngressInterface) != Some(0));
            tally.keep(record, Slot::IngressInterface);
        },
        judge: |tally, _| {
            (tally.n[0] >= 100 && tally.n[1] == 0)
                .then(|| format!("0 in all {} records", tally.n[0]))
        },
    },
};
