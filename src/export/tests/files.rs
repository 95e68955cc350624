//! A file after the other, each whole and readable by itself.

use super::*;
use std::path::PathBuf;

fn exporter(destination: &str) -> Exporter {
    let destinations = vec![destination.parse().unwrap()];
    Exporter::new(&ExportPlan { destinations, ..ExportPlan::default() }).unwrap()
}

fn listed(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Three files of a minute each.
fn rotated(directory: &Path, parameters: &str) -> Vec<PathBuf> {
    let mut exporter = exporter(&format!("file:{}/%s.ipfix?{parameters}", directory.display()));
    let mut now = Timestamp::new(1_700_000_040, 0);
    for minute in 0..3 {
        exporter.tick(now, &Statistics::default());
        let mut batch = plain_batch();
        for (place, flow) in batch.flows.iter_mut().enumerate() {
            flow.first.0 = flow.first.0 + minute * 60_000_000_000 - place as u64;
            flow.last.0 += minute * 60_000_000_000 + 1_000_000 * place as u64;
        }
        for _ in 0..100 {
            exporter.consume(&batch, now);
        }
        now.0 += 2_000_000_000;
        exporter.tick(now, &Statistics::default());
        now.0 += 58_000_000_000;
    }
    // Within the last minute: at its end there would be another file.
    now.0 -= 1_000_000_000;
    exporter.finish(now, &Statistics::default());
    let counters = exporter.counters().next().unwrap().1;
    assert_eq!((counters.records, counters.sent), (2_100, 2_100));
    // The first one, of the time at which it was opened, was empty.
    assert_eq!(counters.sessions, 4);
    assert_eq!(exporter.take_problems(), [""; 0]);
    listed(directory)
}

#[test]
fn each_file_reads_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let paths = rotated(directory.path(), "rotate=1m");
    let names: Vec<_> =
        paths.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["1700000040.ipfix", "1700000100.ipfix", "1700000160.ipfix"]);
    for (minute, path) in (0..).zip(&paths) {
        let mut reader = Reader::default();
        reader.read_all(&std::fs::read(path).unwrap());
        assert_eq!(reader.flows.len(), 700, "{}", path.display());
        assert!(reader.announced > 0);
        // One time window (RFC 5655 section 8.1.2), that no flow is outside of; the fractions of a millisecond go outwards.
        let windows: Vec<_> = reader.options.iter().filter(|(id, _)| *id == 1038).collect();
        let [(_, window)] = windows[..] else { panic!("{} windows", windows.len()) };
        let start = 1_700_000_000_000 + minute * 60_000;
        assert_eq!(number(window, 0, ie::MIN_FLOW_START_MILLISECONDS), Some(start + 123));
        assert_eq!(number(window, 0, ie::MAX_FLOW_END_MILLISECONDS), Some(start + 7_994));
        for flow in &reader.flows {
            assert!(number(flow, 0, ie::FLOW_START_MILLISECONDS).unwrap() >= start + 123);
            assert!(number(flow, 0, ie::FLOW_END_MILLISECONDS).unwrap() <= start + 7_994);
        }
    }
}

#[test]
fn a_file_without_a_flow_has_no_time_window() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("none.ipfix");
    let mut exporter = exporter(&format!("file:{}", path.display()));
    exporter.finish(NOW, &Statistics::default());
    let mut reader = Reader::default();
    reader.read_all(&std::fs::read(&path).unwrap());
    assert!(!reader.options.is_empty() && reader.options.iter().all(|(id, _)| *id != 1038));
}

#[test]
fn compressed_files_hold_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let paths = rotated(directory.path(), "rotate=1m&zstd=1");
    assert_eq!(paths.len(), 3);
    for path in &paths {
        assert_eq!(path.extension().unwrap(), "zst");
        let compressed = std::fs::read(path).unwrap();
        let octets = zstd::decode_all(&compressed[..]).unwrap();
        assert!(octets.len() > 4 * compressed.len(), "{} {}", octets.len(), compressed.len());
        let mut reader = Reader::default();
        reader.read_all(&octets);
        assert_eq!(reader.flows.len(), 700);
    }
}

#[test]
fn a_run_cut_short_leaves_whole_messages() {
    let directory = tempfile::tempdir().unwrap();
    let destination = format!("file:{}/f-%s.ipfix?size=1M", directory.path().display());
    let mut first = exporter(&destination);
    first.tick(NOW, &Statistics::default());
    first.consume(&plain_batch(), NOW);
    for second in 1..3 {
        first.tick(Timestamp(NOW.0 + second * 1_000_000_000), &Statistics::default());
    }
    // Nothing is finished: the process is gone, in the middle of a message.
    drop(first);
    let left = listed(directory.path());
    assert_eq!(left.len(), 1);
    assert!(left[0].to_string_lossy().ends_with(".ipfix.current"));
    let mut octets = std::fs::read(&left[0]).unwrap();
    let whole = octets.len();
    let torn = octets[..100].to_vec();
    octets.extend(torn);
    std::fs::write(&left[0], &octets).unwrap();

    let mut second = exporter(&destination);
    let problems = second.take_problems();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].contains("100 octets of a torn end cut off"), "{problems:?}");
    second.finish(NOW, &Statistics::default());
    let kept = std::fs::read(left[0].with_extension("")).unwrap();
    assert_eq!(kept.len(), whole);
    let mut reader = Reader::default();
    reader.read_all(&kept);
    assert_eq!(reader.flows.len(), 7);
}

#[test]
fn lines_rotate_and_compress_too() {
    let directory = tempfile::tempdir().unwrap();
    let base = directory.path().display();
    let mut exporter = exporter(&format!("json:{base}/%s.jsonl?rotate=1m&zstd=1"));
    let mut now = Timestamp::new(1_700_000_040, 0);
    for _ in 0..2 {
        exporter.tick(now, &Statistics::default());
        exporter.consume(&plain_batch(), now);
        now.0 += 60_000_000_000;
    }
    exporter.finish(now, &Statistics::default());
    let paths = listed(directory.path());
    assert_eq!(paths.len(), 2);
    for path in paths {
        let text = zstd::decode_all(&std::fs::read(path).unwrap()[..]).unwrap();
        assert_eq!(String::from_utf8(text).unwrap().lines().count(), 7);
    }
}
