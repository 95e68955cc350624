//! Collectors that share the records.

use super::*;
use std::io::Read as _;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

fn exporter(destination: &str) -> Exporter {
    let destinations = vec![destination.parse().unwrap()];
    let reconnect = Duration::from_millis(10);
    Exporter::new(&ExportPlan { destinations, reconnect, ..ExportPlan::default() }).unwrap()
}

fn counters(exporter: &Exporter) -> Vec<crate::telemetry::CollectorCounters> {
    exporter.counters().map(|(_, counters)| counters).collect()
}

/// Ticks every 50 ms of the exporter's time until `done`.
fn tick_until(exporter: &mut Exporter, now: &mut Timestamp, done: impl Fn(&Exporter) -> bool) {
    let begin = Instant::now();
    while !done(exporter) {
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", counters(exporter));
        now.0 += 50_000_000;
        exporter.tick(*now, &Statistics::default());
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Everything that comes until the end of the connection.
fn receive(listener: &TcpListener) -> std::thread::JoinHandle<usize> {
    let listener = listener.try_clone().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut octets = Vec::new();
        stream.read_to_end(&mut octets).unwrap();
        let mut reader = Reader::default();
        reader.read_all(&octets);
        reader.flows.len()
    })
}

#[test]
fn the_second_takes_over_what_the_first_holds_and_gives_way_again() {
    let first = TcpListener::bind("[::1]:0").unwrap();
    let second = TcpListener::bind("[::1]:0").unwrap();
    let (one, two) = (first.local_addr().unwrap(), second.local_addr().unwrap());
    drop(first);
    let mut exporter = exporter(&format!("failover:tcp://{one},tcp://{two}"));
    let mut now = NOW;
    let other = receive(&second);
    exporter.consume(&plain_batch(), now);
    // The first is away from the start: what it was given goes to the second.
    tick_until(&mut exporter, &mut now, |exporter| counters(exporter)[1].sent == 7);
    exporter.consume(&plain_batch(), now);
    tick_until(&mut exporter, &mut now, |exporter| counters(exporter)[1].sent == 14);
    // The first comes, and gets what is new.
    let first = TcpListener::bind(one).unwrap();
    let main = receive(&first);
    tick_until(&mut exporter, &mut now, |exporter| counters(exporter)[0].sessions == 1);
    exporter.consume(&plain_batch(), now);
    tick_until(&mut exporter, &mut now, |exporter| counters(exporter)[0].sent == 7);
    exporter.finish(now, &Statistics::default());
    let [first, second] = counters(&exporter)[..] else { panic!("two collectors") };
    assert_eq!((first.records, first.sent, first.moved), (14, 7, 7));
    assert_eq!((second.records, second.sent, second.moved), (14, 14, 0));
    assert_eq!((first.group, second.group, first.held(), second.held()), (1, 1, 0, 0));
    drop(exporter);
    assert_eq!((main.join().unwrap(), other.join().unwrap()), (7, 14));
}

#[test]
fn over_udp_an_answer_of_nobody_is_enough() {
    let away = UdpSocket::bind("127.0.0.1:0").unwrap();
    let there = UdpSocket::bind("127.0.0.1:0").unwrap();
    there.set_nonblocking(true).unwrap();
    let (one, two) = (away.local_addr().unwrap(), there.local_addr().unwrap());
    drop(away);
    let mut exporter = exporter(&format!("failover:udp://{one},udp://{two}"));
    let mut now = NOW;
    // Templates find out that the first is not there; then records are held, and after a moment the second has them.
    exporter.tick(now, &Statistics::default());
    now.0 += 50_000_000;
    exporter.tick(now, &Statistics::default());
    exporter.consume(&plain_batch(), now);
    tick_until(&mut exporter, &mut now, |exporter| counters(exporter)[1].sent == 7);
    let [first, second] = counters(&exporter)[..] else { panic!("two collectors") };
    assert_eq!((first.sent, first.lost.total(), first.moved, first.held()), (0, 0, 7, 0));
    assert_eq!(second.records, 7);
    // It comes back: found out by a trial, and trusted after a second without an error.
    let back = UdpSocket::bind(one).unwrap();
    let begin = now;
    while counters(&exporter)[0].sent == 0 {
        exporter.consume(&plain_batch(), now);
        now.0 += 500_000_000;
        exporter.tick(now, &Statistics::default());
        assert!(now.0 < begin.0 + 20_000_000_000, "{:?}", counters(&exporter));
    }
    exporter.finish(now, &Statistics::default());
    let mut reader = Reader::default();
    let mut octets = [0; 65_535];
    while let Ok(length) = there.recv(&mut octets) {
        reader.read(&octets[..length]);
    }
    let sent: Vec<u64> = counters(&exporter).iter().map(|counters| counters.sent).collect();
    assert_eq!(reader.flows.len() as u64, sent[1]);
    let given: u64 = counters(&exporter).iter().map(|of| of.records - of.moved).sum();
    assert_eq!(given, sent[0] + sent[1]);
    drop(back);
}

