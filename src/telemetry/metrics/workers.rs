//! Capture, packets and flows: by interface and queue.

use super::Metric;
use super::values::Values::{InterfaceBy, Other, Worker, WorkerBy};
use super::values::of;

/// Frames before the meter.
pub(super) const CAPTURE: &[Metric] = &[
    Metric::gauge(
        "sixtap_capture_info",
        "How frames come: mode is zero-copy, copy, generic, packet-socket or file. The value is always 1.",
        Other("interface, queue, mode", |reading, samples| {
            for worker in &reading.workers {
                let [interface, queue] = of(worker);
                samples.add(&[interface, queue, ("mode", &worker.mode)], 1);
            }
        }),
    ),
    Metric::gauge(
        "sixtap_interface_info",
        "The driver of the interface, or the kind of a virtual one. The value is always 1.",
        Other("interface, driver", |reading, samples| {
            for interface in &reading.ledger.interfaces {
                let labels =
                    [("interface", interface.name.as_str()), ("driver", &interface.driver)];
                samples.add(&labels, 1);
            }
        }),
    ),
    Metric::counter(
        "sixtap_interface_driver_statistics_total",
        "Statistics of the driver (ethtool -S) that tell of loss, grown since the start. They explain other counters and add up to nothing.",
        Other("interface, statistic", |reading, samples| {
            for interface in &reading.ledger.interfaces {
                for (statistic, grown) in &interface.statistics {
                    let labels = [("interface", interface.name.as_str()), ("statistic", statistic)];
                    samples.add(&labels, *grown);
                }
            }
        }),
    ),
    Metric::counter(
        "sixtap_interface_received_frames_total",
        "Frames the interface received, by its own counters.",
        InterfaceBy("", &[("", |worker| worker.capture.nic_received)]),
    ),
    Metric::counter(
        "sixtap_interface_lost_frames_total",
        "Frames the interface lost before the probe, by its own counters: missed (no buffer of the host), fifo (the NIC was full), over (too long for the buffers), dropped (by driver or kernel).",
        InterfaceBy(
            "cause",
            &[
                ("missed", |worker| worker.capture.nic_missed),
                ("fifo", |worker| worker.capture.nic_fifo),
                ("over", |worker| worker.capture.nic_over),
                ("dropped", |worker| worker.capture.nic_dropped),
            ],
        ),
    ),
    Metric::counter(
        "sixtap_xdp_seen_frames_total",
        "Frames the XDP program saw.",
        Worker(|worker| worker.capture.program_seen),
    ),
    Metric::counter(
        "sixtap_xdp_frames_total",
        "What the XDP program did with them: redirected to the probe, passed to the kernel, failed to redirect.",
        WorkerBy(
            "action",
            &[
                ("redirected", |worker| worker.capture.program_redirected),
                ("passed", |worker| worker.capture.program_passed),
                ("failed", |worker| worker.capture.program_failed),
            ],
        ),
    ),
    Metric::counter(
        "sixtap_capture_lost_frames_total",
        "Frames lost between interface and meter: ring_full (the worker was too slow), fill_empty (no free buffer), dropped (longer than a buffer), invalid (descriptor refused), kernel_dropped (packet socket's ring full).",
        WorkerBy(
            "cause",
            &[
                ("ring_full", |worker| worker.capture.ring_full),
                ("fill_empty", |worker| worker.capture.fill_empty),
                ("dropped", |worker| worker.capture.dropped),
                ("invalid", |worker| worker.capture.invalid),
                ("kernel_dropped", |worker| worker.capture.kernel_dropped),
            ],
        ),
    ),
    Metric::counter(
        "sixtap_capture_fill_starved_total",
        "Times the driver found no free buffer (zero-copy). Events, not frames: what was lost by it is in sixtap_interface_lost_frames_total.",
        Worker(|worker| worker.capture.fill_starved),
    ),
    Metric::counter(
        "sixtap_capture_damaged_total",
        "Records of a capture file that could not be read.",
        Worker(|worker| worker.capture.damaged),
    ),
    Metric::counter(
        "sixtap_capture_filtered_frames_total",
        "Frames that the capture filter did not select.",
        Worker(|worker| worker.capture.filtered),
    ),
    Metric::counter(
        "sixtap_capture_frames_total",
        "Frames given to the meter.",
        Worker(|worker| worker.capture.delivered),
    ),
    Metric::counter(
        "sixtap_capture_observed_frames_total",
        "Frames offered to sampling; 0 without it.",
        Worker(|worker| worker.capture.observed),
    ),
    Metric::counter(
        "sixtap_capture_unsampled_frames_total",
        "Frames that sampling passed over.",
        Worker(|worker| worker.capture.unsampled),
    ),
    Metric::counter(
        "sixtap_capture_unstamped_frames_total",
        "Frames that were to have a time of their own and have their batch's; they are metered.",
        Worker(|worker| worker.capture.unstamped),
    ),
];

