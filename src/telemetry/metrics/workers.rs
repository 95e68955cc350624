//! Capture, packets and flows: by interface and queue.

use super::super::reading::{Reading, WorkerReading};
use super::Metric;
use super::text::Samples;

const QUEUE: &str = "interface, queue";

/// One sample for each worker.
fn each(reading: &Reading, samples: &mut Samples<'_>, value: fn(&WorkerReading) -> u64) {
    for worker in &reading.workers {
        samples.add(&[("interface", &worker.interface), ("queue", &worker.queue)], value(worker));
    }
}

/// A value of one label, and what to count for it.
type Line = (&'static str, fn(&WorkerReading) -> u64);

/// One sample for each worker and line.
fn lines(reading: &Reading, samples: &mut Samples<'_>, label: &str, lines: &[Line]) {
    for worker in &reading.workers {
        for (line, value) in lines {
            let labels =
                [("interface", worker.interface.as_str()), ("queue", &worker.queue), (label, line)];
            samples.add(&labels, value(worker));
        }
    }
}

/// The interface's own counters: its workers' sum, only one of whom has them.
fn interfaces(reading: &Reading, samples: &mut Samples<'_>, label: &str, lines: &[Line]) {
    let mut seen: Vec<&str> = Vec::new();
    for worker in &reading.workers {
        let name = worker.interface.as_str();
        if worker.mode == "file" || seen.contains(&name) {
            continue;
        }
        seen.push(name);
        let of_interface = || reading.workers.iter().filter(|worker| worker.interface == name);
        for (line, value) in lines {
            let sum = of_interface().map(value).sum();
            if label.is_empty() {
                samples.add(&[("interface", name)], sum);
            } else {
                samples.add(&[("interface", name), (label, line)], sum);
            }
        }
    }
}

/// Frames before the meter.
pub(super) const CAPTURE: &[Metric] = &[
    Metric::gauge(
        "sixtap_capture_info",
        "interface, queue, mode",
        "How frames come: mode is zero-copy, copy, generic, packet-socket or file. The value is always 1.",
        |reading, samples| {
            for worker in &reading.workers {
                let labels = [
                    ("interface", worker.interface.as_str()),
                    ("queue", &worker.queue),
                    ("mode", &worker.mode),
                ];
                samples.add(&labels, 1);
            }
        },
    ),
    Metric::gauge(
        "sixtap_interface_info",
        "interface, driver",
        "The driver of the interface, or the kind of a virtual one. The value is always 1.",
        |reading, samples| {
            for interface in &reading.ledger.interfaces {
                let labels =
                    [("interface", interface.name.as_str()), ("driver", &interface.driver)];
                samples.add(&labels, 1);
            }
        },
    ),
    Metric::counter(
        "sixtap_interface_driver_statistics_total",
        "interface, statistic",
        "Statistics of the driver (ethtool -S) that tell of loss, grown since the start. They explain other counters and add up to nothing.",
        |reading, samples| {
            for interface in &reading.ledger.interfaces {
                for (statistic, grown) in &interface.statistics {
                    let labels = [("interface", interface.name.as_str()), ("statistic", statistic)];
                    samples.add(&labels, *grown);
                }
            }
        },
    ),
    Metric::counter(
        "sixtap_interface_received_frames_total",
        "interface",
        "Frames the interface received, by its own counters.",
        |reading, samples| {
            interfaces(reading, samples, "", &[("", |worker| worker.capture.nic_received)]);
        },
    ),
    Metric::counter(
        "sixtap_interface_lost_frames_total",
        "interface, cause",
        "Frames the interface lost before the probe, by its own counters: missed (no buffer of the host), fifo (the NIC was full), over (too long for the buffers), dropped (by driver or kernel).",
        |reading, samples| {
            interfaces(
                reading,
                samples,
                "cause",
                &[
                    ("missed", |worker| worker.capture.nic_missed),
                    ("fifo", |worker| worker.capture.nic_fifo),
                    ("over", |worker| worker.capture.nic_over),
                    ("dropped", |worker| worker.capture.nic_dropped),
                ],
            );
        },
    ),
    Metric::counter(
        "sixtap_xdp_seen_frames_total",
        QUEUE,
        "Frames the XDP program saw.",
        |reading, samples| each(reading, samples, |worker| worker.capture.program_seen),
    ),
    Metric::counter(
        "sixtap_xdp_frames_total",
        "interface, queue, action",
        "What the XDP program did with them: redirected to the probe, passed to the kernel, failed to redirect.",
        |reading, samples| {
            lines(
                reading,
                samples,
                "action",
                &[
                    ("redirected", |worker| worker.capture.program_redirected),
                    ("passed", |worker| worker.capture.program_passed),
                    ("failed", |worker| worker.capture.program_failed),
                ],
            );
        },
    ),
    Metric::counter(
        "sixtap_capture_lost_frames_total",
        "interface, queue, cause",
        "Frames lost between interface and meter: ring_full (the worker was too slow), fill_empty (no free buffer), dropped (longer than a buffer), invalid (descriptor refused), kernel_dropped (packet socket's ring full).",
        |reading, samples| {
            lines(
                reading,
                samples,
                "cause",
                &[
                    ("ring_full", |worker| worker.capture.ring_full),
                    ("fill_empty", |worker| worker.capture.fill_empty),
                    ("dropped", |worker| worker.capture.dropped),
                    ("invalid", |worker| worker.capture.invalid),
                    ("kernel_dropped", |worker| worker.capture.kernel_dropped),
                ],
            );
        },
    ),
    Metric::counter(
        "sixtap_capture_fill_starved_total",
        QUEUE,
        "Times the driver found no free buffer (zero-copy). Events, not frames: what was lost by it is in sixtap_interface_lost_frames_total.",
        |reading, samples| each(reading, samples, |worker| worker.capture.fill_starved),
    ),
    Metric::counter(
        "sixtap_capture_damaged_total",
        QUEUE,
        "Records of a capture file that could not be read.",
        |reading, samples| each(reading, samples, |worker| worker.capture.damaged),
    ),
    Metric::counter(
        "sixtap_capture_filtered_frames_total",
        QUEUE,
        "Frames that the capture filter did not select.",
        |reading, samples| each(reading, samples, |worker| worker.capture.filtered),
    ),
    Metric::counter(
        "sixtap_capture_frames_total",
        QUEUE,
        "Frames given to the meter.",
        |reading, samples| each(reading, samples, |worker| worker.capture.delivered),
    ),
    Metric::counter(
        "sixtap_capture_observed_frames_total",
        QUEUE,
        "Frames offered to sampling; 0 without it.",
        |reading, samples| each(reading, samples, |worker| worker.capture.observed),
    ),
    Metric::counter(
        "sixtap_capture_unsampled_frames_total",
        QUEUE,
        "Frames that sampling passed over.",
        |reading, samples| each(reading, samples, |worker| worker.capture.unsampled),
    ),
    Metric::counter(
        "sixtap_capture_unstamped_frames_total",
        QUEUE,
        "Frames that were to have a time of their own and have their batch's; they are metered.",
        |reading, samples| each(reading, samples, |worker| worker.capture.unstamped),
    ),
];

/// Packets in the parser.
pub(super) const PACKETS: &[Metric] = &[
    Metric::counter(
        "sixtap_metered_frames_total",
        QUEUE,
        "Frames with a metered packet.",
        |reading, samples| each(reading, samples, |worker| worker.parse.metered),
    ),
    Metric::counter(
        "sixtap_ignored_frames_total",
        "interface, queue, reason",
        "Frames without a packet that can be metered: not_ip (ARP, LLDP …), link_cut and ip_cut (captured octets end too early), link_type, version, length (headers that contradict themselves).",
        |reading, samples| {
            for worker in &reading.workers {
                for (reason, count) in &worker.parse.ignored {
                    let labels = [
                        ("interface", worker.interface.as_str()),
                        ("queue", &worker.queue),
                        ("reason", reason),
                    ];
                    samples.add(&labels, *count);
                }
            }
        },
    ),
    Metric::counter(
        "sixtap_ignored_bytes_total",
        QUEUE,
        "Octets on the wire of frames that were not metered.",
        |reading, samples| each(reading, samples, |worker| worker.parse.ignored_octets),
    ),
    Metric::counter(
        "sixtap_inner_packets_total",
        QUEUE,
        "Packets metered beyond the first of their frame (--tunnel both).",
        |reading, samples| each(reading, samples, |worker| worker.parse.inner),
    ),
    Metric::counter(
        "sixtap_packets_total",
        "interface, queue, ip_version",
        "IP packets metered.",
        |reading, samples| {
            lines(
                reading,
                samples,
                "ip_version",
                &[
                    ("4", |worker| worker.traffic.ipv4_packets),
                    ("6", |worker| worker.traffic.ipv6_packets),
                ],
            );
        },
    ),
    Metric::counter(
        "sixtap_bytes_total",
        "interface, queue, ip_version",
        "IP octets metered: header and payload as the IP header says.",
        |reading, samples| {
            lines(
                reading,
                samples,
                "ip_version",
                &[
                    ("4", |worker| worker.traffic.ipv4_octets),
                    ("6", |worker| worker.traffic.ipv6_octets),
                ],
            );
        },
    ),
    Metric::counter(
        "sixtap_extended_packets_total",
        QUEUE,
        "IPv6 packets with at least one extension header, No Next Header among them.",
        |reading, samples| each(reading, samples, |worker| worker.traffic.extended),
    ),
    Metric::counter(
        "sixtap_extension_header_packets_total",
        "interface, queue, header",
        "IPv6 packets by extension header; one with several headers counts for each, so the values do not add up.",
        |reading, samples| {
            for worker in &reading.workers {
                for (header, count) in &worker.traffic.headers {
                    let labels = [
                        ("interface", worker.interface.as_str()),
                        ("queue", &worker.queue),
                        ("header", header),
                    ];
                    samples.add(&labels, *count);
                }
            }
        },
    ),
    Metric::counter(
        "sixtap_cut_chain_packets_total",
        QUEUE,
        "IPv6 packets of which the extension header chain was not walked to its end: the limit or the captured octets ended first.",
        |reading, samples| each(reading, samples, |worker| worker.traffic.cut),
    ),
    Metric::counter(
        "sixtap_fragment_packets_total",
        "interface, queue, kind",
        "Fragments: ipv4, ipv6, and atomic (an IPv6 packet in one piece with a Fragment header, RFC 6946).",
        |reading, samples| {
            lines(
                reading,
                samples,
                "kind",
                &[
                    ("ipv4", |worker| worker.traffic.ipv4_fragments),
                    ("ipv6", |worker| worker.traffic.ipv6_fragments),
                    ("atomic", |worker| worker.traffic.atomic_fragments),
                ],
            );
        },
    ),
];

/// Flows.
pub(super) const FLOWS: &[Metric] = &[
    Metric::gauge("sixtap_flows", QUEUE, "Flows in the table.", |reading, samples| {
        each(reading, samples, |worker| worker.flows.live);
    }),
    Metric::gauge(
        "sixtap_flow_table_size",
        QUEUE,
        "Flows the table has room for.",
        |reading, samples| each(reading, samples, |worker| worker.capacity),
    ),
    Metric::counter(
        "sixtap_flows_begun_total",
        QUEUE,
        "Flow records begun.",
        |reading, samples| each(reading, samples, |worker| worker.flows.created),
    ),
    Metric::counter(
        "sixtap_flows_ended_total",
        "interface, queue, reason",
        "Flow records ended, by flowEndReason: idle, active, detected (FIN or RST), forced (the probe stopped), resources (the table was full).",
        |reading, samples| {
            lines(
                reading,
                samples,
                "reason",
                &[
                    ("idle", |worker| worker.flows.ended_idle),
                    ("active", |worker| worker.flows.ended_active),
                    ("detected", |worker| worker.flows.ended_detected),
                    ("forced", |worker| worker.flows.ended_forced),
                    ("resources", |worker| worker.flows.ended_resources),
                ],
            );
        },
    ),
    Metric::counter(
        "sixtap_flow_packets_total",
        QUEUE,
        "Packets in ended flow records.",
        |reading, samples| each(reading, samples, |worker| worker.flows.ended_packets),
    ),
    Metric::counter(
        "sixtap_flow_bytes_total",
        QUEUE,
        "IP octets in ended flow records.",
        |reading, samples| each(reading, samples, |worker| worker.flows.ended_octets),
    ),
    Metric::counter(
        "sixtap_flows_lost_total",
        QUEUE,
        "Flow records lost on the way to the exporter: it was too slow, and no batch was free.",
        |reading, samples| each(reading, samples, |worker| worker.flows.lost_queue),
    ),
    Metric::counter(
        "sixtap_flow_packets_lost_total",
        QUEUE,
        "Packets in those lost records.",
        |reading, samples| each(reading, samples, |worker| worker.flows.lost_queue_packets),
    ),
    Metric::counter(
        "sixtap_flow_details_lost_total",
        QUEUE,
        "Flows whose facts beyond the plain ones found no room.",
        |reading, samples| each(reading, samples, |worker| worker.flows.extras_lost),
    ),
    Metric::counter(
        "sixtap_untold_packets_total",
        "interface, queue, what",
        "Packets of which the record does not name the chain or tunnel, because there were more distinct ones than are told apart.",
        |reading, samples| {
            lines(
                reading,
                samples,
                "what",
                &[
                    ("chain", |worker| worker.flows.chains_overflow),
                    ("tunnel", |worker| worker.flows.tunnels_overflow),
                ],
            );
        },
    ),
    Metric::counter(
        "sixtap_fragments_unjudged_total",
        QUEUE,
        "Fragments that were not held against the earlier ones of their datagram, there being too many.",
        |reading, samples| each(reading, samples, |worker| worker.flows.fragments_unjudged),
    ),
    Metric::gauge(
        "sixtap_fragments_held",
        QUEUE,
        "Fragments that wait for the first of their datagram.",
        |reading, samples| each(reading, samples, |worker| worker.flows.held_packets),
    ),
    Metric::counter(
        "sixtap_fragments_without_ports_total",
        "interface, queue, cause",
        "Fragments metered without ports: orphaned (the first never came), overflow (no room to wait for it).",
        |reading, samples| {
            lines(
                reading,
                samples,
                "cause",
                &[
                    ("orphaned", |worker| worker.flows.fragments_orphaned),
                    ("overflow", |worker| worker.flows.fragments_overflow),
                ],
            );
        },
    ),
];
