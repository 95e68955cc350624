//! Is what was said of a flow true, and if not, how is it wrong?
//!
//! Comes in: a true flow and the records that are matched with it. Goes out: for each element right, or wrong with the
//! name of the mistake. The names are those of mistakes known from exporters (`docs/exporters.md`).

use super::exported::{Exported, Values, What};
use super::truth::Truth;
use crate::validate::reference::Ports;

/// The outcome for one element of one flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should be.
    Right,
    /// Wrong: the mistake's name, what was said, and what is true.
    Wrong(&'static str, String),
    /// Nothing to compare with.
    Nothing,
}

use Outcome::{Nothing, Right, Wrong};

/// What is allowed for in the comparison.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allowance {
    /// The exporter's clock less the capture's, in nanoseconds.
    pub clock: i64,
    /// Whether packets were sampled: then counts, times and flags prove nothing.
    pub sampled: bool,
}

/// Times may differ by a tenth of a second.
const TOLERANCE: i64 = 100_000_000;
const COARSE_TOLERANCE: i64 = 1_100_000_000;

const fn wrong(name: &'static str) -> impl Fn(String) -> Outcome {
    move |shown| Wrong(name, shown)
}

/// Judges one element. `all`: every group of records that is matched with the flow; `one`: the one of them in question.
#[must_use]
pub(super) fn judge(
    what: What,
    truth: &Truth,
    one: &Exported,
    all: &[&Exported],
    allow: Allowance,
) -> Outcome {
    let Some(values) = one.values(what) else { return Nothing };
    let said = values.first;
    match what {
        What::FlowLabel => label(truth, &values, one),
        What::Class => class(truth, &values, one),
        What::Dscp => {
            first_value(truth.class.map(|class| u128::from(class >> 2)), said, one, |_| false)
        }
        What::Protocol => protocol(truth, said),
        What::NextHeader => plain(truth.next_header.map(u128::from), said, one.records, |_| None),
        What::SourcePort => port(truth, said, true),
        What::DestinationPort => port(truth, said, false),
        What::IcmpV6 => icmp(truth, said),
        What::IcmpTypeV6 => {
            plain(truth.icmp().map(|(kind, _)| u128::from(kind)), said, 1, |_| None)
        }
        What::IcmpCodeV6 => {
            plain(truth.icmp().map(|(_, code)| u128::from(code)), said, 1, |_| None)
        }
        What::IcmpV4 => icmp_v4(truth, said),
        What::HeadersFull => headers_full(truth, said),
        What::Headers => headers_64(truth, said, one),
        What::HeadersLimit => headers_limit(truth, said),
        What::ChainLength => plain(truth.chain_length.map(u128::from), said, one.records, |_| None),
        What::FragmentId => fragment_id(truth, said, one),
        What::FragmentOffset => fragment_offset(truth, said, one),
        What::FragmentFlags => fragment_flags(truth, said, one),
        What::Ttl => ttl(truth, &values, one),
        What::MinimumTtl => {
            plain(truth.hop_limits.first().map(|&v| v.into()), said, one.records, |_| None)
        }
        What::MaximumTtl => {
            plain(truth.hop_limits.last().map(|&v| v.into()), said, one.records, |_| None)
        }
        What::TcpFlags if !allow.sampled => tcp_flags(truth, all, one),
        What::MinimumLength if !allow.sampled => {
            plain(Some(truth.minimum.into()), said, one.records, |_| None)
        }
        What::MaximumLength if !allow.sampled => {
            plain(Some(truth.maximum.into()), said, one.records, |_| None)
        }
        What::Octets | What::OctetTotal if !allow.sampled => octets(truth, all),
        What::Packets | What::PacketTotal if !allow.sampled => packets(truth, all),
        What::Start if !allow.sampled => start(truth, one, allow),
        What::End if !allow.sampled => end(truth, all, allow),
        What::Vlan | What::Dot1qVlan => vlan(truth, said),
        What::CustomerVlan => plain(Some(truth.vlans.1.into()), said, 1, |_| None),
        What::LayerTwo if !allow.sampled => layer_two(truth, all),
        _ => Nothing,
    }
}

