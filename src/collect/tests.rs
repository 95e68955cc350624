use super::*;
use crate::ipfix::{FieldSpecifier, MessageBuilder, Template, Writer};
use ie_registry::ie;
use std::net::SocketAddr;

fn transport(protocol: Protocol, port: u16) -> Transport {
    let mut transport = Transport::file(0, 0);
    transport.protocol = protocol;
    transport.exporter = Some(SocketAddr::new(std::net::Ipv6Addr::LOCALHOST.into(), port));
    transport
}

fn build(domain: u32, write: impl FnOnce(&mut MessageBuilder)) -> Vec<u8> {
    let mut builder = MessageBuilder::new(60_000);
    builder.begin(domain, 0);
    write(&mut builder);
    builder.finish(0).to_vec()
}

fn label(id: u16) -> Template {
    Template::new(id, [FieldSpecifier::iana(ie::FLOW_LABEL_IPV6, 4)])
}

/// What a message gave, in short.
#[derive(Debug, Default, PartialEq)]
struct Told {
    records: Vec<u64>,
    changes: Vec<Change>,
    withdrawn: Vec<(u16, bool)>,
    kinds: Vec<&'static str>,
    end: MessageEnd,
    session: u32,
}

fn tell(collector: &mut Collector, transport: &Transport, octets: &[u8]) -> Told {
    let mut told = Told::default();
    collector.message(transport, octets, &mut |event| match event {
        Event::Message(message) => told.session = message.session,
        Event::Record(record) => {
            told.records.push(record.unsigned(ie::FLOW_LABEL_IPV6).unwrap_or(u64::MAX));
        }
        Event::Template { change, .. } => told.changes.push(change),
        Event::Withdrawal { id, known, .. } => told.withdrawn.push((id, known)),
        Event::Anomaly { anomaly, .. } => told.kinds.push(anomaly.kind.name()),
        Event::End { end, .. } => told.end = end,
        Event::Set { .. } => {}
    });
    told
}

fn collector(limits: Limits) -> Collector {
    Collector::new(limits, ie_registry::SIXTAP_DEFAULT_PEN)
}

fn one_record(id: u16, domain: u32) -> Vec<u8> {
    build(domain, |builder| builder.record(id, |out| out.u32(5)).unwrap())
}

/// Templates belong to one exporter, collector and domain (RFC 7011 section 8).
#[test]
fn templates_are_of_a_session_and_a_domain() {
    let mut collector = collector(Limits::default());
    let (one, other) = (transport(Protocol::Udp, 1), transport(Protocol::Udp, 2));
    let define = build(7, |builder| builder.template(&label(256)).unwrap());
    assert_eq!(tell(&mut collector, &one, &define).changes, [Change::New]);
    assert_eq!(tell(&mut collector, &one, &define).changes, [Change::Repeated]);
    assert_eq!(tell(&mut collector, &one, &one_record(256, 7)).records, [5]);
    let elsewhere = tell(&mut collector, &one, &one_record(256, 8));
    assert_eq!((elsewhere.kinds, elsewhere.end.unreadable_sets), (vec!["no-template"], 1));
    let stranger = tell(&mut collector, &other, &one_record(256, 7));
    assert_eq!((stranger.kinds, stranger.session), (vec!["no-template"], 1));
    collector.end_of_session(&one);
    assert_eq!(tell(&mut collector, &one, &one_record(256, 7)).kinds, ["no-template"]);
}

#[test]
fn a_template_that_changes() {
    let longer = Template::new(256, [FieldSpecifier::iana(31, 4), FieldSpecifier::iana(5, 1)]);
    let both = build(0, |builder| {
        builder.template(&label(256)).unwrap();
        builder.template(&longer).unwrap();
    });
    for (protocol, kinds) in [(Protocol::Udp, vec![]), (Protocol::Tcp, vec!["template-redefined"])]
    {
        let told = tell(&mut collector(Limits::default()), &transport(protocol, 1), &both);
        assert_eq!((told.changes, told.kinds), (vec![Change::New, Change::Changed], kinds));
    }
}

