//! Where records go, as the user writes it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Port of IPFIX (RFC 7011 section 10).
pub const DEFAULT_PORT: u16 = 4739;

/// A collector.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// `udp://HOST:PORT`: IPFIX over UDP.
    Udp(Host),
    /// `tcp://HOST:PORT`: IPFIX over TCP.
    Tcp(Host),
    /// `file:PATH`: IPFIX file (RFC 5655).
    File(PathBuf),
    /// `json:PATH` or `json:-` (standard output, `None`): one JSON object a line.
    Json(Option<PathBuf>),
}

/// A host and a port, not yet resolved.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host {
    /// Name or address; an IPv6 address without brackets.
    pub name: String,
    /// Port.
    pub port: u16,
}

/// Why a collector cannot be understood. Exit status 2.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "collector \"{given}\": {problem}; write for example udp://[2001:db8::1]:4739, tcp://collector.example, file:OUT.ipfix or json:-"
)]
pub struct DestinationError {
    /// What the user wrote.
    pub given: String,
    /// What is wrong with it.
    pub problem: String,
}

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(given: &str) -> Result<Self, DestinationError> {
        let error = |problem: &str| DestinationError {
            given: given.to_owned(),
            problem: problem.to_owned(),
        };
        let Some((scheme, rest)) = given.split_once(':') else {
            return Err(error("it says neither udp, tcp, file nor json"));
        };
        let host = || match rest.strip_prefix("//") {
            Some(host) => Host::parse(host).map_err(|problem| error(&problem)),
            None => Err(error(&format!("\"//\" is missing behind \"{scheme}:\""))),
        };
        match scheme {
            "udp" => Ok(Self::Udp(host()?)),
            "tcp" => Ok(Self::Tcp(host()?)),
            "file" | "json" if rest.is_empty() => Err(error("the path is missing")),
            "file" => Ok(Self::File(PathBuf::from(rest))),
            "json" if rest == "-" => Ok(Self::Json(None)),
            "json" => Ok(Self::Json(Some(PathBuf::from(rest)))),
            "tls" | "dtls" | "sctp" => Err(error(&format!(
                "{scheme} is not there yet; use tcp (through a TLS tunnel where needed) or udp"
            ))),
            _ => Err(error(&format!("\"{scheme}\" is neither udp, tcp, file nor json"))),
        }
    }
}

impl Host {
    /// Reads `HOST`, `HOST:PORT`, `[IPv6]` or `[IPv6]:PORT`.
    fn parse(text: &str) -> Result<Self, String> {
        let text = text.strip_suffix('/').unwrap_or(text);
        let (name, port) = if let Some(inner) = text.strip_prefix('[') {
            let (name, behind) =
                inner.split_once(']').ok_or("the closing bracket is missing".to_owned())?;
            let address = name.split('%').next().unwrap_or(name);
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(format!("\"{name}\" is not an IPv6 address"));
            }
            match behind {
                "" => (name, None),
                port => (
                    name,
                    Some(port.strip_prefix(':').ok_or("a colon is meant behind the bracket")?),
                ),
            }
        } else if text.matches(':').count() > 1 {
            return Err("an IPv6 address stands in brackets".to_owned());
        } else {
            match text.split_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (text, None),
            }
        };
        if name.is_empty() {
            return Err("the host is missing".to_owned());
        }
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => match port.parse() {
                Ok(port) if port != 0 => port,
                _ => return Err(format!("\"{port}\" is not a port from 1 to 65535")),
            },
        };
        Ok(Self { name: name.to_owned(), port })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]:{}", self.name, self.port)
        } else {
            write!(f, "{}:{}", self.name, self.port)
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(host) => write!(f, "udp://{host}"),
            Self::Tcp(host) => write!(f, "tcp://{host}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Json(None) => f.write_str("json:-"),
            Self::Json(Some(path)) => write!(f, "json:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_understood_is_written_the_same() {
        for text in [
            "udp://[2001:db8::1]:4739",
            "udp://192.0.2.1:9995",
            "tcp://collector.example:4740",
            "file:/tmp/a b.ipfix",
            "json:out.jsonl",
            "json:-",
        ] {
            assert_eq!(text.parse::<Destination>().unwrap().to_string(), text);
        }
        let default = "udp://[fe80::1%eth0]".parse::<Destination>().unwrap();
        assert_eq!(default.to_string(), "udp://[fe80::1%eth0]:4739");
        assert_eq!("tcp://a/".parse::<Destination>().unwrap().to_string(), "tcp://a:4739");
    }

    #[test]
    fn what_is_not_understood_has_its_reason() {
        for (text, reason) in [
            ("collector", "neither udp, tcp, file nor json"),
            ("udp:host", "\"//\" is missing"),
            ("udp://2001:db8::1:4739", "brackets"),
            ("udp://[2001:db8::1", "closing bracket"),
            ("udp://[2001:db8::g]", "not an IPv6 address"),
            ("udp://[::1]4739", "colon"),
            ("udp://host:0", "not a port"),
            ("udp://host:70000", "not a port"),
            ("udp://:4739", "host is missing"),
            ("file:", "path is missing"),
            ("kafka://host", "\"kafka\" is neither"),
            ("tls://host", "not there yet"),
        ] {
            let error = text.parse::<Destination>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
            assert!(error.contains("udp://[2001:db8::1]:4739"), "{error}");
        }
    }
}