/// Equal, or wrong by the name that `name` finds. Of a flow in several records only the sum of them is known: values
/// of a part of it prove nothing.
fn plain(
    truth: Option<u128>,
    said: u128,
    records: u64,
    name: impl Fn(u128) -> Option<&'static str>,
) -> Outcome {
    let Some(truth) = truth else { return Nothing };
    if said == truth {
        return Right;
    }
    if records > 1 {
        return Nothing;
    }
    Wrong(name(truth).unwrap_or("another value"), format!("{said}, true is {truth}"))
}

/// A value of the first packet; a later record of the flow may have another that the flow had.
fn first_value(
    truth: Option<u128>,
    said: u128,
    one: &Exported,
    had: impl Fn(u128) -> bool,
) -> Outcome {
    let Some(truth) = truth else { return Nothing };
    if said == truth {
        return Right;
    }
    let shown = format!("{said}, true is {truth}");
    if had(said) {
        // With the flow in one record, the first packet's value is due.
        return if one.records > 1 { Right } else { Wrong("the value of a later packet", shown) };
    }
    Wrong(if said == 0 { "always or wrongly zero" } else { "another value" }, shown)
}

fn label(truth: &Truth, values: &Values<'_>, one: &Exported) -> Outcome {
    let (Some(label), Some(class)) = (truth.label, truth.class) else {
        return if truth.is_ipv6() || values.first == 0 {
            Nothing
        } else {
            wrong("a label in IPv4")(values.first.to_string())
        };
    };
    let (label, class) = (u128::from(label), u128::from(class));
    let said = values.first;
    let shown = format!("{said:#x}, true is {label:#x} (class {class:#x})");
    let had = |value: u128| truth.labels.iter().any(|&known| u128::from(known) == value);
    if said == label {
        return Right;
    }
    if had(said) {
        return if one.records > 1 { Right } else { Wrong("the label of a later packet", shown) };
    }
    let swapped = |value: u128| u128::from((value as u32).swap_bytes());
    Wrong(
        match said {
            0 => "zero though the packets carry a label",
            _ if said & 0xf_ffff == label && said >> 20 == class & 0xf => {
                "the upper 4 bits are the lower half of the traffic class"
            }
            _ if said & 0xf_ffff == label => "bits above the 20 of the label are set",
            _ if said == label & 0xffff => "cut to 16 bits",
            _ if said == swapped(label) || said == swapped(label) >> 8 => "little-endian",
            _ if said == label << 12 => "shifted by 12 bits",
            _ => "another value",
        },
        shown,
    )
}

fn class(truth: &Truth, values: &Values<'_>, one: &Exported) -> Outcome {
    let Some(class) = truth.class else { return Nothing };
    let said = values.first;
    let (class, label) = (u128::from(class), u128::from(truth.label.unwrap_or(0)));
    if said == class {
        return Right;
    }
    let shown = format!("{said:#x}, true is {class:#x} (label {label:#x})");
    if truth.classes.iter().any(|&known| u128::from(known) == said) {
        return if one.records > 1 { Right } else { Wrong("the class of a later packet", shown) };
    }
    // The first word of the header read in the host's (little-endian) octet order, then masked as if it were not.
    let from_label = (label & 0xf) << 4 | (label >> 12 & 0xf);
    Wrong(
        match said {
            0 => "always or wrongly zero",
            _ if said == class >> 2 => "the code point, not the octet",
            _ if said == class >> 4 => "the upper 4 bits only",
            _ if said == class & 0xfc => "without ECN",
            _ if truth.is_ipv6() && said == from_label => {
                "bits of the flow label (host octet order)"
            }
            _ => "another value",
        },
        shown,
    )
}

fn protocol(truth: &Truth, said: u128) -> Outcome {
    let protocol = u128::from(truth.protocol);
    if said == protocol {
        return Right;
    }
    let shown = format!("{said}, true is {protocol}");
    let in_chain = truth.chain.iter().any(|&kind| u128::from(kind) == said);
    let name = match said {
        44 if in_chain => "the Fragment header",
        51 if in_chain => "the Authentication header: the chain is not followed past it",
        _ if truth.next_header.map(u128::from) == Some(said) && in_chain => {
            "the first extension header"
        }
        _ if in_chain => "an extension header inside the chain",
        0 => "zero",
        59 if matches!(truth.protocol, 135 | 139 | 140) => "the Next Header behind the last header",
        _ => "another value: read from a wrong place",
    };
    Wrong(name, shown)
}

