use super::*;
use crate::collect::event::{Checksum, Position, Protocol};
use crate::ipfix::{FieldSpecifier, Kind, MessageBuilder, Template};
use std::io::{Cursor, Write as _};
use std::net::{IpAddr, Ipv6Addr, TcpStream, UdpSocket};

/// Message number `number`: a Template and some records, a different length for each.
fn message(number: u32) -> Vec<u8> {
    let mut builder = MessageBuilder::new(2000);
    builder.begin(1, number);
    let template = Template::new(256, [FieldSpecifier::iana(31, 4)]);
    builder.template(&template).unwrap();
    for value in 0..=number {
        builder.record(256, |out| out.u32(value)).unwrap();
    }
    builder.finish(1_700_000_000).to_vec()
}

/// All messages and noise of an input.
fn all(input: &mut Input) -> (Vec<(Transport, Vec<u8>)>, Vec<Anomaly>) {
    let (mut messages, mut noise) = (Vec::new(), Vec::new());
    while let Some(received) = input.next(Duration::ZERO).unwrap() {
        match received {
            Received::Message { transport, octets } => messages.push((transport, octets.to_vec())),
            Received::Noise { anomaly, .. } => noise.push(anomaly),
            Received::End { .. } => {}
            Received::Idle => panic!("a file is never idle"),
        }
    }
    (messages, noise)
}

fn from_octets(octets: Vec<u8>) -> Input {
    Input::from_reader(Cursor::new(octets), "test").unwrap()
}

fn octets_of(messages: Vec<(Transport, Vec<u8>)>) -> Vec<Vec<u8>> {
    messages.into_iter().map(|(_, octets)| octets).collect()
}

#[test]
fn a_file_is_its_messages() {
    let expected: Vec<_> = (0..100).map(message).collect();
    let mut input = from_octets(expected.concat());
    let (messages, noise) = all(&mut input);
    assert_eq!(messages[1].0.position.number(), expected[0].len() as u64);
    assert_eq!((octets_of(messages), noise), (expected, vec![]));
    assert_eq!(input.counters().messages, 100);
}

#[test]
fn an_empty_file_has_no_messages() {
    assert_eq!(all(&mut from_octets(Vec::new())), (vec![], vec![]));
}

#[test]
fn a_file_is_read_through_compression() {
    let plain = [message(1), message(2)].concat();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    for packed in [gzip.finish().unwrap(), zstd::encode_all(&plain[..], 1).unwrap()] {
        assert_eq!(octets_of(all(&mut from_octets(packed)).0), [message(1), message(2)]);
    }
}

#[test]
fn reading_goes_on_behind_octets_that_are_no_message() {
    let file = [&message(1)[..], &[0xff; 77], &message(2), &message(3)].concat();
    let (messages, noise) = all(&mut from_octets(file));
    assert_eq!(octets_of(messages), [message(1), message(2), message(3)]);
    assert_eq!(noise, [Anomaly { offset: 0, kind: Kind::Resynchronised { skipped: 77 } }]);
}

/// A length that is too large swallows what follows, one that is too small leaves octets over: neither loses the next
/// messages.
#[test]
fn a_wrong_length_does_not_lose_the_messages_behind_it() {
    for wrong in [17u16, 200, 9000] {
        let mut damaged = message(5);
        damaged[2..4].copy_from_slice(&wrong.to_be_bytes());
        let file = [&message(4)[..], &damaged, &message(6), &message(7)].concat();
        let (messages, _) = all(&mut from_octets(file));
        let messages = octets_of(messages);
        assert_eq!(messages.first(), Some(&message(4)), "length {wrong}");
        assert_eq!(messages[messages.len() - 2..], [message(6), message(7)], "length {wrong}");
    }
}

#[test]
fn a_file_cut_short_gives_what_there_is() {
    let file = [message(1), message(2)].concat();
    let cut = &file[..file.len() - 5];
    let (messages, _) = all(&mut from_octets(cut.to_vec()));
    assert_eq!(octets_of(messages), [message(1), message(2)[..message(2).len() - 5].to_vec()]);
}

/// A capture file of Ethernet frames.
fn capture(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 65_535, 1] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    for (second, frame) in frames.iter().enumerate() {
        for word in [second as u32 + 1, 0, frame.len() as u32, frame.len() as u32] {
            file.extend_from_slice(&word.to_le_bytes());
        }
        file.extend_from_slice(frame);
    }
    file
}

const EXPORTER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const COLLECTOR: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

