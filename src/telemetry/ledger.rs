//! The ledger: every packet and every record in exactly one line (DESIGN section 5).
//!
//! In: the counters of all workers and collectors at one moment. Out: equations that must hold, as text, as JSON, and as a
//! verdict. At rest (sources drained, tables empty) they hold exactly; a live reading may be short of what is on its way.

use super::CollectorCounters;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Frames before the meter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureSide {
    /// Interface: frames received, by its own counters.
    pub nic_received: u64,
    /// Interface: frames that met no buffer of the host (`rx_missed_errors`).
    pub nic_missed: u64,
    /// Interface: frames that met no room in the NIC (`rx_fifo_errors`).
    pub nic_fifo: u64,
    /// Interface: frames that did not fit the buffers there were (`rx_over_errors`).
    pub nic_over: u64,
    /// Interface: frames dropped by driver or kernel before the probe (`rx_dropped`).
    pub nic_dropped: u64,
    /// XDP program: frames seen.
    pub program_seen: u64,
    /// XDP program: frames redirected to the socket.
    pub program_redirected: u64,
    /// XDP program: frames passed to the kernel.
    pub program_passed: u64,
    /// XDP program: redirects that failed.
    pub program_failed: u64,
    /// Socket: receive ring full.
    pub ring_full: u64,
    /// Socket: fill ring empty.
    pub fill_empty: u64,
    /// Socket, zero-copy: how often the driver found the fill ring empty. Events, not frames: in no sum.
    pub fill_starved: u64,
    /// Socket: dropped for other reasons.
    pub dropped: u64,
    /// Socket: invalid descriptors.
    pub invalid: u64,
    /// Packet socket: ring full.
    pub kernel_dropped: u64,
    /// Frames that the capture filter did not select.
    pub filtered: u64,
    /// Frames offered to sampling; 0 without it.
    pub observed: u64,
    /// Frames that sampling passed over.
    pub unsampled: u64,
    /// Frames given to the meter.
    pub delivered: u64,
    /// Frames that were to have a time of their own and have their batch's. Delivered: in no sum.
    pub unstamped: u64,
    /// Records of a capture file that could not be read.
    pub damaged: u64,
}

/// Frames and packets in the parser.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ParseSide {
    /// Frames with a metered packet.
    pub metered: u64,
    /// Further packets of those frames (`--tunnel both`).
    pub inner: u64,
    /// Frames not metered, by reason.
    pub ignored: Vec<(&'static str, u64)>,
    /// Octets on the wire of frames not metered, but for those without an IP packet.
    pub ignored_octets: u64,
}

/// Packets in flows, and flow records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowSide {
    /// Records begun.
    pub created: u64,
    /// Records in the table.
    pub live: u64,
    /// Records ended: idle timeout.
    pub ended_idle: u64,
    /// Records ended: active timeout.
    pub ended_active: u64,
    /// Records ended: end of flow detected.
    pub ended_detected: u64,
    /// Records ended: forced end.
    pub ended_forced: u64,
    /// Records ended: lack of resources.
    pub ended_resources: u64,
    /// Packets in ended records.
    pub ended_packets: u64,
    /// IP octets in ended records.
    pub ended_octets: u64,
    /// Packets in the table.
    pub resident_packets: u64,
    /// Packets held as fragments without their first.
    pub held_packets: u64,
    /// Records lost between the meter and the exporter.
    pub lost_queue: u64,
    /// Packets in them.
    pub lost_queue_packets: u64,
    /// Flows whose facts beyond the plain ones found no room.
    pub extras_lost: u64,
    /// Fragments metered without ports because a bound was reached.
    pub fragments_overflow: u64,
    /// Fragments whose first never came.
    pub fragments_orphaned: u64,
    /// Fragments not held against the earlier ones of their datagram, there being too many.
    pub fragments_unjudged: u64,
    /// Packets whose chain was beyond those told apart.
    pub chains_overflow: u64,
    /// Packets whose tunnel was beyond those told apart.
    pub tunnels_overflow: u64,
}

/// How frames come from one interface.
#[derive(Clone, Debug, Default, Serialize)]
pub struct InterfaceSide {
    /// Its name.
    pub name: String,
    /// Its driver, or the kind of a virtual interface.
    pub driver: String,
    /// `zero-copy`, `copy`, `generic` or `packet-socket`.
    pub mode: &'static str,
    /// The mode in full.
    pub details: String,
    /// Better modes that could not be had, each with its reason.
    pub not_had: Vec<String>,
    /// Receive queues that are read.
    pub queues: Vec<u32>,
    /// The driver's statistics that tell of loss, grown since the start. They explain the counters above, and are in no sum.
    pub statistics: Vec<(String, u64)>,
}