/// Packets in the parser.
pub(super) const PACKETS: &[Metric] = &[
    Metric::counter(
        "sixtap_metered_frames_total",
        "Frames with a metered packet.",
        Worker(|worker| worker.parse.metered),
    ),
    Metric::counter(
        "sixtap_ignored_frames_total",
        "Frames without a packet that can be metered: not_ip (ARP, LLDP …), link_cut and ip_cut (captured octets end too early), link_type, version, length (headers that contradict themselves).",
        Other("interface, queue, reason", |reading, samples| {
            for worker in &reading.workers {
                for (reason, count) in &worker.parse.ignored {
                    let [interface, queue] = of(worker);
                    samples.add(&[interface, queue, ("reason", reason)], *count);
                }
            }
        }),
    ),
    Metric::counter(
        "sixtap_ignored_bytes_total",
        "Octets on the wire of frames that were not metered.",
        Worker(|worker| worker.parse.ignored_octets),
    ),
    Metric::counter(
        "sixtap_inner_packets_total",
        "Packets metered beyond the first of their frame (--tunnel both).",
        Worker(|worker| worker.parse.inner),
    ),
    Metric::counter(
        "sixtap_packets_total",
        "IP packets metered.",
        WorkerBy(
            "ip_version",
            &[
                ("4", |worker| worker.traffic.ipv4_packets),
                ("6", |worker| worker.traffic.ipv6_packets),
            ],
        ),
    ),
    Metric::counter(
        "sixtap_bytes_total",
        "IP octets metered: header and payload as the IP header says.",
        WorkerBy(
            "ip_version",
            &[
                ("4", |worker| worker.traffic.ipv4_octets),
                ("6", |worker| worker.traffic.ipv6_octets),
            ],
        ),
    ),
    Metric::counter(
        "sixtap_extended_packets_total",
        "IPv6 packets with at least one extension header, No Next Header among them.",
        Worker(|worker| worker.traffic.extended),
    ),
    Metric::counter(
        "sixtap_extension_header_packets_total",
        "IPv6 packets by extension header; one with several headers counts for each, so the values do not add up.",
        Other("interface, queue, header", |reading, samples| {
            for worker in &reading.workers {
                for (header, count) in &worker.traffic.headers {
                    let [interface, queue] = of(worker);
                    samples.add(&[interface, queue, ("header", header)], *count);
                }
            }
        }),
    ),
    Metric::counter(
        "sixtap_cut_chain_packets_total",
        "IPv6 packets of which the extension header chain was not walked to its end: the limit or the captured octets ended first.",
        Worker(|worker| worker.traffic.cut),
    ),
    Metric::counter(
        "sixtap_fragment_packets_total",
        "Fragments: ipv4, ipv6, and atomic (an IPv6 packet in one piece with a Fragment header, RFC 6946).",
        WorkerBy(
            "kind",
            &[
                ("ipv4", |worker| worker.traffic.ipv4_fragments),
                ("ipv6", |worker| worker.traffic.ipv6_fragments),
                ("atomic", |worker| worker.traffic.atomic_fragments),
            ],
        ),
    ),
];

/// Flows.
pub(super) const FLOWS: &[Metric] = &[
    Metric::gauge("sixtap_flows", "Flows in the table.", Worker(|worker| worker.flows.live)),
    Metric::gauge(
        "sixtap_flow_table_size",
        "Flows the table has room for.",
        Worker(|worker| worker.capacity),
    ),
    Metric::counter(
        "sixtap_flows_begun_total",
        "Flow records begun.",
        Worker(|worker| worker.flows.created),
    ),
    Metric::counter(
        "sixtap_flows_ended_total",
        "Flow records ended, by flowEndReason: idle, active, detected (FIN or RST), forced (the probe stopped), resources (the table was full).",
        WorkerBy(
            "reason",
            &[
                ("idle", |worker| worker.flows.ended_idle),
                ("active", |worker| worker.flows.ended_active),
                ("detected", |worker| worker.flows.ended_detected),
                ("forced", |worker| worker.flows.ended_forced),
                ("resources", |worker| worker.flows.ended_resources),
            ],
        ),
    ),
    Metric::counter(
        "sixtap_flow_packets_total",
        "Packets in ended flow records.",
        Worker(|worker| worker.flows.ended_packets),
    ),
    Metric::counter(
        "sixtap_flow_bytes_total",
        "IP octets in ended flow records.",
        Worker(|worker| worker.flows.ended_octets),
    ),
    Metric::counter(
        "sixtap_flows_lost_total",
        "Flow records lost on the way to the exporter: it was too slow, and no batch was free.",
        Worker(|worker| worker.flows.lost_queue),
    ),
    Metric::counter(
        "sixtap_flow_packets_lost_total",
        "Packets in those lost records.",
        Worker(|worker| worker.flows.lost_queue_packets),
    ),
    Metric::counter(
        "sixtap_flow_details_lost_total",
        "Flows whose facts beyond the plain ones found no room.",
        Worker(|worker| worker.flows.extras_lost),
    ),
    Metric::counter(
        "sixtap_untold_packets_total",
        "Packets of which the record does not name the chain or tunnel, because there were more distinct ones than are told apart.",
        WorkerBy(
            "what",
            &[
                ("chain", |worker| worker.flows.chains_overflow),
                ("tunnel", |worker| worker.flows.tunnels_overflow),
            ],
        ),
    ),
    Metric::counter(
        "sixtap_fragments_unjudged_total",
        "Fragments that were not held against the earlier ones of their datagram, there being too many.",
        Worker(|worker| worker.flows.fragments_unjudged),
    ),
    Metric::gauge(
        "sixtap_fragments_held",
        "Fragments that wait for the first of their datagram.",
        Worker(|worker| worker.flows.held_packets),
    ),
    Metric::counter(
        "sixtap_fragments_without_ports_total",
        "Fragments metered without ports: orphaned (the first never came), overflow (no room to wait for it).",
        WorkerBy(
            "cause",
            &[
                ("orphaned", |worker| worker.flows.fragments_orphaned),
                ("overflow", |worker| worker.flows.fragments_overflow),
            ],
        ),
    ),
];