/// An Ethernet frame with an IPv6 packet and some padding.
fn ipv6(next_header: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 12];
    frame.extend_from_slice(&[0x81, 0, 0, 5, 0x86, 0xdd, 0x60, 0, 0, 0]);
    frame.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    frame.extend_from_slice(&[next_header, 64]);
    frame.extend_from_slice(&EXPORTER.octets());
    frame.extend_from_slice(&COLLECTOR.octets());
    frame.extend_from_slice(payload);
    frame.extend_from_slice(&[0xee; 9]);
    frame
}

fn udp(from: u16, to: u16, checksum: u16, data: &[u8]) -> Vec<u8> {
    let length = data.len() as u16 + 8;
    let mut segment = Vec::new();
    for word in [from, to, length, checksum] {
        segment.extend_from_slice(&word.to_be_bytes());
    }
    segment.extend_from_slice(data);
    segment
}

fn tcp(from: u16, to: u16, sequence: u32, flags: u8, data: &[u8]) -> Vec<u8> {
    let mut segment = Vec::new();
    segment.extend_from_slice(&from.to_be_bytes());
    segment.extend_from_slice(&to.to_be_bytes());
    segment.extend_from_slice(&sequence.to_be_bytes());
    segment.extend_from_slice(&[0, 0, 0, 0, 5 << 4, flags, 1, 0, 0, 0, 0, 0]);
    segment.extend_from_slice(data);
    segment
}

/// A Destination Options header in front of UDP, and a checksum of zero.
#[test]
fn datagrams_of_a_capture() {
    let options = [&[17, 0, 1, 4, 0, 0, 0, 0][..], &udp(1000, 9999, 0, &message(2))].concat();
    let frames = [
        ipv6(17, &udp(1000, 4739, 0xabcd, &message(1))),
        ipv6(60, &options),
        ipv6(17, &udp(53, 5353, 1, b"no export")),
        ipv6(58, &[128, 0, 0, 0]),
    ];
    let mut input = from_octets(capture(&frames));
    let (messages, noise) = all(&mut input);
    assert_eq!(noise, []);
    let (first, second) = (messages[0].0, messages[1].0);
    assert_eq!(octets_of(messages), [message(1), message(2)]);
    assert_eq!((first.protocol, first.checksum), (Protocol::Udp, Checksum::Present));
    assert_eq!(first.exporter, Some(SocketAddr::new(IpAddr::V6(EXPORTER), 1000)));
    assert_eq!(first.collector, Some(SocketAddr::new(IpAddr::V6(COLLECTOR), 4739)));
    assert_eq!((first.arrival, first.position), (Some(1_000_000_000), Position::Packet(1)));
    assert_eq!((second.checksum, second.cut, second.fragmented), (Checksum::Zero, false, false));
    assert_eq!((input.counters().packets, input.counters().other_packets), (4, 2));
}

/// A datagram in three fragments, the last first and one twice; and one of which a part is missing.
#[test]
fn datagrams_in_fragments() {
    let datagram = udp(1000, 4739, 1, &message(60));
    let fragment = |identification: u32, from: usize, to: usize| {
        let more = u16::from(to < datagram.len());
        let mut payload = vec![17, 0];
        payload.extend_from_slice(&(from as u16 | more).to_be_bytes());
        payload.extend_from_slice(&identification.to_be_bytes());
        payload.extend_from_slice(&datagram[from..to]);
        ipv6(44, &payload)
    };
    let frames = [
        fragment(7, 160, datagram.len()),
        fragment(7, 0, 80),
        fragment(8, 0, 80),
        fragment(7, 0, 80),
        fragment(7, 80, 160),
    ];
    let mut input = from_octets(capture(&frames));
    let (messages, _) = all(&mut input);
    assert!(messages[0].0.fragmented);
    assert_eq!(messages[0].0.position, Position::Packet(5), "the packet that made it whole");
    assert_eq!(octets_of(messages), [message(60)]);
    assert_eq!(input.counters().incomplete_datagrams, 1);
}