/// Everything that was counted.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Ledger {
    /// How frames come, by interface; none of a capture file.
    pub interfaces: Vec<InterfaceSide>,
    /// Before the meter.
    pub capture: CaptureSide,
    /// In the parser.
    pub parse: ParseSide,
    /// In flows.
    pub flows: FlowSide,
    /// Behind the meter, by collector.
    pub collectors: Vec<(String, CollectorCounters)>,
}

/// `left = right`, in words and numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Equation {
    /// What is said.
    pub text: String,
    /// Left side.
    pub left: u64,
    /// Right side.
    pub right: u64,
}

impl Equation {
    fn new(text: impl Into<String>, left: u64, right: u64) -> Self {
        Self { text: text.into(), left, right }
    }

    /// Whether it holds.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.left == self.right
    }
}

impl Ledger {
    /// The equations, in the order in which a packet meets them.
    #[must_use]
    pub fn equations(&self) -> Vec<Equation> {
        let Self { capture, parse, flows, collectors, .. } = self;
        let mut list = Vec::new();
        if capture.program_seen > 0 {
            list.push(Equation::new(
                "program saw = redirected + passed + failed",
                capture.program_seen,
                capture.program_redirected + capture.program_passed + capture.program_failed,
            ));
            list.push(Equation::new(
                "redirected = delivered + filtered + unsampled + ring full + fill empty + dropped + invalid",
                capture.program_redirected,
                capture.delivered
                    + capture.filtered
                    + capture.unsampled
                    + capture.ring_full
                    + capture.fill_empty
                    + capture.dropped
                    + capture.invalid,
            ));
        }
        if capture.observed > 0 {
            list.push(Equation::new(
                "frames offered to sampling = delivered + not chosen",
                capture.observed,
                capture.delivered + capture.unsampled,
            ));
        }
        let ignored: u64 = parse.ignored.iter().map(|reason| reason.1).sum();
        list.push(Equation::new(
            "frames delivered = metered + ignored",
            capture.delivered,
            parse.metered + ignored,
        ));
        list.push(Equation::new(
            "packets metered = in ended records + in the table + held",
            parse.metered + parse.inner,
            flows.ended_packets + flows.resident_packets + flows.held_packets,
        ));
        let ended = flows.ended();
        list.push(Equation::new("records begun = ended + live", flows.created, ended + flows.live));
        for (name, collector) in collectors {
            if collector.group == 0 {
                list.push(Equation::new(
                    match collector.absent {
                        0 => format!("{name}: records ended = given to it + lost in the queue"),
                        _ => format!(
                            "{name}: records ended = given to it + not in its time + lost in the queue"
                        ),
                    },
                    ended,
                    collector.records + collector.absent + flows.lost_queue,
                ));
            }
            list.push(Equation::new(
                format!("{name}: records = sent + lost + held"),
                collector.records,
                collector.sent + collector.lost.total() + collector.moved + collector.held(),
            ));
        }
        let groups = collectors.iter().map(|(_, collector)| collector.group).max().unwrap_or(0);
        for group in 1..=groups {
            let members = || collectors.iter().map(|(_, of)| of).filter(|of| of.group == group);
            let given: u64 = members().map(|member| member.records).sum();
            let moved: u64 = members().map(|member| member.moved).sum();
            list.push(Equation::new(
                format!("group {group}: records ended = given to one of it + lost in the queue"),
                ended,
                given.saturating_sub(moved) + flows.lost_queue,
            ));
        }
        list
    }

    /// Whether every equation holds.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.equations().iter().all(Equation::holds)
    }

    /// Frames and records that were lost, whatever the cause.
    #[must_use]
    pub fn lost(&self) -> u64 {
        let lost: u64 = self.collectors.iter().map(|(_, collector)| collector.lost.total()).sum();
        self.capture.lost() + self.flows.lost_queue + lost
    }

    /// One JSON object: the counters, the equations, and the verdict.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        let ignored: serde_json::Map<_, _> = self
            .parse
            .ignored
            .iter()
            .map(|(name, count)| ((*name).to_owned(), (*count).into()))
            .collect();
        if let Some(object) = value.as_object_mut() {
            object["parse"]["ignored"] = ignored.into();
            for (number, interface) in self.interfaces.iter().enumerate() {
                let statistics: serde_json::Map<_, _> = interface
                    .statistics
                    .iter()
                    .map(|(name, grown)| (name.clone(), (*grown).into()))
                    .collect();
                object["interfaces"][number]["statistics"] = statistics.into();
            }
            let equations = serde_json::to_value(self.equations()).unwrap_or_default();
            object.insert("equations".into(), equations);
            object.insert("balances".into(), self.balances().into());
            object.insert("lost".into(), self.lost().into());
        }
        value
    }
}

