//! Findings about an interface: link, driver, queues, hash, offloads, addresses.

use super::Finding;
use crate::capture::interface::Interface;
use crate::capture::interface::ethtool::{
    Ethtool, FLOW_TYPES, HASH_ADDRESSES, XdpFeatures, xdp_features,
};
use crate::capture::interface::steering::is_left_changed;

pub(super) fn findings(interface: &Interface) -> Vec<Finding> {
    let features = xdp_features(interface);
    let mut findings = vec![link(interface), own_traffic(interface), other_program(interface)];
    findings.push(driver(interface, features));
    findings.push(largest_frame(interface, features));
    if let Ok(mut ethtool) = Ethtool::open(interface) {
        findings.push(queues(interface, &mut ethtool));
        findings.extend(ring(interface, &mut ethtool));
        findings.extend(hash(interface, &mut ethtool));
        findings.extend(offloads(interface, &mut ethtool));
        findings.push(time(interface, features, &mut ethtool));
    }
    findings.extend(memory_node(interface));
    findings.extend(left_changed(interface));
    findings
}

fn left_changed(interface: &Interface) -> Option<Finding> {
    is_left_changed(interface).then(|| {
        let fix = format!("sixtap doctor {} --restore", interface.name);
        Finding::better("settings", "a probe that crashed has left some changed", fix)
    })
}

/// One line for each interface that could be captured.
pub(super) fn overview() -> Vec<Finding> {
    let mut interfaces = Interface::all().unwrap_or_default();
    interfaces.retain(|interface| !interface.loopback);
    interfaces
        .iter()
        .map(|interface| {
            let driver = interface.driver().unwrap_or_else(|| "unknown driver".to_owned());
            let state = if interface.up { "up" } else { "down" };
            let own =
                interface.own_traffic().map(|reason| format!(", {reason}")).unwrap_or_default();
            let text = format!("{} ({driver}): {state}{own}", interface.name);
            let look = format!("sixtap doctor {}", interface.name);
            Finding { fix: Some(look), ..Finding::good("interface", text) }
        })
        .collect()
}

fn link(interface: &Interface) -> Finding {
    const ETHERNET: u16 = 1;
    let name = &interface.name;
    if interface.hardware_type != ETHERNET {
        return Finding::never(
            "link",
            format!("{name} is no Ethernet interface"),
            "use --packet-socket",
        );
    }
    if !interface.up {
        return Finding::never("link", format!("{name} is down"), format!("ip link set {name} up"));
    }
    if !interface.carrier {
        return Finding::better(
            "link",
            "no carrier",
            "check the cable and the mirror port at the other end",
        );
    }
    Finding::good("link", format!("{name} (ifIndex {}) is up", interface.index))
}

fn own_traffic(interface: &Interface) -> Finding {
    match interface.own_traffic() {
        None => Finding::good("addresses", "none of this machine's traffic goes through it"),
        Some(reason) => Finding::never(
            "addresses",
            format!("{} {reason}; AF_XDP takes all frames away from the kernel", interface.name),
            "give the probe a mirror port, use --packet-socket, or --steal if that is what you want",
        ),
    }
}

fn other_program(interface: &Interface) -> Finding {
    let name = &interface.name;
    match interface.programs.first() {
        None => Finding::good("XDP program", "no other is attached"),
        Some((mode, id)) => Finding::never(
            "XDP program",
            format!("{name} has program {id} ({mode:?}); is a probe running?"),
            format!(
                "end what attached it (bpftool net, bpftool prog show id {id}), or `ip link set {name} xdp off`"
            ),
        ),
    }
}

fn driver(interface: &Interface, features: Option<XdpFeatures>) -> Finding {
    let driver = interface.driver().unwrap_or_else(|| "unknown driver".to_owned());
    let instead = "a NIC with zero-copy (ice, i40e, mlx5, ixgbe, igc, igb from 6.14, virtio-net from 6.11, …) is about ten times faster";
    match features {
        None => Finding::unknown(
            "driver",
            format!("{driver}: this kernel does not say what it can do; --try shows it"),
        ),
        Some(XdpFeatures { zero_copy: true, .. }) => {
            Finding::good("driver", format!("{driver}: zero-copy"))
        }
        Some(XdpFeatures { native: true, .. }) => Finding::better(
            "driver",
            format!("{driver}: XDP in the driver, but no zero-copy"),
            instead,
        ),
        Some(_) => Finding::better(
            "driver",
            format!("{driver}: no XDP in the driver, only the kernel's generic one (slow)"),
            instead,
        ),
    }
}

