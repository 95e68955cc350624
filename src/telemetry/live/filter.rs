//! Which live flows to show: a small language after tcpdump's.
//!
//! ```text
//! ip6 and (port 443 or port 53) and not net 2001:db8::/32
//! frag or eh rh
//! ```
//!
//! Bounded: [`MOST_WORDS`] words, so that neither reading nor judging can be made slow.

use super::{Flow, HEADER_NAMES};
use std::net::IpAddr;
use std::str::FromStr;

/// Most words of an expression.
const MOST_WORDS: usize = 64;
/// Bits of both kinds of Fragment header.
const FRAGMENT_BITS: u16 = 1 << 4 | 1 << 6;

/// An expression; the empty one selects every flow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    text: String,
    rule: Option<Rule>,
}

/// Why an expression cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; write for example: ip6 and (port 443 or icmp6) and not net 2001:db8::/32")]
pub struct FilterError {
    problem: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    All(Vec<Rule>),
    Any(Vec<Rule>),
    Not(Box<Rule>),
    Ipv6(bool),
    Protocol(u8),
    Port(Side, u16),
    Network(Side, IpAddr, u8),
    Vlan(u16),
    Label(u32),
    Headers(u16),
    Fragments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Either,
    Source,
    Destination,
}

impl Filter {
    /// Whether the flow is to be shown.
    #[must_use]
    pub fn selects(&self, flow: &Flow) -> bool {
        self.rule.as_ref().is_none_or(|rule| rule.holds(flow))
    }

    /// As the user wrote it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let spaced = text.replace('(', " ( ").replace(')', " ) ");
        let words: Vec<&str> = spaced.split_whitespace().collect();
        if words.len() > MOST_WORDS {
            return Err(error(format!("more than {MOST_WORDS} words")));
        }
        if words.is_empty() {
            return Ok(Self::default());
        }
        let mut reader = Reader { words: &words };
        let rule = reader.any()?;
        match reader.words.first() {
            None => Ok(Self { text: text.trim().to_owned(), rule: Some(rule) }),
            Some(word) => Err(error(format!("\"{word}\" was not expected"))),
        }
    }
}

fn error(problem: String) -> FilterError {
    FilterError { problem }
}

