//! The probe as a program: its threads, and what it takes of the machine.

use super::Metric;
use super::values::Values::Other;
use super::values::of;

/// The probe.
pub(super) const PROBE: &[Metric] = &[
    Metric::gauge(
        "sixtap_build_info",
        "The version that runs. The value is always 1.",
        Other("version", |_, samples| samples.add(&[("version", env!("CARGO_PKG_VERSION"))], 1)),
    ),
    Metric::gauge(
        "sixtap_healthy",
        "1 while every worker and the exporter advance, else 0: what /health says.",
        Other("", |reading, samples| samples.add(&[], u64::from(reading.problems().is_empty()))),
    ),
    Metric::counter(
        "sixtap_worker_turns_total",
        "Turns of the worker's loop: several a second as long as it advances, with and without frames.",
        Other("interface, queue", |reading, samples| {
            for worker in reading.workers.iter().filter(|worker| !worker.ended) {
                samples.add(&of(worker), worker.turns);
            }
        }),
    ),
    Metric::gauge(
        "sixtap_worker_silent_seconds",
        "How long ago the worker last published its counters; above 5 the probe is unhealthy.",
        Other("interface, queue", |reading, samples| {
            for worker in reading.workers.iter().filter(|worker| !worker.ended) {
                samples.add_fraction(&of(worker), worker.silent.as_secs_f64());
            }
        }),
    ),
    Metric::gauge(
        "sixtap_exporter_silent_seconds",
        "How long ago the exporter last went round its loop; above 5 the probe is unhealthy.",
        Other("", |reading, samples| {
            if !reading.exporter_ended {
                samples.add_fraction(&[], reading.exporter_silent.as_secs_f64());
            }
        }),
    ),
];

/// The names every Prometheus client library uses.
pub(super) const PROCESS: &[Metric] = &[
    Metric::gauge(
        "process_start_time_seconds",
        "When the probe started, seconds since 1970.",
        Other("", |reading, samples| samples.add_fraction(&[], reading.started as f64 / 1e9)),
    ),
    Metric::counter(
        "process_cpu_seconds_total",
        "Processor time of all threads, in user and kernel mode.",
        Other("", |_, samples| {
            let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
            samples.add_fraction(&[], time.tv_sec as f64 + time.tv_nsec as f64 / 1e9);
        }),
    ),
    Metric::gauge(
        "process_resident_memory_bytes",
        "Memory in use. Not there where /proc cannot be read.",
        Other("", |_, samples| {
            if let Some(pages) = resident_pages() {
                samples.add(&[], pages * rustix::param::page_size() as u64);
            }
        }),
    ),
    Metric::gauge(
        "process_open_fds",
        "Open file descriptors. Not there where /proc cannot be read.",
        Other("", |_, samples| {
            if let Ok(entries) = std::fs::read_dir("/proc/self/fd") {
                // The directory itself is one of them.
                samples.add(&[], (entries.count() as u64).saturating_sub(1));
            }
        }),
    ),
];

fn resident_pages() -> Option<u64> {
    let line = std::fs::read_to_string("/proc/self/statm").ok()?;
    line.split(' ').nth(1)?.parse().ok()
}