#[test]
fn flows_are_spread_and_stay_where_they_are() {
    let sockets: Vec<UdpSocket> = (0..3)
        .map(|_| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        })
        .collect();
    let urls: Vec<String> =
        sockets.iter().map(|socket| format!("udp://{}", socket.local_addr().unwrap())).collect();
    let mut exporter = exporter(&format!("balance:{}", urls.join(",")));
    let (mut batch, mut reverse) = (FlowBatch::default(), FlowBatch::default());
    for port in 0..999 {
        let key = key6(1_024 + port, 443, 6);
        batch.flows.push(flow(key));
        reverse.flows.push(flow(key.reverse()));
    }
    exporter.consume(&batch, NOW);
    exporter.tick(Timestamp(NOW.0 + 2_000_000_000), &Statistics::default());
    let records = |exporter: &Exporter| -> Vec<u64> {
        counters(exporter).iter().map(|counters| counters.records).collect()
    };
    let there = records(&exporter);
    assert_eq!(there.iter().sum::<u64>(), 999);
    assert!(there.iter().all(|share| (250..420).contains(share)), "{there:?}");
    exporter.consume(&reverse, NOW);
    let both: Vec<u64> = there.iter().map(|share| share * 2).collect();
    assert_eq!(records(&exporter), both, "both directions go to one collector");
    exporter.finish(NOW, &Statistics::default());
    for (socket, counters) in sockets.iter().zip(counters(&exporter)) {
        let mut reader = Reader::default();
        let mut octets = [0; 65_535];
        while let Ok(length) = socket.recv(&mut octets) {
            reader.read(&octets[..length]);
        }
        assert_eq!(reader.flows.len() as u64, counters.sent);
    }
}

#[test]
fn only_the_flows_of_a_collector_that_is_missed_move() {
    let first = TcpListener::bind("[::1]:0").unwrap();
    let second = TcpListener::bind("[::1]:0").unwrap();
    let (one, two) = (first.local_addr().unwrap(), second.local_addr().unwrap());
    drop(first);
    let mut exporter = exporter(&format!("balance:tcp://{one},tcp://{two}"));
    let mut batch = FlowBatch::default();
    for port in 0..500 {
        batch.flows.push(flow(key6(1_024 + port, 443, 6)));
    }
    let mut now = NOW;
    let receiver = receive(&second);
    exporter.consume(&batch, now);
    let shares = counters(&exporter);
    assert!(shares[0].records > 100 && shares[1].records > 100, "{shares:?}");
    tick_until(&mut exporter, &mut now, |exporter| counters(exporter)[1].sent == 500);
    let [first, second] = counters(&exporter)[..] else { panic!("two collectors") };
    assert_eq!((first.moved, first.held()), (shares[0].records, 0));
    assert_eq!(second.records, 500);
    exporter.finish(now, &Statistics::default());
    drop(exporter);
    assert_eq!(receiver.join().unwrap(), 500);
}

#[test]
fn a_unix_socket_takes_the_records() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flows.sock");
    let mut exporter = exporter(&format!("unix:{}", path.display()));
    let mut now = NOW;
    exporter.consume(&plain_batch(), now);
    exporter.tick(now, &Statistics::default());
    assert!(exporter.take_problems()[0].contains("No such file"), "nobody is there yet");
    let listener = UnixListener::bind(&path).unwrap();
    let receiver = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut octets = Vec::new();
        stream.read_to_end(&mut octets).unwrap();
        let mut reader = Reader::default();
        reader.read_all(&octets);
        reader.flows.len()
    });
    tick_until(&mut exporter, &mut now, |exporter| counters(exporter)[0].sent == 7);
    exporter.finish(now, &Statistics::default());
    drop(exporter);
    assert_eq!(receiver.join().unwrap(), 7);
}