fn port(truth: &Truth, said: u128, source: bool) -> Outcome {
    let side = if source { "source" } else { "destination" };
    match truth.ports {
        Ports::Known(from, to) => {
            let port = u128::from(if source { from } else { to });
            let name = |_| {
                Some(match said {
                    0 if truth.fragments => "zero for fragments",
                    0 if !truth.chain.is_empty() => "zero behind extension headers",
                    0 => "zero",
                    _ if said == u128::from((port as u16).swap_bytes()) => "little-endian",
                    _ if truth.chain.contains(&51) => {
                        "read out of the Authentication header: its length is in 4-octet units"
                    }
                    _ if truth.fragments => "read out of a fragment's payload",
                    _ if !truth.chain.is_empty() => "read out of an extension header",
                    _ => "another value",
                })
            };
            plain(Some(port), said, 1, name)
        }
        Ports::Icmp(kind, code) => {
            let pair = u128::from(u16::from(kind) << 8 | u16::from(code));
            match said {
                0 => Right,
                _ if !source && said == pair => Wrong(
                    "ICMP type and code in the port",
                    format!("{said}, type {kind} code {code}"),
                ),
                _ => Wrong("a port in an ICMP flow", format!("{side} {said}")),
            }
        }
        Ports::Unknown if said != 0 => {
            Wrong("read out of a fragment's payload", format!("{side} {said}, true is none"))
        }
        Ports::None if said != 0 => {
            let name = if truth.chain.is_empty() {
                "a port in a protocol that has none"
            } else {
                "read out of an extension header or payload"
            };
            Wrong(name, format!("{side} {said}, protocol {}", truth.protocol))
        }
        Ports::Unknown | Ports::None => Right,
    }
}

fn icmp(truth: &Truth, said: u128) -> Outcome {
    let Some((kind, code)) = truth.icmp().filter(|_| truth.is_ipv6()) else {
        // A later fragment of ICMPv6 has payload where type and code would be.
        let fragment = truth.protocol == 58 && truth.ports == Ports::Unknown;
        return match said {
            0 if fragment => Right,
            _ if fragment => {
                Wrong("read out of a fragment's payload", format!("{said}, true is none"))
            }
            _ => Nothing,
        };
    };
    let pair = u128::from(u16::from(kind) << 8 | u16::from(code));
    let swapped = u128::from(u16::from(code) << 8 | u16::from(kind));
    plain(Some(pair), said, 1, |_| match said {
        0 => Some("zero"),
        _ if said == swapped => Some("type and code swapped"),
        _ => None,
    })
}

fn icmp_v4(truth: &Truth, said: u128) -> Outcome {
    let Some((kind, code)) = truth.icmp() else { return Nothing };
    let pair = u128::from(u16::from(kind) << 8 | u16::from(code));
    if !truth.is_ipv6() {
        return plain(Some(pair), said, 1, |_| None);
    }
    if said == 0 {
        Nothing
    } else {
        Wrong(
            "type and code of ICMPv6 in the element for IPv4",
            format!("{said}, type {kind} code {code}"),
        )
    }
}

fn headers_full(truth: &Truth, said: u128) -> Outcome {
    if !truth.is_ipv6() {
        return Nothing;
    }
    let bits = u128::from(truth.header_bits);
    if said == bits {
        return Right;
    }
    let shown = format!("{said:#x}, true is {bits:#x}");
    Wrong(
        match said {
            0 => "zero though there is a chain",
            _ if said == bits.swap_bytes() => "little-endian",
            _ if said == u128::from((bits as u16).reverse_bits())
                || said == u128::from((bits as u32).reverse_bits()) =>
            {
                "bit 0 is taken as the most significant"
            }
            _ if said & bits == said => "some headers are missing",
            _ => "other headers than there were",
        },
        shown,
    )
}

fn headers_64(truth: &Truth, said: u128, one: &Exported) -> Outcome {
    if !truth.is_ipv6() {
        return Nothing;
    }
    let bits = u128::from(truth.deprecated_bits);
    if said == bits {
        return Right;
    }
    let shown = format!("{said:#x}, true is {bits:#x}");
    Wrong(
        match said {
            0 => "zero though there is a chain",
            _ if said == u128::from((bits as u16).reverse_bits())
                || said == u128::from((bits as u32).reverse_bits()) =>
            {
                "bit 0 is taken as the most significant"
            }
            _ if one.records > 1 && said & bits == said => return Nothing,
            _ if said & bits == said => "some headers are missing",
            _ => "another numbering, or other headers",
        },
        shown,
    )
}