/// Octets of a frame that fit one 4096-octet buffer of the UMEM.
const ONE_BUFFER: u32 = 4096 - 256 - 64;

fn largest_frame(interface: &Interface, features: Option<XdpFeatures>) -> Finding {
    let name = &interface.name;
    let largest = interface.mtu.saturating_add(22);
    if largest <= ONE_BUFFER {
        return Finding::good(
            "largest frame",
            format!("{largest} octets (MTU {} and two VLAN tags): one buffer", interface.mtu),
        );
    }
    let smaller = format!("ip link set {name} mtu 3498, if no larger frames come");
    match features {
        Some(XdpFeatures { zero_copy: true, zero_copy_buffers: 2.., .. }) => Finding::good(
            "largest frame",
            format!("{largest} octets: several buffers, in zero-copy"),
        ),
        Some(XdpFeatures { zero_copy: true, .. }) => Finding::better(
            "largest frame",
            format!("{largest} octets: the driver has no zero-copy for frames of several buffers"),
            smaller,
        ),
        Some(XdpFeatures { multi_buffer: true, .. }) => {
            Finding::good("largest frame", format!("{largest} octets: several buffers"))
        }
        Some(_) => Finding::better(
            "largest frame",
            format!(
                "{largest} octets: the driver takes frames of one buffer only, about {ONE_BUFFER} octets"
            ),
            smaller,
        ),
        None => Finding::unknown(
            "largest frame",
            format!("{largest} octets: this kernel does not say whether the driver takes them"),
        ),
    }
}

fn queues(interface: &Interface, ethtool: &mut Ethtool) -> Finding {
    let name = &interface.name;
    let processors = std::thread::available_parallelism().map_or(1, |count| count.get() as u32);
    let Some(queues) = ethtool.receive_queues() else {
        return Finding::good(
            "queues",
            format!("{} (the driver does not say more)", interface.receive_queues_at_most),
        );
    };
    let text = format!("{} in use, {} possible; {processors} processors", queues.now, queues.most);
    let wanted = queues.most.min(processors);
    let fix = format!("ethtool -L {name} combined {wanted}");
    if queues.now > processors {
        return Finding::better("queues", format!("{text}: workers share processors"), fix);
    }
    if queues.now < wanted {
        return Finding::better("queues", format!("{text}: more queues take more load"), fix);
    }
    Finding::good("queues", text)
}

fn ring(interface: &Interface, ethtool: &mut Ethtool) -> Option<Finding> {
    const ENOUGH: u32 = 4096;
    let ring = ethtool.receive_ring()?;
    let text = format!("{} descriptors, {} possible", ring.now, ring.most);
    let wanted = ring.most.min(ENOUGH);
    Some(if ring.now < wanted {
        let fix = format!("ethtool -G {} rx {wanted}", interface.name);
        Finding::better("NIC ring", format!("{text}: bursts overrun a small ring"), fix)
    } else {
        Finding::good("NIC ring", text)
    })
}

fn hash(interface: &Interface, ethtool: &mut Ethtool) -> Option<Finding> {
    const TOPIC: &str = "RSS";
    if ethtool.receive_queues().is_none_or(|queues| queues.now < 2) {
        return Some(Finding::good(TOPIC, "one queue: nothing to spread"));
    }
    let Some(rss) = ethtool.rss() else {
        let text = "the driver does not say how it spreads packets; fragments may go to another queue than the rest of their flow";
        return Some(Finding::better(
            TOPIC,
            text,
            "--workers 1, where one record a flow matters more than rate",
        ));
    };
    let by_key = rss.function == "toeplitz" && is_symmetric(&rss.key);
    let symmetric = if rss.symmetric || by_key { ", symmetric" } else { "" };
    let fields: Vec<(&str, Option<u64>)> =
        FLOW_TYPES.iter().map(|&(number, name)| (name, ethtool.hash_fields(number))).collect();
    let with_ports: Vec<&str> = fields
        .iter()
        .filter(|(_, fields)| fields.is_some_and(|fields| fields & !HASH_ADDRESSES != 0))
        .map(|&(name, _)| name)
        .collect();
    let key = match rss.key.len() {
        0 => String::new(),
        octets => format!(", key of {octets} octets"),
    };
    if with_ports.is_empty() {
        return Some(Finding::good(
            TOPIC,
            format!("{}{symmetric}{key}, by addresses only", rss.function),
        ));
    }
    let text = format!(
        "{}{symmetric}{key}, with ports for {}: fragments and extension headers go to another queue than the rest of their flow",
        rss.function,
        with_ports.join(", ")
    );
    let commands: Vec<String> = with_ports
        .iter()
        .map(|kind| format!("ethtool -N {} rx-flow-hash {kind} sd", interface.name))
        .collect();
    Some(Finding::better(
        TOPIC,
        text,
        format!(
            "{} (the probe does it while it runs); where the driver refuses, --workers 1",
            commands.join("; ")
        ),
    ))
}