/// Withdrawals are ignored over UDP (RFC 7011 section 8.4), and known or unknown elsewhere.
#[test]
fn withdrawals() {
    let withdraw = build(0, |builder| {
        builder.template(&label(256)).unwrap();
        builder.template(&label(257)).unwrap();
        builder.withdraw(256, false).unwrap();
        builder.withdraw(256, false).unwrap();
        builder.withdraw(2, false).unwrap();
    });
    let told = tell(&mut collector(Limits::default()), &transport(Protocol::Tcp, 1), &withdraw);
    assert_eq!(told.withdrawn, [(256, true), (256, false), (2, true)]);
    assert_eq!(told.kinds, ["withdrawal"]);
    let mut over_udp = collector(Limits::default());
    let told = tell(&mut over_udp, &transport(Protocol::Udp, 1), &withdraw);
    assert_eq!(told.kinds, ["withdrawal"; 3]);
    let record = tell(&mut over_udp, &transport(Protocol::Udp, 1), &one_record(256, 0));
    assert_eq!(record.records, [5], "still known");
}

#[test]
fn memory_is_bounded() {
    let limits =
        Limits { sessions: 2, domains: 2, templates: 3, all_fields: 8, ..Limits::default() };
    let mut collector = collector(limits);
    let one = transport(Protocol::Udp, 1);
    for id in 256..260 {
        let define = build(0, |builder| builder.template(&label(id)).unwrap());
        tell(&mut collector, &one, &define);
    }
    // The least recently used of four made room.
    assert_eq!(tell(&mut collector, &one, &one_record(256, 0)).kinds, ["no-template"]);
    assert_eq!(tell(&mut collector, &one, &one_record(257, 0)).records, [5]);
    let wide = Template::new(300, vec![FieldSpecifier::iana(5, 1); 6]);
    let refused = build(0, |builder| builder.template(&wide).unwrap());
    let told = tell(&mut collector, &one, &refused);
    assert_eq!((told.kinds, told.end.complete), (vec!["limit"], false));
    // A third domain, then a third session: the oldest is forgotten, and what it held is free again.
    let define = |domain| build(domain, |builder| builder.template(&label(256)).unwrap());
    for domain in [1, 2] {
        tell(&mut collector, &one, &define(domain));
    }
    assert_eq!(tell(&mut collector, &one, &one_record(257, 0)).kinds[1..], ["no-template"]);
    for port in 2..20 {
        tell(&mut collector, &transport(Protocol::Udp, port), &define(0));
    }
    let last = tell(&mut collector, &transport(Protocol::Udp, 19), &one_record(256, 0));
    assert_eq!(last.records, [5]);
    assert_eq!(
        tell(&mut collector, &transport(Protocol::Udp, 19), &refused).changes,
        [Change::New]
    );
}

#[test]
fn the_end_says_what_was_understood() {
    let told = |octets: &[u8]| {
        let told = tell(&mut collector(Limits::default()), &transport(Protocol::Udp, 1), octets);
        (told.end.records, told.end.templates, told.end.complete, told.kinds)
    };
    let whole = build(0, |builder| {
        builder.template(&label(256)).unwrap();
        (0..3).for_each(|_| builder.record(256, |out| out.u32(1)).unwrap());
    });
    assert_eq!(told(&whole), (3, 1, true, vec![]));
    let cut = &whole[..whole.len() - 2];
    assert_eq!(told(cut), (2, 1, false, vec!["message-length", "set-length"]));
    let longer = [&whole[..], &[0, 0]].concat();
    assert_eq!(told(&longer), (3, 1, false, vec!["message-length"]));
    assert_eq!(told(&[0, 10]), (0, 0, false, vec!["header-truncated"]));
    assert_eq!(told(&[0, 77]), (0, 0, false, vec!["version"]));
    assert_eq!(told(&[]), (0, 0, false, vec!["header-truncated"]));
}