fn headers_limit(truth: &Truth, said: u128) -> Outcome {
    if !truth.is_ipv6() {
        return Nothing;
    }
    match (said, truth.complete) {
        (1, true) | (2, false) => Right,
        (1, false) => Wrong("said to be complete and is not", "1 (true)".to_owned()),
        (2, true) => Wrong("said to be cut and is complete", "2 (false)".to_owned()),
        _ => Wrong("no boolean", said.to_string()),
    }
}

fn fragment_id(truth: &Truth, said: u128, one: &Exported) -> Outcome {
    let Some(fragment) = truth.fragment else {
        return if said == 0 {
            Right
        } else {
            wrong("an identification without a fragment")(said.to_string())
        };
    };
    let id = u128::from(fragment.0);
    plain(Some(id), said, one.records, |_| match said {
        0 => Some("zero"),
        _ if said == id & 0xffff => Some("cut to 16 bits"),
        _ if said == u128::from((id as u32).swap_bytes()) => Some("little-endian"),
        _ => None,
    })
}

fn fragment_offset(truth: &Truth, said: u128, one: &Exported) -> Outcome {
    let Some(fragment) = truth.fragment else {
        return if said == 0 {
            Right
        } else {
            wrong("an offset without a fragment")(said.to_string())
        };
    };
    let offset = u128::from(fragment.1);
    plain(Some(offset), said, one.records, |_| match said {
        _ if said == offset * 8 => Some("in octets"),
        _ => None,
    })
}

fn fragment_flags(truth: &Truth, said: u128, one: &Exported) -> Outcome {
    let Some(fragment) = truth.fragment else { return Nothing };
    // Only DF and MF are told.
    plain(Some(u128::from(fragment.2)), said & 0x60, one.records, |_| match said {
        0 => Some("zero for fragments"),
        _ => None,
    })
}

fn ttl(truth: &Truth, values: &Values<'_>, one: &Exported) -> Outcome {
    let said = values.first;
    let first = u128::from(truth.hop_limit);
    if said == first {
        return Right;
    }
    let shown = format!("{said}, the first packet's is {first}");
    let had = truth.hop_limits.iter().any(|&known| u128::from(known) == said);
    if had && one.records > 1 {
        return Right;
    }
    Wrong(
        match said {
            0 => "zero",
            _ if truth.hop_limits.last().is_some_and(|&most| u128::from(most) == said) => {
                "the largest, not the first packet's"
            }
            _ if truth.hop_limits.first().is_some_and(|&least| u128::from(least) == said) => {
                "the smallest, not the first packet's"
            }
            _ if had => "a later packet's",
            _ => "another value",
        },
        shown,
    )
}

fn tcp_flags(truth: &Truth, all: &[&Exported], one: &Exported) -> Outcome {
    let said = all.iter().filter_map(|one| one.values(What::TcpFlags));
    let said =
        said.flat_map(|values| values.all().collect::<Vec<_>>()).fold(0, |sum, value| sum | value);
    if truth.protocol != 6 {
        return if said == 0 {
            Nothing
        } else {
            Wrong(
                "flags in a flow that is not TCP",
                format!("{said:#x}, protocol {}", truth.protocol),
            )
        };
    }
    let flags = u128::from(truth.tcp_flags);
    // One octet cannot tell more than eight flags.
    let octet =
        one.values(What::TcpFlags).is_some_and(|values| values.all().all(|value| value < 0x100))
            && said < 0x100;
    let due = if octet { flags & 0xff } else { flags };
    if said == due {
        return Right;
    }
    let shown = format!("{said:#x}, true is {flags:#x}");
    Wrong(
        match said {
            _ if said & !0xfff != 0 => "the data offset is included",
            0 => "zero",
            _ if said & due == said => "not of all packets",
            _ if truth.fragments => "read out of a fragment's payload",
            _ => "another value",
        },
        shown,
    )
}