/// A Toeplitz key that repeats every 16 bits gives both directions one hash.
fn is_symmetric(key: &[u8]) -> bool {
    key.len() >= 4 && key.iter().zip(&key[2..]).all(|(octet, later)| octet == later)
}

fn offloads(interface: &Interface, ethtool: &mut Ethtool) -> Vec<Finding> {
    let name = &interface.name;
    let Some(on) = ethtool.features() else { return Vec::new() };
    let is_on = |feature: &str| on.iter().any(|found| found == feature);
    let mut findings = Vec::new();
    if is_on("rx-vlan-hw-parse") {
        findings.push(Finding::better(
            "VLAN tags",
            "the NIC takes them out of the frames",
            format!("ethtool -K {name} rxvlan off (the probe does it while it runs)"),
        ));
    } else {
        findings.push(Finding::good("VLAN tags", "stay in the frames"));
    }
    let merging: Vec<&str> = [("rx-lro", "lro"), ("rx-gro-hw", "rx-gro-hw")]
        .into_iter()
        .filter(|(feature, _)| is_on(feature))
        .map(|(_, word)| word)
        .collect();
    match merging.is_empty() {
        true => findings.push(Finding::good("merging", "the NIC does not put packets together")),
        false => {
            let commands: Vec<String> =
                merging.iter().map(|word| format!("ethtool -K {name} {word} off")).collect();
            findings.push(Finding::better(
                "merging",
                format!(
                    "the NIC puts packets together ({}): counts and lengths would be wrong",
                    merging.join(", ")
                ),
                format!("{} (the probe does it while it runs)", commands.join("; ")),
            ));
        }
    }
    findings
}

/// Whether frames can have the NIC's time.
fn time(interface: &Interface, features: Option<XdpFeatures>, ethtool: &mut Ethtool) -> Finding {
    const TOPIC: &str = "time stamps";
    const INSTEAD: &str =
        "--timestamps packet: by the XDP program, some microseconds after arrival";
    let clock = ethtool.ptp_clock();
    match (features.is_some_and(|features| features.receive_time), clock) {
        (true, Some(clock)) => Finding::good(
            TOPIC,
            format!("the NIC's own can be had (/dev/ptp{clock}): --timestamps nic"),
        ),
        (true, None) => Finding::better(
            TOPIC,
            "the driver would give the NIC's own, but there is no clock to compare it with",
            INSTEAD,
        ),
        (false, clock) => {
            let driver = interface.driver().unwrap_or_else(|| "the".to_owned());
            let has = if clock.is_some() { "has a clock, but" } else { "has no clock;" };
            Finding::better(
                TOPIC,
                format!("the NIC {has} the {driver} driver does not give its time to XDP programs"),
                INSTEAD,
            )
        }
    }
}

fn memory_node(interface: &Interface) -> Option<Finding> {
    let node = interface.numa_node()?;
    let list =
        std::fs::read_to_string(format!("/sys/devices/system/node/node{node}/cpulist")).ok()?;
    let text = format!("the NIC is on node {node}: workers belong on processors {}", list.trim());
    Some(Finding::good("memory node", text))
}

/// Opens AF_XDP for a moment.
#[cfg(feature = "xdp")]
pub(super) fn tried(interface: &Interface) -> Finding {
    use crate::capture::xdp::{Options, open};
    match open(&Options::new(interface.name.clone())) {
        Err(error) => Finding::never("tried", error.to_string(), "see above"),
        Ok(sources) => {
            let Some(first) = sources.first() else { return Finding::unknown("tried", "no queue") };
            let memory = if first.huge_pages() { "huge pages" } else { "small pages" };
            let s = if sources.len() == 1 { "" } else { "s" };
            let text = format!("{} on {} queue{s}, {memory}", first.mode(), sources.len());
            match first.steps() {
                [] => Finding::good("tried", text),
                steps => {
                    let steps: Vec<String> = steps.iter().map(ToString::to_string).collect();
                    Finding::better("tried", text, format!("not to be had: {}", steps.join("; ")))
                }
            }
        }
    }
}

/// Without AF_XDP there is nothing to try.
#[cfg(not(feature = "xdp"))]
pub(super) fn tried(_: &Interface) -> Finding {
    Finding::never(
        "tried",
        "this sixtap was built without AF_XDP",
        "build with the default features",
    )
}
