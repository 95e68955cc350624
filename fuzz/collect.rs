//! Export of any octets through the collector. Nothing it tells may lie outside the message, no record may overlap the
//! one before it, and every record must be one JSON object.

#![no_main]

mod exports;

use sixtap::collect::{Collector, Event, Limits, Received, json};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let mut collector = Collector::new(Limits::default(), ie_registry::SIXTAP_DEFAULT_PEN);
    let mut line = String::new();
    exports::each(input, |received| match received {
        Received::Message { transport, octets } => {
            let (mut open, mut end) = (false, 0);
            collector.message(&transport, octets, &mut |event| match event {
                Event::Message(_) => {
                    assert!(!open, "a message in a message");
                    open = true;
                }
                Event::Record(record) => {
                    let from = record.octets.offset;
                    assert!(from >= end, "a record begins at {from}, the one before ended at {end}");
                    end = from + record.octets.octets.len();
                    assert_eq!(octets.get(from..end), Some(record.octets.octets));
                    let mut at = from;
                    for field in record.fields() {
                        assert!(field.offset >= at, "fields overlap");
                        at = field.offset + field.octets.len();
                        assert!(at <= end, "a field reaches beyond its record");
                        assert_eq!(octets.get(field.offset..at), Some(field.octets));
                    }
                    line.clear();
                    json::record_to_json(&record, &mut line);
                    let value: Result<serde_json::Value, _> = serde_json::from_str(&line);
                    assert!(value.is_ok_and(|value| value.is_object()), "no JSON: {line}");
                }
                Event::Set { set, .. } => assert!(set.offset + set.length <= octets.len()),
                Event::Anomaly { anomaly, .. } => assert!(anomaly.offset <= octets.len()),
                Event::End { .. } => open = false,
                _ => {}
            });
            assert!(!open, "a message without an end");
        }
        Received::End { transport } => collector.end_of_session(&transport),
        _ => {}
    });
});