fn sum(all: &[&Exported], of: impl Fn(&Exported) -> u64) -> u64 {
    all.iter().map(|one| of(one)).fold(0, u64::saturating_add)
}

fn octets(truth: &Truth, all: &[&Exported]) -> Outcome {
    let (said, packets) = (sum(all, |one| one.octets), sum(all, |one| one.packets));
    if said == truth.octets {
        return Right;
    }
    let shown = format!("{said}, true is {} in {} packets", truth.octets, truth.packets);
    if packets != truth.packets {
        let name = if packets < truth.packets {
            "packets of the flow are missing"
        } else {
            "packets are counted twice"
        };
        return Wrong(name, shown);
    }
    // Wide enough for whatever records say.
    let (count, least) = (i128::from(packets), i128::from(truth.minimum));
    let chain = i128::from(truth.chain_length.unwrap_or(0));
    Wrong(
        match i128::from(said) - i128::from(truth.octets) {
            more if more == 14 * count => "Ethernet header included",
            more if more == 18 * count => "Ethernet and VLAN headers included",
            more if [4, 8, 12].iter().any(|tags| more == tags * count) => "VLAN tags included",
            _ if said == truth.layer_two && said > 0 => "the frames' octets",
            more if more > 0 && least < 46 && more <= (46 - least) * count => {
                "Ethernet padding included"
            }
            less if chain > 0 && -less == chain * count => "extension headers left out",
            less if -less == 40 * count && truth.is_ipv6() => "the payload only",
            _ if i128::from(said) == 40 * count && truth.octets > 65_535 => {
                "jumbograms counted as their header"
            }
            _ if said & 0xffff == truth.octets & 0xffff => "cut to 16 bits a packet",
            less if less < 0 && truth.fragments => "fragments are missing",
            _ => "another value",
        },
        shown,
    )
}

fn packets(truth: &Truth, all: &[&Exported]) -> Outcome {
    let said = sum(all, |one| one.packets);
    if said == truth.packets {
        return Right;
    }
    let shown = format!("{said}, true is {}", truth.packets);
    Wrong(
        match said {
            _ if truth.packets.checked_mul(2) == Some(said) => "counted twice",
            1 if truth.fragments => "a datagram in fragments counted as one packet",
            _ if said < truth.packets && truth.fragments => "fragments are missing",
            _ if said < truth.packets => "packets are missing",
            _ => "more than there were",
        },
        shown,
    )
}

fn near(said: i64, truth: u64, one: &Exported, allow: Allowance, name: &'static str) -> Outcome {
    let off = said.saturating_sub(allow.clock).saturating_sub(truth.cast_signed());
    let tolerance = if one.coarse { COARSE_TOLERANCE } else { TOLERANCE };
    if off.saturating_abs() <= tolerance {
        return Right;
    }
    Wrong(name, format!("off by {:.3} s", off as f64 / 1e9))
}

fn start(truth: &Truth, one: &Exported, allow: Allowance) -> Outcome {
    match one.start {
        Some(said) if !truth.merged && !one.both => {
            near(said, truth.first, one, allow, "not the first packet's time")
        }
        _ => Nothing,
    }
}

fn end(truth: &Truth, all: &[&Exported], allow: Allowance) -> Outcome {
    let last = all.iter().filter(|one| one.end.is_some()).max_by_key(|one| one.end);
    match last {
        Some(one) if !truth.merged && !one.both => {
            near(one.end.unwrap_or(0), truth.last, one, allow, "not the last packet's time")
        }
        _ => Nothing,
    }
}

fn vlan(truth: &Truth, said: u128) -> Outcome {
    let (outer, inner) = (u128::from(truth.vlans.0), u128::from(truth.vlans.1));
    plain(Some(outer), said & 0xfff, 1, |_| match said {
        _ if said == inner => Some("the inner tag"),
        0 => Some("zero for tagged frames"),
        _ => None,
    })
}

fn layer_two(truth: &Truth, all: &[&Exported]) -> Outcome {
    let said = all.iter().filter_map(|one| one.values(What::LayerTwo)).map(|values| values.first);
    let said = said.fold(0, u128::saturating_add);
    if all.iter().any(|one| one.records > 1) {
        return Nothing;
    }
    plain(Some(truth.layer_two.into()), said, 1, |_| None)
}
