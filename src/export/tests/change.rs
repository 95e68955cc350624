//! Collectors that come and go while the exporter runs.

use super::*;
use crate::telemetry::CollectorCounters;

fn plan(files: &[&Path]) -> ExportPlan {
    let destinations =
        files.iter().map(|path| format!("file:{}", path.display()).parse().unwrap()).collect();
    ExportPlan { destinations, ..ExportPlan::default() }
}

fn flows(path: &Path) -> usize {
    let octets = std::fs::read(path).unwrap();
    let mut reader = Reader::default();
    let mut rest = &octets[..];
    while !rest.is_empty() {
        let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        reader.read(&rest[..length]);
        rest = &rest[length..];
    }
    reader.flows.len()
}

fn counters(exporter: &Exporter) -> Vec<CollectorCounters> {
    exporter.counters().map(|(_, counters)| counters).collect()
}

#[test]
fn one_that_stays_goes_on_and_one_that_is_gone_stays_in_the_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let [stays, goes, comes] = ["stays", "goes", "comes"].map(|name| folder.path().join(name));
    let statistics = Statistics::default();
    let first = plan(&[&stays, &goes]);
    let mut exporter = Exporter::new(&first).unwrap();
    exporter.consume(&plain_batch(), NOW);

    let second = plan(&[&comes, &stays]);
    let opening = Opening::new(&second, &first.destinations).unwrap();
    exporter.change(opening, NOW, &statistics);
    exporter.consume(&plain_batch(), NOW);
    // In the order of the plan, those that are gone behind.
    let names: Vec<_> = exporter.counters().map(|(name, _)| name.to_string()).collect();
    assert!(
        names[0].ends_with("comes") && names[1].ends_with("stays") && names[2].ends_with("goes")
    );

    exporter.finish(NOW, &statistics);
    let now = counters(&exporter);
    assert_eq!([now[0].records, now[1].records, now[2].records], [7, 14, 7]);
    assert_eq!([now[0].absent, now[1].absent, now[2].absent], [7, 0, 7]);
    assert_eq!([now[0].sessions, now[1].sessions, now[2].sessions], [1, 1, 1]);
    for (path, count) in [(&comes, 7), (&stays, 14), (&goes, 7)] {
        assert_eq!(flows(path), count, "{}", path.display());
    }
    // The session of the one that stayed is one: sequence numbers run on.
    assert!(now.iter().all(|counters| counters.sent == counters.records && counters.held() == 0));
}

#[test]
fn one_that_comes_back_goes_on_counting() {
    let folder = tempfile::tempdir().unwrap();
    let [one, other] = ["one", "other"].map(|name| folder.path().join(name));
    let statistics = Statistics::default();
    let (both, alone) = (plan(&[&one, &other]), plan(&[&one]));
    let mut exporter = Exporter::new(&both).unwrap();
    let mut running = both.destinations.clone();
    for next in [&alone, &both] {
        exporter.consume(&plain_batch(), NOW);
        let opening = Opening::new(next, &running).unwrap();
        exporter.change(opening, NOW, &statistics);
        running = next.destinations.clone();
    }
    exporter.consume(&plain_batch(), NOW);
    exporter.finish(NOW, &statistics);
    let now = counters(&exporter);
    assert_eq!(now.len(), 2);
    assert_eq!((now[1].records, now[1].sent, now[1].absent, now[1].sessions), (14, 14, 7, 2));
    assert_eq!(now[0].records, 21);
}

#[test]
fn one_that_cannot_be_opened_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let one = folder.path().join("one");
    let first = plan(&[&one]);
    let next = plan(&[&folder.path().join("nowhere/file")]);
    assert!(Opening::new(&next, &first.destinations).is_err());
}
