//! Where the samples of a metric come from.

use super::super::CollectorCounters;
use super::super::reading::{Reading, WorkerReading};
use super::text::Samples;

/// A counter of a worker.
pub(super) type OfWorker = fn(&WorkerReading) -> u64;

/// Where the samples come from, and so which labels they have.
#[derive(Clone, Copy)]
pub(super) enum Values {
    /// A counter of each worker.
    Worker(OfWorker),
    /// Several counters of each worker; one more label tells them apart.
    WorkerBy(&'static str, &'static [(&'static str, OfWorker)]),
    /// The interface's own counters, told apart by one more label if it has a name: the sum of its workers, of whom only
    /// one has them.
    InterfaceBy(&'static str, &'static [(&'static str, OfWorker)]),
    /// A counter of each collector.
    Collector(fn(&CollectorCounters) -> u64),
    /// Labels, and whatever writes the samples.
    Other(&'static str, fn(&Reading, &mut Samples<'_>)),
}

impl Values {
    /// The labels, as the documentation spells them.
    pub(super) fn labels(&self) -> String {
        match self {
            Self::Worker(_) => "interface, queue".to_owned(),
            Self::WorkerBy(label, _) => format!("interface, queue, {label}"),
            Self::InterfaceBy("", _) => "interface".to_owned(),
            Self::InterfaceBy(label, _) => format!("interface, {label}"),
            Self::Collector(_) => "collector".to_owned(),
            Self::Other(labels, _) => (*labels).to_owned(),
        }
    }

    pub(super) fn write(&self, reading: &Reading, samples: &mut Samples<'_>) {
        match self {
            Self::Worker(value) => {
                for worker in &reading.workers {
                    samples.add(&of(worker), value(worker));
                }
            }
            Self::WorkerBy(label, lines) => {
                for worker in &reading.workers {
                    let [interface, queue] = of(worker);
                    for (line, value) in *lines {
                        samples.add(&[interface, queue, (label, line)], value(worker));
                    }
                }
            }
            Self::InterfaceBy(label, lines) => interfaces(reading, samples, label, lines),
            Self::Collector(value) => {
                for (name, counters) in &reading.ledger.collectors {
                    samples.add(&[("collector", name)], value(counters));
                }
            }
            Self::Other(_, write) => write(reading, samples),
        }
    }
}

/// The labels of a worker.
pub(super) fn of(worker: &WorkerReading) -> [(&str, &str); 2] {
    [("interface", &worker.interface), ("queue", &worker.queue)]
}

fn interfaces(
    reading: &Reading,
    samples: &mut Samples<'_>,
    label: &str,
    lines: &[(&str, OfWorker)],
) {
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