struct Reader<'a> {
    words: &'a [&'a str],
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    fn take(&mut self, word: &str) -> bool {
        let is = self.words.first() == Some(&word);
        if is {
            self.words = &self.words[1..];
        }
        is
    }

    fn any(&mut self) -> Result<Rule, FilterError> {
        let mut rules = vec![self.all()?];
        while self.take("or") || self.take("||") {
            rules.push(self.all()?);
        }
        Ok(if rules.len() == 1 { rules.remove(0) } else { Rule::Any(rules) })
    }

    fn all(&mut self) -> Result<Rule, FilterError> {
        let mut rules = vec![self.one()?];
        while self.take("and") || self.take("&&") {
            rules.push(self.one()?);
        }
        Ok(if rules.len() == 1 { rules.remove(0) } else { Rule::All(rules) })
    }

    fn one(&mut self) -> Result<Rule, FilterError> {
        if self.take("not") || self.take("!") {
            return Ok(Rule::Not(Box::new(self.one()?)));
        }
        if self.take("(") {
            let rule = self.any()?;
            if !self.take(")") {
                return Err(error("a closing parenthesis is missing".to_owned()));
            }
            return Ok(rule);
        }
        let word = self.next().ok_or_else(|| error("the expression ends too early".to_owned()))?;
        match word {
            "src" => self.sided(Side::Source),
            "dst" => self.sided(Side::Destination),
            "port" | "host" | "net" => self.of(word, Side::Either),
            "ip" | "ip4" | "ipv4" => Ok(Rule::Ipv6(false)),
            "ip6" | "ipv6" => Ok(Rule::Ipv6(true)),
            "tcp" => Ok(Rule::Protocol(6)),
            "udp" => Ok(Rule::Protocol(17)),
            "icmp" => Ok(Rule::Protocol(1)),
            "icmp6" | "icmpv6" => Ok(Rule::Protocol(58)),
            "sctp" => Ok(Rule::Protocol(132)),
            "esp" => Ok(Rule::Protocol(50)),
            "proto" => self.number(word).map(Rule::Protocol),
            "vlan" => self.number(word).map(Rule::Vlan),
            "label" => self.label(),
            "frag" => Ok(Rule::Fragments),
            "eh" => Ok(self.headers()),
            _ => Err(error(format!("\"{word}\" is not known"))),
        }
    }

    fn sided(&mut self, side: Side) -> Result<Rule, FilterError> {
        match self.words.first() {
            Some(&word @ ("port" | "host" | "net")) => {
                self.next();
                self.of(word, side)
            }
            _ => self.of("host", side),
        }
    }

    fn of(&mut self, what: &str, side: Side) -> Result<Rule, FilterError> {
        if what == "port" {
            return self.number(what).map(|port| Rule::Port(side, port));
        }
        let value = self.value(what)?;
        let (address, length) = value
            .split_once('/')
            .map_or((value, None), |(address, length)| (address, Some(length)));
        let wrong = || error(format!("\"{value}\" is no address or network"));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let bits = if address.is_ipv6() { 128 } else { 32 };
        let length: u8 = length.map_or(Ok(bits), str::parse).map_err(|_| wrong())?;
        if length > bits {
            return Err(wrong());
        }
        Ok(Rule::Network(side, address, length))
    }

    fn value(&mut self, what: &str) -> Result<&'a str, FilterError> {
        self.next().ok_or_else(|| error(format!("what is meant by \"{what}\" is missing")))
    }

    fn number<T: FromStr>(&mut self, what: &str) -> Result<T, FilterError> {
        let value = self.value(what)?;
        value.parse().map_err(|_| error(format!("{what} \"{value}\" is no number of that kind")))
    }

    fn label(&mut self) -> Result<Rule, FilterError> {
        let value = self.value("label")?;
        let label = match value.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => value.parse(),
        };
        match label {
            Ok(label) if label < 1 << 20 => Ok(Rule::Label(label)),
            _ => Err(error(format!("\"{value}\" is no flow label (20 bits)"))),
        }
    }

    /// `eh`, or `eh` and the name of a header.
    fn headers(&mut self) -> Rule {
        let named = self.words.first().and_then(|word| {
            if word.eq_ignore_ascii_case("fra") {
                return Some(FRAGMENT_BITS);
            }
            let bit = HEADER_NAMES.iter().position(|name| name.eq_ignore_ascii_case(word))?;
            Some(1 << bit)
        });
        if named.is_some() {
            self.next();
        }
        Rule::Headers(named.unwrap_or(u16::MAX))
    }
}

impl Rule {
    fn holds(&self, flow: &Flow) -> bool {
        match self {
            Self::All(rules) => rules.iter().all(|rule| rule.holds(flow)),
            Self::Any(rules) => rules.iter().any(|rule| rule.holds(flow)),
            Self::Not(rule) => !rule.holds(flow),
            Self::Ipv6(ipv6) => flow.source.is_ipv6() == *ipv6,
            Self::Protocol(protocol) => flow.protocol == *protocol,
            Self::Port(side, port) => {
                has_ports(flow.protocol)
                    && either(*side, flow.source_port == *port, flow.destination_port == *port)
            }
            Self::Network(side, address, length) => either(
                *side,
                within(flow.source, *address, *length),
                within(flow.destination, *address, *length),
            ),
            Self::Vlan(vlan) => flow.vlan == *vlan,
            Self::Label(label) => flow.source.is_ipv6() && flow.label == *label,
            Self::Headers(bits) => flow.headers & bits != 0,
            Self::Fragments => flow.fragments.packets > 0,
        }
    }
}

const fn has_ports(protocol: u8) -> bool {
    !matches!(protocol, 1 | 58)
}

const fn either(side: Side, source: bool, destination: bool) -> bool {
    match side {
        Side::Either => source || destination,
        Side::Source => source,
        Side::Destination => destination,
    }
}

fn within(address: IpAddr, network: IpAddr, length: u8) -> bool {
    match (address, network) {
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            let differ = u128::from(address) ^ u128::from(network);
            length == 0 || differ >> (128 - u32::from(length)) == 0
        }
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            let differ = u32::from(address) ^ u32::from(network);
            length == 0 || differ >> (32 - u32::from(length)) == 0
        }
        _ => false,
    }
}
