//! What became of the records, by collector.

use super::super::CollectorCounters;
use super::Metric;
use super::values::Values::{Collector, Other};

/// Nanoseconds since 1970 as seconds.
fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

/// Behind the meter.
pub(super) const COLLECTORS: &[Metric] = &[
    Metric::counter(
        "sixtap_collector_records_total",
        "Flow records made for the collector: sent, lost, moved and held ones together.",
        Collector(|collector| collector.records),
    ),
    Metric::counter(
        "sixtap_collector_absent_records_total",
        "Flow records made while the collector was not in the configuration.",
        Collector(|collector| collector.absent),
    ),
    Metric::counter(
        "sixtap_collector_sent_records_total",
        "Flow records handed to the transport: the datagram was sent, the connection or file took the octets.",
        Collector(|collector| collector.sent),
    ),
    Metric::counter(
        "sixtap_collector_lost_records_total",
        "Flow records lost: encode (longer than a message), queue (collector slow or away, queue full), send (refused by the transport).",
        Other("collector, cause", |reading, samples| {
            for (name, counters) in &reading.ledger.collectors {
                let lost = counters.lost;
                for (cause, count) in
                    [("encode", lost.encode), ("queue", lost.queue), ("send", lost.send)]
                {
                    samples.add(&[("collector", name), ("cause", cause)], count);
                }
            }
        }),
    ),
    Metric::counter(
        "sixtap_collector_lost_packets_total",
        "Packets in the lost flow records (notSentPacketTotalCount).",
        Collector(|collector| collector.not_sent_packets),
    ),
    Metric::counter(
        "sixtap_collector_lost_bytes_total",
        "IP octets in the lost flow records (notSentOctetTotalCount).",
        Collector(|collector| collector.not_sent_octets),
    ),
    Metric::counter(
        "sixtap_collector_moved_records_total",
        "Flow records given to another collector of the group, which counts them too.",
        Collector(|collector| collector.moved),
    ),
    Metric::gauge(
        "sixtap_collector_held_records",
        "Flow records that wait for the collector.",
        Collector(CollectorCounters::held),
    ),
    Metric::gauge(
        "sixtap_collector_first_loss_timestamp_seconds",
        "When the first flow record was lost, seconds since 1970; 0 if none was.",
        Other("collector", |reading, samples| {
            for (name, counters) in &reading.ledger.collectors {
                samples.add_fraction(&[("collector", name)], seconds(counters.first_lost));
            }
        }),
    ),
    Metric::gauge(
        "sixtap_collector_last_loss_timestamp_seconds",
        "When the last flow record was lost, seconds since 1970; 0 if none was.",
        Other("collector", |reading, samples| {
            for (name, counters) in &reading.ledger.collectors {
                samples.add_fraction(&[("collector", name)], seconds(counters.last_lost));
            }
        }),
    ),
    Metric::counter(
        "sixtap_collector_options_records_total",
        "Options records sent: statistics, element types, keys, names.",
        Collector(|collector| collector.options),
    ),
    Metric::counter(
        "sixtap_collector_messages_total",
        "Messages sent (exportedMessageTotalCount).",
        Collector(|collector| collector.messages),
    ),
    Metric::counter(
        "sixtap_collector_sent_bytes_total",
        "Octets of the messages sent (exportedOctetTotalCount).",
        Collector(|collector| collector.octets),
    ),
    Metric::counter(
        "sixtap_collector_refused_messages_total",
        "Messages the transport refused.",
        Collector(|collector| collector.refused),
    ),
    Metric::counter(
        "sixtap_collector_templates_total",
        "Templates announced, repetitions included.",
        Collector(|collector| collector.templates),
    ),
    Metric::counter(
        "sixtap_collector_sessions_total",
        "Transport Sessions begun: 1 for UDP and files, one a connection for TCP.",
        Collector(|collector| collector.sessions),
    ),
];
