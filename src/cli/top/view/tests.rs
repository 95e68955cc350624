use super::super::screen::{Key, Reading};
use super::*;
use crate::telemetry::live::{Flow, Fragments};
use crate::telemetry::{Collector, Loss, Traffic};

fn flow(source: &str, destination: &str) -> Flow {
    Flow {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        source_port: 50_000,
        destination_port: 443,
        ports_unknown: false,
        protocol: 6,
        vlan: 0,
        packets: 1_200,
        octets: 3_400_000,
        first: 0,
        last: 2_000_000_000,
        headers: 0,
        tcp_flags: 0x12,
        label: 0,
        fragments: Fragments::default(),
    }
}

fn row(flow: Option<Flow>, name: &str) -> Row {
    Row {
        flow,
        name: name.into(),
        flows: 7,
        packets: 1_200,
        octets: 3_400_000,
        rate: 125_000.0,
        fragments: Fragments::default(),
    }
}

fn screen(view: View, rows: Vec<Row>) -> Screen {
    let longest = "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff";
    let mut rows = rows;
    if view == View::Flows {
        rows = vec![
            row(Some(flow("192.0.2.1", "198.51.100.2")), ""),
            row(
                Some(Flow {
                    headers: 0b10_0010,
                    label: 0xf0027,
                    fragments: Fragments { packets: 3, overlaps: 1, ..Fragments::default() },
                    ..flow(longest, longest)
                }),
                "",
            ),
        ];
    }
    let status = Status {
        time: 185_000,
        started: 1_000,
        flows: 12_345,
        capacity: 1 << 20,
        lost: 42,
        losses: vec![Loss { cause: "receive ring full: worker too slow".into(), count: 42 }],
        traffic: Traffic {
            ipv4_octets: 1_000,
            ipv6_octets: 3_000,
            ipv4_packets: 10,
            ipv6_packets: 200,
            extended: 50,
            headers: vec![("hop_by_hop".into(), 40), ("routing".into(), 0), ("esp".into(), 10)],
            atomic_fragments: 4,
            ..Traffic::default()
        },
        workers: vec![Worker {
            name: "eth1 queue 0".into(),
            mode: "zero-copy".into(),
            frames: 900,
            lost: 42,
            ..Worker::default()
        }],
        collectors: vec![Collector {
            name: "udp://[2001:db8::1]:4739".into(),
            sent: 5_000,
            ..Collector::default()
        }],
        ..Status::default()
    };
    let found = Found { rows, flows: 9, selected: 9, ..Found::default() };
    let mut screen = Screen { view, ..Screen::default() };
    let ledger = Some("capture\n  frames delivered  900\n".to_owned());
    screen.look(Ok(Reading { status, found: Some(found), ledger }));
    screen
}

fn text(screen: &Screen, columns: usize, lines: usize) -> Vec<String> {
    let drawn = draw(screen, "eth1", columns, lines);
    assert_eq!(drawn.len(), lines);
    let text: Vec<String> = drawn.iter().map(Line::text).collect();
    for line in &text {
        assert_eq!(line.chars().count(), columns, "{line:?}");
    }
    text
}

fn has(lines: &[String], words: &str) -> bool {
    lines.iter().any(|line| line.contains(words))
}

#[test]
fn the_longest_addresses_are_whole_in_80_columns() {
    let lines = text(&screen(View::Flows, Vec::new()), 80, 24);
    let numbers = "  1.20 k   3.40 M   1.00 M";
    let long = "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]";
    let title = "PROTO  SOURCE > DESTINATION";
    assert_eq!(lines[4], format!("{title:<54} PACKETS   OCTETS    BIT/S"));
    let short = "TCP    192.0.2.1:50000 > 198.51.100.2:443";
    assert_eq!(lines[5], format!("{short:<54}{numbers}"));
    let source = format!("TCP    {long}:50000");
    assert_eq!(lines[6], format!("{source:<54}{numbers}"));
    let destination = format!("     > {long}:443");
    assert_eq!(lines[7], format!("{destination:<54}{:>26}", "HOP,RH frag …RLAP 0xf0027"));
    assert!(lines[0].starts_with(" sixtap top  eth1  zero-copy  up 3:04 min  "), "{}", lines[0]);
    assert!(lines[0].ends_with("  healthy "), "{}", lines[0]);
    assert!(lines[2].contains("lost 42 (0/s)  most: receive ring full"), "{}", lines[2]);
}

