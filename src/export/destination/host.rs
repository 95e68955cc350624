//! A host and a port.

use super::DEFAULT_PORT;
use std::fmt;

/// A host and a port, not yet resolved.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host {
    /// Name or address; an IPv6 address without brackets.
    pub name: String,
    /// Port.
    pub port: u16,
}

impl Host {
    /// Reads `HOST`, `HOST:PORT`, `[IPv6]` or `[IPv6]:PORT`.
    pub(super) fn parse(text: &str, default: u16) -> Result<Self, String> {
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
            None => default,
            Some(port) => match port.parse() {
                Ok(port) if port != 0 => port,
                _ => return Err(format!("\"{port}\" is not a port from 1 to 65535")),
            },
        };
        Ok(Self { name: name.to_owned(), port })
    }

    /// With the usual port.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), port: DEFAULT_PORT }
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