/// A type record (RFC 5610) gives names to elements of other enterprises.
#[test]
fn names_are_learnt_from_type_records() {
    let fields = [(303, 2), (346, 4), (339, 1), (344, 1), (345, 2), (341, 65535)];
    let fields = fields.map(|(id, length)| FieldSpecifier::iana(id, length));
    let types = Template::options(400, 2, fields);
    let theirs = FieldSpecifier { id: 9, enterprise: 4242, length: 2 };
    let message = build(0, |builder| {
        builder.template(&types).unwrap();
        let write = |out: &mut Writer<'_>| {
            out.u16(9);
            out.u32(4242);
            out.u8(2);
            out.u8(4);
            out.u16(0);
            out.variable(b"theirNumber");
        };
        builder.record(400, write).unwrap();
        builder.template(&Template::new(256, [theirs])).unwrap();
        builder.record(256, |out| out.u16(513)).unwrap();
    });
    let mut collector = collector(Limits::default());
    let mut text = String::new();
    collector.message(&Transport::file(message.len(), 0), &message, &mut |event| {
        if let Event::Record(record) = event
            && !record.template.is_options()
        {
            json::record_to_json(&record, &mut text);
        }
    });
    assert_eq!(text, r#"{"4242/theirNumber":513}"#);
}

/// NetFlow v9: an options template with a scope, a template, records, padding; count and sequence are of their own.
#[test]
fn netflow_9() {
    let mut message = vec![0, 9, 0, 4, 0, 0, 3, 0xe8, 0x65, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 9];
    message.extend_from_slice(&[0, 1, 0, 18, 1, 1, 0, 4, 0, 4, 0, 2, 0, 4, 0, 34, 0, 2, 0, 0]);
    message[20 + 3] = 20;
    message.extend_from_slice(&[1, 1, 0, 12, 0, 0, 0, 3, 0, 100, 0, 0]);
    message.extend_from_slice(&[0, 0, 0, 12, 1, 0, 0, 1, 0, 31, 0, 3]);
    message.extend_from_slice(&[1, 0, 0, 8, 1, 0x23, 0x45, 0]);
    let mut collector = collector(Limits::default());
    let mut lines = Vec::new();
    collector.message(&transport(Protocol::Udp, 1), &message, &mut |event| match event {
        Event::Message(message) => {
            assert_eq!((message.version, message.header.stated), (Version::Netflow9, 4));
            let header = message.header;
            assert_eq!((header.uptime, header.sequence, header.domain), (Some(1000), 7, 9));
        }
        Event::Record(record) => {
            let mut line = String::new();
            json::record_to_json(&record, &mut line);
            lines.push(line);
        }
        Event::Anomaly { anomaly, .. } => panic!("{anomaly}"),
        _ => {}
    });
    assert_eq!(
        lines,
        [r#"{"scopeInterface":3,"samplingInterval":100}"#, r#"{"flowLabelIPv6":74565}"#]
    );
}

/// Fields without octets cost work, not octets: a message may have many of them, but not without end.
#[test]
fn work_is_bounded() {
    let fields = [&[FieldSpecifier::iana(5, 1)][..], &[FieldSpecifier::iana(82, 0); 4000]].concat();
    let message = build(0, |builder| {
        builder.template(&Template::new(256, fields)).unwrap();
        (0..40_000).for_each(|_| builder.record(256, |out| out.u8(1)).unwrap());
    });
    let told = tell(&mut collector(Limits::default()), &transport(Protocol::Udp, 1), &message);
    assert_eq!((told.end.records, told.kinds), (16, vec!["limit"]));
}

/// What is beyond a limit of the message or the Set is not read; a Template that had to go is told.
#[test]
fn limits_cut_messages_and_sets() {
    let message = build(0, |builder| {
        builder.template(&label(256)).unwrap();
        (0..9).for_each(|value| builder.record(256, |out| out.u32(value)).unwrap());
        builder.template(&label(257)).unwrap();
        builder.record(257, |out| out.u32(9)).unwrap();
    });
    let told = |limits| {
        let told = tell(&mut collector(limits), &transport(Protocol::Tcp, 1), &message);
        (told.end.records, told.end.complete, told.kinds)
    };
    let all = Limits::default();
    assert_eq!(told(all), (10, true, vec![]));
    // The other Set is read: only one was too long.
    assert_eq!(told(Limits { records: 4, ..all }), (5, false, vec!["limit"]));
    let octets = message.len();
    assert_eq!(told(Limits { octets, ..all }), (10, true, vec![]));
    assert_eq!(told(Limits { octets: octets - 1, ..all }), (9, false, vec!["limit"]));
    assert_eq!(told(Limits { octets: 16, ..all }), (0, false, vec!["limit"]));
    assert_eq!(told(Limits { templates: 1, ..all }), (10, true, vec!["limit"]));
}
