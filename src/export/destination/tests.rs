use super::*;

#[test]
fn what_is_understood_is_written_the_same() {
    for text in [
        "udp://[2001:db8::1]:4739",
        "udp://192.0.2.1:9995",
        "udp://[2001:db8::1]:4739?source=2001:db8::2&interface=eth0&dscp=46&rate=100000000",
        "tcp://collector.example:4740",
        "tls://collector.example:4740?ca=ca.pem&cert=a.pem&key=a.key&name=flows.example",
        "tls://192.0.2.1:4740?source=192.0.2.2&ca=/etc/ssl/ca.pem",
        "sctp://[2001:db8::1]:4739?dscp=8&lifetime=500ms",
        "unix:/run/flows.sock",
        "file:/tmp/a b.ipfix",
        "file:/var/flows/%Y%m%d%H%M.ipfix?rotate=300s&size=100000000&zstd=1",
        "json:out.jsonl",
        "json:out.jsonl?rotate=3600s",
        "json:-",
        "failover:tcp://a:4739,tcp://b:4739?dscp=46",
        "balance:udp://a:1,udp://[::1]:2,unix:/tmp/a,b",
    ] {
        assert_eq!(text.parse::<Destination>().unwrap().to_string(), text);
    }
    for (text, whole) in [
        ("udp://[fe80::1%eth0]", "udp://[fe80::1%eth0]:4739"),
        ("tcp://a/", "tcp://a:4739"),
        ("tls://a?ca=x", "tls://a:4740?ca=x"),
        ("udp://a?dscp=af41&rate=10M", "udp://a:4739?dscp=34&rate=10000000"),
        ("file:a?rotate=5m&size=1k&zstd=no", "file:a?rotate=300s&size=1000"),
        ("file:what?", "file:what?"),
    ] {
        assert_eq!(text.parse::<Destination>().unwrap().to_string(), whole);
    }
    let group = "failover:tls://a?ca=b,udp://c?rate=5".parse::<Destination>().unwrap();
    assert_eq!(group.name(), "failover:tls://a:4740,udp://c:4739");
}

#[test]
fn what_is_not_understood_has_its_reason() {
    for (text, reason) in [
        ("collector", "none of udp, nfv9+udp, tcp"),
        ("udp:host", "\"//\" is missing"),
        ("udp://2001:db8::1:4739", "brackets"),
        ("udp://[2001:db8::1", "closing bracket"),
        ("udp://[2001:db8::g]", "not an IPv6 address"),
        ("udp://[::1]4739", "colon"),
        ("udp://host:0", "not a port"),
        ("udp://host:70000", "not a port"),
        ("udp://:4739", "host is missing"),
        ("udp://host?dscp=64", "dscp=64: write"),
        ("udp://host?dscp=", "dscp has no value"),
        ("udp://host?dscp=1&dscp=2", "twice"),
        ("udp://host?colour=red", "colour is not one of its parameters source, interface, dscp"),
        ("udp://host?dscp=1&colour", "no KEY=VALUE"),
        ("udp://[::1]?source=192.0.2.1", "two address families"),
        ("udp://host?interface=eth/0", "interface=eth/0: write"),
        ("udp://host?rate=fast", "rate=fast: write"),
        ("tcp://host?rate=1M", "rate is not one of"),
        ("sctp://host?lifetime=long", "lifetime=long: write"),
        ("tls://host", "ca=FILE is missing"),
        ("tls://host?ca=a&cert=b", "key=FILE is missing"),
        ("tls://host?ca=a&key=b", "cert=FILE is missing"),
        ("dtls://host", "DTLS is not supported"),
        ("file:", "path is missing"),
        ("file:a?rotate=10ms", "a second is the least"),
        ("json:-?zstd=1", "takes no parameters"),
        ("unix:", "path is missing"),
        ("gopher://host", "\"gopher\" is none of"),
        ("failover:udp://a", "two collectors or more"),
        ("failover:udp://a,udp://a", "given twice"),
        ("failover:udp://a,file:b", "only IPFIX collectors at a socket"),
        ("balance:udp://a,gopher://b", "gopher://b: \"gopher\" is none of"),
    ] {
        let error = text.parse::<Destination>().unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
        assert!(error.contains("udp://[2001:db8::1]:4739"), "{error}");
    }
}
