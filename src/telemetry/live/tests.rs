use super::ranking::GROUPS;
use super::*;

fn flow(number: u64) -> Flow {
    let source = format!("2001:db8:{:x}:{:x}::1", number >> 16, number & 0xffff);
    Flow {
        source: source.parse().unwrap(),
        destination: "2001:db8::2".parse().unwrap(),
        source_port: 50_000,
        destination_port: 443,
        ports_unknown: false,
        protocol: 6,
        vlan: 7,
        packets: number + 1,
        octets: 100 * (number + 1),
        first: 1_000_000_000,
        last: 3_000_000_000,
        headers: 0,
        tcp_flags: 0x12,
        label: 0x12345,
        fragments: Fragments::default(),
    }
}

fn question(by: By, sort: Sort, count: usize, filter: &str) -> Question {
    Question { by, sort, count, filter: filter.parse().unwrap() }
}

fn ask(question: &Question, flows: impl Iterator<Item = Flow>) -> Found {
    let mut ranking = Ranking::new(question);
    flows.for_each(|flow| ranking.add(&flow));
    Found::together(vec![ranking.take()], question)
}

#[test]
fn the_largest_flows_come_first_whatever_the_order() {
    let question = question(By::Flow, Sort::Octets, 5, "");
    let scattered = (0..10_000).map(|number| flow(number * 7919 % 10_000));
    let found = ask(&question, scattered);
    let octets: Vec<u64> = found.rows.iter().map(|row| row.octets).collect();
    assert_eq!(octets, [1_000_000, 999_900, 999_800, 999_700, 999_600]);
    assert_eq!((found.flows, found.selected, found.ipv6), (10_000, 10_000, 10_000));
    assert_eq!(found.packets, 10_000 * 10_001 / 2);
}

#[test]
fn a_rate_is_over_the_life_of_the_record_and_of_a_second_at_least() {
    let question = question(By::Flow, Sort::Rate, 2, "");
    let short = Flow { first: 5, last: 6, octets: 150, ..flow(1) };
    let found = ask(&question, [flow(1), short].into_iter());
    let rates: Vec<f64> = found.rows.iter().map(|row| row.rate).collect();
    assert_eq!(rates, [150.0, 100.0]);
}

#[test]
fn groups_add_up_over_workers() {
    let question = question(By::Network, Sort::Flows, 10, "");
    let worker = |numbers: &[u64]| {
        let mut ranking = Ranking::new(&question);
        numbers.iter().for_each(|number| ranking.add(&flow(*number)));
        ranking.take()
    };
    let found = Found::together(vec![worker(&[1, 1, 2]), worker(&[1, 3])], &question);
    let rows: Vec<(&str, u64, u64)> =
        found.rows.iter().map(|row| (row.name.as_str(), row.flows, row.packets)).collect();
    assert_eq!(rows[0], ("2001:db8:0:1::/64", 3, 6));
    assert_eq!(rows.len(), 3);
    assert_eq!(found.flows, 5);
}

#[test]
fn a_flood_of_groups_stays_within_bounds_and_hides_no_large_one() {
    let question = question(By::Source, Sort::Packets, 3, "");
    let large = Flow { packets: 1_000_000, ..flow(0xffff_ffff) };
    let flood = (0..20 * GROUPS as u64).map(|number| Flow { packets: 1, ..flow(number) });
    let found = ask(&question, std::iter::once(large).chain(flood).chain(std::iter::once(large)));
    assert_eq!(found.rows[0].packets, 2_000_000);
    assert_eq!(found.rows.len(), 3);
    assert!(found.dropped > 10 * GROUPS as u64, "{}", found.dropped);
    assert_eq!(found.packets, 20 * GROUPS as u64 + 2_000_000, "the sums miss nothing");
}

#[test]
fn headers_are_grouped_for_ipv6_only() {
    let question = question(By::Headers, Sort::Packets, 9, "");
    let ipv4 = Flow { source: "192.0.2.1".parse().unwrap(), ..flow(9) };
    let extended = Flow { headers: 0b10_0010, packets: 50, ..flow(3) };
    let found = ask(&question, [ipv4, extended, flow(1)].into_iter());
    let names: Vec<&str> = found.rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["HOP,RH", "none"]);
}

#[test]
fn filters_select() {
    let fragmented = Fragments { packets: 2, ..Fragments::default() };
    let flow = Flow { headers: 0b10_0000, fragments: fragmented, ..flow(1) };
    let cases = [
        ("", true),
        ("ip6", true),
        ("ip", false),
        ("tcp and port 443", true),
        ("src port 443", false),
        ("dst port 443", true),
        ("port 50000 or port 1", true),
        ("not port 443", false),
        ("! (ip4 || udp) && tcp", true),
        ("host 2001:db8::2", true),
        ("src 2001:db8::2", false),
        ("dst net 2001:db8::/127", false),
        ("dst net 2001:db8::/126", true),
        ("net ::/0", true),
        ("net 0.0.0.0/0", false),
        ("vlan 7", true),
        ("label 0x12345", true),
        ("label 1", false),
        ("frag", true),
        ("eh", true),
        ("eh rh", true),
        ("eh fra", false),
        ("eh and proto 6", true),
        ("eh HOP or icmp6", false),
    ];
    for (text, selected) in cases {
        let filter: Filter = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(filter.selects(&flow), selected, "{text}");
        assert_eq!(filter.text(), text.trim());
    }
}

#[test]
fn an_icmp_type_is_no_port() {
    let echo = Flow { protocol: 58, destination_port: 128 << 8, ..flow(1) };
    let filter: Filter = "port 32768".parse().unwrap();
    assert!(!filter.selects(&echo));
    let question = question(By::Port, Sort::Flows, 1, "icmp6");
    assert_eq!(ask(&question, std::iter::once(echo)).rows[0].name, "ICMPv6 128/0");
}

#[test]
fn what_is_not_understood_has_its_reason() {
    for (text, reason) in [
        ("prot 6", "\"prot\" is not known"),
        ("ip6 and", "ends too early"),
        ("(ip6", "closing parenthesis"),
        ("ip6 )", "\")\" was not expected"),
        ("ip6 tcp", "\"tcp\" was not expected"),
        ("port 70000", "no number"),
        ("net 2001:db8::/129", "no address or network"),
        ("host example", "no address or network"),
        ("label 0x100000", "no flow label"),
        (&"( ".repeat(65), "more than 64 words"),
        ("port", "is missing"),
    ] {
        let error = text.parse::<Filter>().unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
        assert!(error.contains("write for example"), "{error}");
    }
}

#[test]
fn words_are_read_as_they_are_written() {
    for (name, by) in BY {
        assert_eq!((name.parse(), by.to_string().as_str()), (Ok(by), name));
    }
    for (name, sort) in SORT {
        assert_eq!((name.parse(), sort.to_string().as_str()), (Ok(sort), name));
    }
    let error = "size".parse::<Sort>().unwrap_err().to_string();
    assert_eq!(error, "\"size\" is none of octets, packets, flows, rate");
}

#[test]
fn names_of_headers_are_those_of_rfc_9740() {
    assert_eq!(header_names(0), "-");
    assert_eq!(header_names(1 << 1 | 1 << 5 | 1 << 13), "HOP,RH,254");
}