/// Segments out of order, one twice, one overlapping, over the wrap of the sequence number; and HTTP on another
/// connection.
#[test]
fn a_tcp_stream_of_a_capture() {
    let stream: Vec<u8> = (0..20).flat_map(message).collect();
    let start = u32::MAX - 50;
    let segment = |from: usize, to: usize| {
        let sequence = start.wrapping_add(1).wrapping_add(from as u32);
        ipv6(6, &tcp(3000, 4000, sequence, 0x10, &stream[from..to]))
    };
    let end = stream.len();
    let frames = [
        ipv6(6, &tcp(3000, 4000, start, 2, &[])),
        ipv6(6, &tcp(4000, 3000, 9, 0x12, &[])),
        segment(0, 30),
        segment(100, 300),
        ipv6(6, &tcp(3001, 80, 5, 0x18, b"GET / HTTP/1.1\r\n\r\n")),
        segment(20, 70),
        segment(20, 70),
        segment(70, 130),
        segment(300, end),
        ipv6(6, &tcp(3000, 4000, start.wrapping_add(1 + end as u32), 0x11, &[])),
    ];
    let mut input = from_octets(capture(&frames));
    let (messages, noise) = all(&mut input);
    assert_eq!(noise, []);
    assert!(messages.iter().all(|(transport, _)| transport.protocol == Protocol::Tcp));
    assert_eq!(octets_of(messages), (0..20).map(message).collect::<Vec<_>>());
    assert_eq!(input.counters().missing_octets, 0);
}

#[test]
fn a_tcp_stream_with_a_gap_goes_on_at_the_next_message() {
    let stream: Vec<u8> = (10..20).flat_map(message).collect();
    let first = message(10).len();
    let frames = [
        ipv6(6, &tcp(3000, 4739, 1, 0x10, &stream[..first])),
        // 50 octets of the second message are missing, and the connection never ends.
        ipv6(6, &tcp(3000, 4739, 1 + first as u32 + 50, 0x10, &stream[first + 50..])),
    ];
    let mut input = from_octets(capture(&frames));
    let (messages, noise) = all(&mut input);
    let expected: Vec<_> = [10].into_iter().chain(12..20).map(message).collect();
    assert_eq!(octets_of(messages), expected);
    assert!(matches!(noise[0].kind, Kind::Resynchronised { .. }));
    assert_eq!(input.counters().missing_octets, 50);
}

/// Waits for a first message, passes over it, and gives the second.
fn second(input: &mut Input) -> Received<'_> {
    let mut tries = 0;
    loop {
        tries += 1;
        assert!(tries < 100, "nothing came");
        let idle = matches!(input.next(Duration::from_millis(50)).unwrap(), Some(Received::Idle));
        if !idle {
            break;
        }
    }
    input.next(Duration::from_secs(5)).unwrap().unwrap()
}

#[test]
fn a_udp_socket() {
    let mut input = Input::open("udp://[::1]:0").unwrap();
    let local = input.local_address().unwrap();
    let exporter = UdpSocket::bind("[::1]:0").unwrap();
    assert_eq!(input.next(Duration::from_millis(1)).unwrap(), Some(Received::Idle));
    for number in [1, 2] {
        exporter.send_to(&message(number), local).unwrap();
    }
    let Received::Message { transport, octets } = second(&mut input) else { panic!() };
    assert_eq!(octets, message(2));
    assert_eq!(transport.exporter, Some(exporter.local_addr().unwrap()));
    assert_eq!((transport.collector, transport.position), (Some(local), Position::Datagram(2)));
    assert!(transport.arrival.is_some());
}

#[test]
fn a_tcp_socket() {
    let mut input = Input::open("tcp://[::1]:0").unwrap();
    let mut exporter = TcpStream::connect(input.local_address().unwrap()).unwrap();
    let stream = [message(1), message(2)].concat();
    exporter.write_all(&stream[..70]).unwrap();
    exporter.flush().unwrap();
    let _ = input.next(Duration::from_millis(100)).unwrap();
    exporter.write_all(&stream[70..]).unwrap();
    drop(exporter);
    let Received::Message { transport, octets } = second(&mut input) else { panic!() };
    assert_eq!((octets, transport.protocol), (&message(2)[..], Protocol::Tcp));
    assert!(matches!(
        input.next(Duration::from_secs(5)).unwrap(),
        Some(Received::End { .. } | Received::Idle)
    ));
}

#[test]
fn names_that_cannot_be_meant() {
    for name in ["sctp://[::]:4739", "udp://localhost", "/dev/null/x", "/"] {
        let error = Input::open(name).unwrap_err();
        assert!(matches!(error, InputError::Usage(_)), "{name}: {error}");
        assert!(error.to_string().starts_with(name), "{error}");
    }
    let error = Input::from_reader(Cursor::new(b"hello".to_vec()), "greeting").unwrap_err();
    assert!(error.to_string().contains("greeting"), "{error}");
}
