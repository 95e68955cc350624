//! Kafka, against librdkafka's own mock cluster: brokers that speak the protocol, within this process.

use super::{Run, number, probe, suite};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const PARTITIONS: i32 = 4;

struct Taken {
    partition: i32,
    key: Option<Vec<u8>>,
    payload: Vec<u8>,
}

fn cluster() -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).expect("a mock cluster");
    cluster.create_topic("flows", PARTITIONS, 1).expect("a topic");
    cluster
}

/// Every message of the topic: `count` of them, and then none for a second.
fn consume(brokers: &str, count: u64) -> Vec<Taken> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "test")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer");
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset("flows", partition, Offset::Beginning).expect("an offset");
    }
    consumer.assign(&list).expect("assigned");
    let mut taken = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(30);
    while Instant::now() < deadline {
        match consumer.poll(Duration::from_secs(1)) {
            Some(Ok(message)) => taken.push(Taken {
                partition: message.partition(),
                key: message.key().map(<[u8]>::to_vec),
                payload: message.payload().unwrap_or_default().to_vec(),
            }),
            Some(Err(error)) => panic!("{error}"),
            None if taken.len() as u64 >= count => break,
            None => {}
        }
    }
    taken
}

fn export(brokers: &str, parameters: &str) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("kafka://{brokers}/flows{parameters}");
    probe(&suite(folder.path()), &["-c", &url, "-c", "json:-"])
}

#[test]
fn every_record_is_a_json_message_and_conversations_keep_to_their_partition() {
    let cluster = cluster();
    let brokers = cluster.bootstrap_servers();
    let run = export(&brokers, "");
    assert_eq!(run.status, 0, "{}", run.error);
    run.balances();
    let sent = number(run.collector("kafka:"), "sent");
    assert_eq!(sent, run.records.len() as u64);
    let taken = consume(&brokers, sent);
    let text = |message: &Taken| String::from_utf8(message.payload.clone()).expect("UTF-8");
    let mut came: Vec<String> = taken.iter().map(text).collect();
    let mut expected: Vec<String> = run.records.iter().map(Value::to_string).collect();
    came.sort();
    expected.sort();
    assert_eq!(came, expected);
    // One key, one partition; and both directions have one key.
    let mut places: BTreeMap<Vec<u8>, BTreeSet<i32>> = BTreeMap::new();
    let mut keys: BTreeMap<[String; 5], BTreeSet<Vec<u8>>> = BTreeMap::new();
    for message in &taken {
        let key = message.key.clone().expect("a key");
        places.entry(key.clone()).or_default().insert(message.partition);
        let record: Value = serde_json::from_slice(&message.payload).unwrap();
        let end = |address: &str, port: &str| {
            let address =
                ["IPv6Address", "IPv4Address"].map(|f| record[format!("{address}{f}")].to_string());
            (address.concat(), record[port].to_string())
        };
        let mut ends =
            [end("source", "sourceTransportPort"), end("destination", "destinationTransportPort")];
        if record.get("sourceTransportPort").is_none() {
            continue;
        }
        ends.sort();
        let [(a, b), (c, d)] = ends;
        let protocol = record["protocolIdentifier"].to_string();
        keys.entry([a, b, c, d, protocol]).or_default().insert(key);
    }
    assert!(places.values().all(|partitions| partitions.len() == 1));
    assert!(keys.values().all(|keys| keys.len() == 1));
    let used: BTreeSet<i32> = taken.iter().map(|message| message.partition).collect();
    assert_eq!(used.len(), PARTITIONS as usize, "all partitions are used: {used:?}");
}

#[test]
fn ipfix_messages_stand_by_themselves() {
    let cluster = cluster();
    let brokers = cluster.bootstrap_servers();
    let run = export(&brokers, "?format=ipfix&compression.codec=none");
    assert_eq!(run.status, 0, "{}", run.error);
    run.balances();
    let collector = run.collector("kafka:");
    assert_eq!(number(collector, "sent"), run.records.len() as u64);
    let taken = consume(&brokers, number(collector, "messages"));
    assert_eq!(taken.len() as u64, number(collector, "messages"));
    // Each one alone is read, as by a consumer that begins anywhere.
    let folder = tempfile::tempdir().unwrap();
    let mut flows = Vec::new();
    for (place, message) in taken.iter().enumerate() {
        let path = folder.path().join(format!("{place}.ipfix"));
        std::fs::write(&path, &message.payload).unwrap();
        let records = super::show(&path);
        assert!(!records.is_empty(), "message {place} cannot be read alone");
        flows.extend(records.into_iter().filter(|r| r.get("packetDeltaCount").is_some()));
    }
    let mut came: Vec<String> = flows.iter().map(Value::to_string).collect();
    let mut expected: Vec<String> = run.records.iter().map(Value::to_string).collect();
    came.sort();
    expected.sort();
    assert_eq!(came, expected);
}

/// Nobody there: the queue is bounded, every record is counted as lost, and the probe ends in time.
#[test]
fn absent_brokers_lose_records_in_the_ledger() {
    let began = Instant::now();
    // A port that was free a moment ago: nobody answers.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let run = export(&format!("127.0.0.1:{port}"), "?message.timeout.ms=2000");
    run.balances();
    let collector = run.collector("kafka:");
    assert_eq!(number(collector, "sent"), 0);
    assert_eq!(number(&collector["lost"], "send"), run.records.len() as u64, "{}", run.error);
    assert!(run.error.contains("records are lost"), "{}", run.error);
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
}

/// A queue of one message while the broker is slow to answer: the run over a file waits rather than loses.
#[test]
fn a_full_queue_is_waited_for_over_a_file() {
    let cluster = cluster();
    let brokers = cluster.bootstrap_servers();
    let run = export(&brokers, "?queue.buffering.max.messages=3&linger.ms=0");
    assert_eq!(run.status, 0, "{}", run.error);
    run.balances();
    assert_eq!(number(run.collector("kafka:"), "sent"), run.records.len() as u64, "{}", run.error);
}

#[test]
fn unknown_properties_are_errors_that_name_them() {
    let run = export("127.0.0.1:1", "?compresion.codec=lz4");
    assert_eq!(run.status, 3, "{}", run.error);
    assert!(run.error.contains("compresion.codec"), "{}", run.error);
}