#[test]
fn a_wide_terminal_shows_a_flow_in_one_line() {
    let lines = text(&screen(View::Flows, Vec::new()), 170, 24);
    let both = "ffff]:50000 > [2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:443 ";
    assert!(
        has(&lines, both) && has(&lines, "HOP,RH frag 3 OVERLAP 0xf0027   1.20 k"),
        "{lines:#?}"
    );
}

#[test]
fn every_view_fits_every_terminal() {
    for view in View::ALL {
        let mut screen = screen(view, (0..40).map(|n| row(None, &format!("group {n}"))).collect());
        for (columns, lines) in [(20, 6), (40, 10), (80, 24), (80, 25), (200, 60)] {
            for scroll in [0, 3, 1000] {
                screen.scroll = scroll;
                text(&screen, columns, lines);
            }
        }
        screen.help = true;
        text(&screen, 80, 24);
    }
    text(&Screen::default(), 80, 24);
}

#[test]
fn groups_headers_and_fragments_are_shown() {
    let lines = text(&screen(View::Networks, vec![row(None, "2001:db8:1:2::/64")]), 80, 24);
    assert!(lines[5].starts_with("2001:db8:1:2::/64  "), "{}", lines[5]);
    assert!(lines[5].ends_with("  7  1.20 k   3.40 M   1.00 M"), "{}", lines[5]);
    let lines = text(&screen(View::Headers, vec![row(None, "HOP,RH")]), 80, 24);
    assert!(has(&lines, "50 of 200 IPv6 packets have extension headers (25 %)"), "{lines:#?}");
    assert!(has(&lines, " hop by hop 40, esp 10 "), "{lines:#?}");
    assert!(
        has(&lines, "FRAGMENTS  IPv6 0, atomic 4, IPv4 0; without their first 0"),
        "{lines:#?}"
    );
    assert!(has(&lines, "live: overlaps 0"), "{lines:#?}");
}

#[test]
fn queues_collectors_and_causes_are_shown() {
    let lines = text(&screen(View::Queues, Vec::new()), 80, 24);
    assert!(has(&lines, "eth1 queue 0        zero-copy"), "{lines:#?}");
    assert!(has(&lines, "42  running"), "{lines:#?}");
    assert!(has(&lines, "udp://[2001:db8::1]:4739"), "{lines:#?}");
    assert!(has(&lines, " receive ring full: worker too slow"), "{lines:#?}");
    let lines = text(&screen(View::Ledger, Vec::new()), 80, 24);
    assert!(has(&lines, "   frames delivered  900"), "{lines:#?}");
}

#[test]
fn the_foot_says_what_is_going_on() {
    let mut screen = screen(View::Flows, Vec::new());
    assert!(has(&text(&screen, 80, 24)[23..], " o octets p packets f flows r rate"));
    screen.key(Key::Letter('/'));
    screen.key(Key::Letter('x'));
    assert!(text(&screen, 80, 24)[23].starts_with(" filter: x_ "));
    screen.key(Key::Enter);
    assert!(text(&screen, 80, 24)[23].starts_with(" \"x\" is not known"));
    screen.key(Key::Escape);
    screen.look(Err("control socket x: gone".to_owned()));
    let lines = text(&screen, 80, 24);
    assert!(
        lines[0].ends_with("does not answer ") && lines[2].starts_with(" control socket x: gone")
    );
}