impl CaptureSide {
    /// Frames lost before the meter, whatever the cause.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.program_failed
            + self.ring_full
            + self.fill_empty
            + self.dropped
            + self.invalid
            + self.kernel_dropped
            + self.nic_missed
            + self.nic_fifo
            + self.nic_over
            + self.nic_dropped
    }
}

impl FlowSide {
    /// Records ended, whatever the reason.
    #[must_use]
    pub const fn ended(&self) -> u64 {
        self.ended_idle
            + self.ended_active
            + self.ended_detected
            + self.ended_forced
            + self.ended_resources
    }
}

impl Ledger {
    fn write(&self, out: &mut fmt::Formatter<'_>, live: bool) -> fmt::Result {
        let mut lines = Lines { out };
        let Self { interfaces, capture, parse, flows, collectors } = self;
        for interface in interfaces {
            lines.interface(interface)?;
        }
        lines.section("capture")?;
        lines.some("interface received", capture.nic_received)?;
        lines.some("interface missed: no buffer", capture.nic_missed)?;
        lines.some("interface missed: NIC full", capture.nic_fifo)?;
        lines.some("interface missed: too long", capture.nic_over)?;
        lines.some("interface dropped", capture.nic_dropped)?;
        lines.some("XDP program saw", capture.program_seen)?;
        lines.some("  redirected", capture.program_redirected)?;
        lines.some("  passed on", capture.program_passed)?;
        lines.some("  redirect failed", capture.program_failed)?;
        lines.some("receive ring full", capture.ring_full)?;
        lines.some("fill ring empty", capture.fill_empty)?;
        lines.some("  times the driver found it empty", capture.fill_starved)?;
        lines.some("dropped by the socket", capture.dropped)?;
        lines.some("invalid descriptors", capture.invalid)?;
        lines.some("packet socket ring full", capture.kernel_dropped)?;
        lines.some("not selected by the filter", capture.filtered)?;
        lines.some("not chosen by sampling", capture.unsampled)?;
        lines.some("damaged", capture.damaged)?;
        lines.line("frames delivered", capture.delivered)?;
        lines.some("  without a time of their own", capture.unstamped)?;
        lines.section("packets")?;
        lines.line("metered", parse.metered)?;
        lines.some("inner, metered too", parse.inner)?;
        for (reason, count) in &parse.ignored {
            lines.some(&format!("ignored: {reason}"), *count)?;
        }
        lines.section("flows")?;
        lines.line("records begun", flows.created)?;
        lines.some("live", flows.live)?;
        lines.some("ended: idle", flows.ended_idle)?;
        lines.some("ended: active timeout", flows.ended_active)?;
        lines.some("ended: end detected", flows.ended_detected)?;
        lines.some("ended: forced", flows.ended_forced)?;
        lines.some("ended: table full", flows.ended_resources)?;
        lines.some("lost: queue to the exporter full", flows.lost_queue)?;
        lines.some("facts beyond the plain ones lost", flows.extras_lost)?;
        lines.some("fragments without their first", flows.fragments_orphaned)?;
        lines.some("fragments beyond the bounds", flows.fragments_overflow)?;
        lines.some("fragments not compared: too many", flows.fragments_unjudged)?;
        lines.some("packets of chains not told apart", flows.chains_overflow)?;
        lines.some("packets of tunnels not told apart", flows.tunnels_overflow)?;
        for (name, collector) in collectors {
            lines.section(name)?;
            lines.line("records sent", collector.sent)?;
            lines.some("not in its time", collector.absent)?;
            lines.some("records held", collector.held())?;
            lines.some("lost: not encoded", collector.lost.encode)?;
            lines.some("lost: queue full", collector.lost.queue)?;
            lines.some("lost: not sent", collector.lost.send)?;
            lines.some("given to another of the group", collector.moved)?;
            lines.some("options records", collector.options)?;
            lines.line("messages", collector.messages)?;
            lines.line("octets", collector.octets)?;
        }
        lines.section("balance")?;
        for equation in self.equations() {
            let Equation { text, left, right } = &equation;
            if equation.holds() {
                writeln!(lines.out, "  {text}: {left} = {right}")?;
            } else if live {
                let between = left.abs_diff(*right);
                writeln!(
                    lines.out,
                    "  {text}: {left}, {right}; {between} under way or in live flows"
                )?;
            } else {
                writeln!(lines.out, "  {text}: {left} IS NOT {right}")?;
            }
        }
        Ok(())
    }
}

/// Lines for people: what is not zero, then the equations, which hold at rest.
impl fmt::Display for Ledger {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(out, false)
    }
}

/// A ledger of a run that goes on: threads publish at their own times, so its sides differ by what is under way.
#[derive(Clone, Copy, Debug)]
pub struct LiveLedger<'a>(pub &'a Ledger);

