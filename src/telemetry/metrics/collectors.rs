//! What became of the records, by collector.

use super::super::CollectorCounters;
use super::super::reading::Reading;
use super::Metric;
use super::text::Samples;

fn each(reading: &Reading, samples: &mut Samples<'_>, value: fn(&CollectorCounters) -> u64) {
    for (name, counters) in &reading.ledger.collectors {
        samples.add(&[("collector", name)], value(counters));
    }
}

/// Nanoseconds since 1970 as seconds.
fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

/// Behind the meter.
pub(super) const COLLECTORS: &[Metric] = &[
    Metric::counter(
        "sixtap_collector_records_total",
        "collector",
        "Flow records made for the collector: sent, lost, moved and held ones together.",
        |reading, samples| each(reading, samples, |collector| collector.records),
    ),
    Metric::counter(
        "sixtap_collector_absent_records_total",
        "collector",
        "Flow records made while the collector was not in the configuration.",
        |reading, samples| each(reading, samples, |collector| collector.absent),
    ),
    Metric::counter(
        "sixtap_collector_sent_records_total",
        "collector",
        "Flow records handed to the transport: the datagram was sent, the connection or file took the octets.",
        |reading, samples| each(reading, samples, |collector| collector.sent),
    ),
    Metric::counter(
        "sixtap_collector_lost_records_total",
        "collector, cause",
        "Flow records lost: encode (longer than a message), queue (collector slow or away, queue full), send (refused by the transport).",
        |reading, samples| {
            for (name, counters) in &reading.ledger.collectors {
                let lost = counters.lost;
                for (cause, count) in
                    [("encode", lost.encode), ("queue", lost.queue), ("send", lost.send)]
                {
                    samples.add(&[("collector", name), ("cause", cause)], count);
                }
            }
        },
    ),
    Metric::counter(
        "sixtap_collector_lost_packets_total",
        "collector",
        "Packets in the lost flow records (notSentPacketTotalCount).",
        |reading, samples| each(reading, samples, |collector| collector.not_sent_packets),
    ),
    Metric::counter(
        "sixtap_collector_lost_bytes_total",
        "collector",
        "IP octets in the lost flow records (notSentOctetTotalCount).",
        |reading, samples| each(reading, samples, |collector| collector.not_sent_octets),
    ),
    Metric::counter(
        "sixtap_collector_moved_records_total",
        "collector",
        "Flow records given to another collector of the group, which counts them too.",
        |reading, samples| each(reading, samples, |collector| collector.moved),
    ),
    Metric::gauge(
        "sixtap_collector_held_records",
        "collector",
        "Flow records that wait for the collector.",
        |reading, samples| each(reading, samples, CollectorCounters::held),
    ),
    Metric::gauge(
        "sixtap_collector_first_loss_timestamp_seconds",
        "collector",
        "When the first flow record was lost, seconds since 1970; 0 if none was.",
        |reading, samples| {
            for (name, counters) in &reading.ledger.collectors {
                samples.add_fraction(&[("collector", name)], seconds(counters.first_lost));
            }
        },
    ),
    Metric::gauge(
        "sixtap_collector_last_loss_timestamp_seconds",
        "collector",
        "When the last flow record was lost, seconds since 1970; 0 if none was.",
        |reading, samples| {
            for (name, counters) in &reading.ledger.collectors {
                samples.add_fraction(&[("collector", name)], seconds(counters.last_lost));
            }
        },
    ),
    Metric::counter(
        "sixtap_collector_options_records_total",
        "collector",
        "Options records sent: statistics, element types, keys, names.",
        |reading, samples| each(reading, samples, |collector| collector.options),
    ),
    Metric::counter(
        "sixtap_collector_messages_total",
        "collector",
        "Messages sent (exportedMessageTotalCount).",
        |reading, samples| each(reading, samples, |collector| collector.messages),
    ),
    Metric::counter(
        "sixtap_collector_sent_bytes_total",
        "collector",
        "Octets of the messages sent (exportedOctetTotalCount).",
        |reading, samples| each(reading, samples, |collector| collector.octets),
    ),
    Metric::counter(
        "sixtap_collector_refused_messages_total",
        "collector",
        "Messages the transport refused.",
        |reading, samples| each(reading, samples, |collector| collector.refused),
    ),
    Metric::counter(
        "sixtap_collector_templates_total",
        "collector",
        "Templates announced, repetitions included.",
        |reading, samples| each(reading, samples, |collector| collector.templates),
    ),
    Metric::counter(
        "sixtap_collector_sessions_total",
        "collector",
        "Transport Sessions begun: 1 for UDP and files, one a connection for TCP.",
        |reading, samples| each(reading, samples, |collector| collector.sessions),
    ),
];