impl fmt::Display for LiveLedger<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(out, true)
    }
}

impl LiveLedger<'_> {
    /// One JSON object: the counters, without a verdict.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let mut value = self.0.to_json();
        if let Some(object) = value.as_object_mut() {
            object.remove("balances");
            object.insert("live".into(), true.into());
        }
        value
    }
}

struct Lines<'a, 'b> {
    out: &'a mut fmt::Formatter<'b>,
}

impl Lines<'_, '_> {
    fn section(&mut self, name: &str) -> fmt::Result {
        writeln!(self.out, "{name}")
    }

    fn interface(&mut self, interface: &InterfaceSide) -> fmt::Result {
        let InterfaceSide { name, driver, details, queues, .. } = interface;
        write!(self.out, "{name}: {details}")?;
        if !driver.is_empty() {
            write!(self.out, " ({driver})")?;
        }
        match queues.len() {
            0 => writeln!(self.out)?,
            1 => writeln!(self.out, ", 1 queue")?,
            count => writeln!(self.out, ", {count} queues")?,
        }
        for reason in &interface.not_had {
            writeln!(self.out, "  not to be had: {reason}")?;
        }
        for (statistic, grown) in &interface.statistics {
            self.line(statistic, *grown)?;
        }
        Ok(())
    }

    fn line(&mut self, name: &str, value: u64) -> fmt::Result {
        writeln!(self.out, "  {name:<34}{value:>16}")
    }

    fn some(&mut self, name: &str, value: u64) -> fmt::Result {
        if value == 0 { Ok(()) } else { self.line(name, value) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balanced() -> Ledger {
        Ledger {
            capture: CaptureSide { delivered: 10, ..CaptureSide::default() },
            parse: ParseSide { metered: 8, ignored: vec![("not_ip", 2)], ..ParseSide::default() },
            flows: FlowSide {
                created: 3,
                ended_idle: 2,
                live: 1,
                ended_packets: 6,
                resident_packets: 1,
                held_packets: 1,
                ..FlowSide::default()
            },
            collectors: vec![(
                "udp".into(),
                CollectorCounters { records: 2, sent: 2, ..CollectorCounters::default() },
            )],
            ..Ledger::default()
        }
    }

    #[test]
    fn a_balanced_ledger_balances() {
        assert!(balanced().balances(), "{}", balanced());
    }

    #[test]
    fn how_frames_come_is_told() {
        let mut ledger = balanced();
        ledger.interfaces.push(InterfaceSide {
            name: "eth1".into(),
            driver: "igb".into(),
            mode: "copy",
            details: "native, copy, single buffer".into(),
            not_had: vec!["native, zero-copy: no memory".into()],
            queues: vec![0, 1],
            statistics: vec![("rx_no_buffer_count".into(), 7)],
        });
        let text = ledger.to_string();
        assert!(text.starts_with("eth1: native, copy, single buffer (igb), 2 queues\n"), "{text}");
        assert!(text.contains("  not to be had: native, zero-copy: no memory\n"), "{text}");
        let json = ledger.to_json();
        assert_eq!(json["interfaces"][0]["mode"], "copy");
        assert_eq!(json["interfaces"][0]["statistics"]["rx_no_buffer_count"], 7);
    }

    #[test]
    fn collectors_of_a_group_share_the_records() {
        let mut ledger = balanced();
        let member = |records, moved| CollectorCounters {
            records,
            moved,
            sent: records - moved,
            group: 1,
            ..CollectorCounters::default()
        };
        ledger.collectors.push(("first".into(), member(2, 1)));
        ledger.collectors.push(("second".into(), member(1, 0)));
        assert!(ledger.balances(), "{ledger}");
        ledger.collectors[2].1.records += 1;
        assert!(!ledger.balances(), "{ledger}");
    }

    #[test]
    fn one_packet_more_or_less_anywhere_tips_it() {
        type Change = fn(&mut Ledger);
        let changes: [Change; 9] = [
            |ledger| ledger.capture.observed = 9,
            |ledger| (ledger.capture.observed, ledger.capture.unsampled) = (11, 2),
            |ledger| ledger.capture.delivered += 1,
            |ledger| ledger.parse.metered -= 1,
            |ledger| ledger.parse.ignored[0].1 += 1,
            |ledger| ledger.flows.ended_packets += 1,
            |ledger| ledger.flows.live += 1,
            |ledger| ledger.flows.lost_queue += 1,
            |ledger| ledger.collectors[0].1.records += 1,
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut ledger = balanced();
            change(&mut ledger);
            assert!(!ledger.balances(), "change {number} goes unseen");
            assert!(ledger.to_string().contains("IS NOT"));
        }
    }
}
