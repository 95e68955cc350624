//! Where records go, as the user writes it.
//!
//! `SCHEME:REST?KEY=VALUE&KEY=VALUE`; what is understood is written the same way by [`Destination`]'s `Display`.

mod host;
mod parameters;

pub use host::Host;

use super::sink::{KafkaTopic, ParquetDirectory};
use parameters::{Parameters, amount, dscp, duration, truth};
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// Port of IPFIX (RFC 7011 section 10).
pub const DEFAULT_PORT: u16 = 4739;
/// Port of IPFIX over TLS (RFC 7011 section 10).
pub const DEFAULT_TLS_PORT: u16 = 4740;
/// Port of NetFlow v9 by custom: RFC 3954 names none.
const NETFLOW_PORT: u16 = 2055;

/// A collector, or several that share the records.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// `udp://HOST:PORT`: IPFIX over UDP.
    Udp(Network),
    /// `tcp://HOST:PORT`: IPFIX over TCP.
    Tcp(Network),
    /// `tls://HOST:PORT`: IPFIX over TLS over TCP.
    Tls(Network, TlsFiles),
    /// `sctp://HOST:PORT`: IPFIX over SCTP.
    Sctp(Network, Option<Duration>),
    /// `nfv9+udp://HOST:PORT`: NetFlow v9 over UDP.
    Netflow9(Network),
    /// `kafka://BROKER/TOPIC`: a Kafka topic.
    Kafka(KafkaTopic),
    /// `parquet:DIRECTORY`: Parquet files.
    Parquet(ParquetDirectory),
    /// `unix:PATH`: IPFIX over a stream socket of this machine.
    Unix(PathBuf),
    /// `file:PATH`: IPFIX file (RFC 5655).
    File(Files),
    /// `json:PATH` or `json:-` (standard output, `None`): one JSON object a line.
    Json(Option<Files>),
    /// `failover:URL,URL`, `balance:URL,URL`: one of several.
    Group(Sharing, Vec<Destination>),
}

/// How collectors of a group share the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sharing {
    /// The first that is there takes all.
    Failover,
    /// Each takes the flows that hash to it.
    Balance,
}

/// A collector in the network, and how packets get there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    /// Where it is.
    pub host: Host,
    /// `source=ADDRESS`: address of this machine to send from.
    pub source: Option<IpAddr>,
    /// `interface=NAME`: the only interface to send through.
    pub interface: Option<String>,
    /// `dscp=NAME`: Differentiated Services Code Point, 0 to 63.
    pub dscp: Option<u8>,
    /// `rate=BITS`: most bits a second of messages; over UDP only.
    pub rate: Option<u64>,
}

/// PEM files of a TLS session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TlsFiles {
    /// `ca=FILE`: certificates of the authorities that the collector's certificate is traced to.
    pub authorities: PathBuf,
    /// `cert=FILE` and `key=FILE`: the probe's own certificate with its chain, and its private key.
    pub own: Option<(PathBuf, PathBuf)>,
    /// `name=NAME`: the name in the collector's certificate, where it is not the host.
    pub name: Option<String>,
}

/// A file, or a file after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Files {
    /// Path; with rotation it may hold `%Y`, `%m` and the like (strftime).
    pub path: PathBuf,
    /// `rotate=TIME`: a new file at each multiple of this time.
    pub rotate: Option<Duration>,
    /// `size=OCTETS`: a new file when one has so many octets.
    pub size: Option<u64>,
    /// `zstd=1`: compressed.
    pub zstd: bool,
}

impl Network {
    /// To `host` as the system sends anything.
    #[must_use]
    pub fn new(host: Host) -> Self {
        Self { host, source: None, interface: None, dscp: None, rate: None }
    }
}

impl Files {
    /// One plain file.
    #[must_use]
    pub fn plain(path: &Path) -> Self {
        Self { path: path.to_owned(), ..Self::default() }
    }

    /// Whether there is a file after the other.
    #[must_use]
    pub fn rotates(&self) -> bool {
        self.rotate.is_some() || self.size.is_some()
    }
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

/// What a destination may begin with.
const SCHEMES: &str =
    "udp, nfv9+udp, tcp, tls, sctp, unix, file, json, kafka, parquet, failover or balance";

impl Destination {
    /// Files that are read when a session begins: certificates and keys.
    #[must_use]
    pub fn reads(&self) -> Vec<&Path> {
        match self {
            Self::Tls(_, files) => {
                let own = files.own.iter().flat_map(|(certificate, key)| [certificate, key]);
                own.chain([&files.authorities]).map(PathBuf::as_path).collect()
            }
            Self::Group(_, members) => members.iter().flat_map(Self::reads).collect(),
            Self::Udp(_) | Self::Tcp(_) | Self::Sctp(..) | Self::Unix(_) => Vec::new(),
            Self::File(_) | Self::Json(_) | Self::Parquet(_) => Vec::new(),
            Self::Netflow9(_) | Self::Kafka(_) => Vec::new(),
        }
    }

    /// Folders in which files are made; of a path with times in it, the part before them.
    #[must_use]
    pub fn writes(&self) -> Vec<PathBuf> {
        match self {
            Self::File(files) | Self::Json(Some(files)) => {
                let fixed = |folder: &PathBuf| {
                    // Folders of files that rotate are made.
                    let there = !files.rotates() || folder.exists();
                    there && !folder.as_os_str().as_encoded_bytes().contains(&b'%')
                };
                files.path.ancestors().skip(1).map(or_here).filter(fixed).take(1).collect()
            }
            Self::Group(_, members) => members.iter().flat_map(Self::writes).collect(),
            Self::Parquet(directory) => {
                // What is not there yet is made.
                let folders = directory.path.ancestors().map(or_here);
                folders.filter(|folder| folder.exists()).take(1).collect()
            }
            Self::Udp(_) | Self::Netflow9(_) | Self::Tcp(_) | Self::Tls(..) | Self::Sctp(..) => {
                Vec::new()
            }
            Self::Unix(_) | Self::Json(None) | Self::Kafka(_) => Vec::new(),
        }
    }
}

/// The empty path is this folder.
fn or_here(folder: &Path) -> PathBuf {
    if folder == Path::new("") { PathBuf::from(".") } else { folder.to_owned() }
}

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(given: &str) -> Result<Self, DestinationError> {
        parse(given).map_err(|problem| DestinationError { given: given.to_owned(), problem })
    }
}

fn parse(given: &str) -> Result<Destination, String> {
    let Some((scheme, rest)) = given.split_once(':') else {
        return Err(format!("it begins with none of {SCHEMES}"));
    };
    let sharing = match scheme {
        "failover" => Some(Sharing::Failover),
        "balance" => Some(Sharing::Balance),
        "dtls" => {
            return Err("DTLS is not supported: no well-kept implementation is to be had; \
                 use tls (over TCP), or udp in a network of its own"
                .to_owned());
        }
        _ => None,
    };
    if let Some(sharing) = sharing {
        return group(sharing, rest);
    }
    match scheme {
        "kafka" => return KafkaTopic::parse(rest).map(Destination::Kafka),
        "parquet" => return ParquetDirectory::parse(rest).map(Destination::Parquet),
        _ => {}
    }
    let (rest, mut parameters) = Parameters::split(rest)?;
    let network = |parameters: &mut Parameters<'_>, port: u16| {
        let host = rest
            .strip_prefix("//")
            .ok_or_else(|| format!("\"//\" is missing behind \"{scheme}:\""))?;
        network(Host::parse(host, port)?, parameters)
    };
    let destination = match scheme {
        "udp" | "nfv9+udp" => {
            let v9 = scheme == "nfv9+udp";
            let port = if v9 { NETFLOW_PORT } else { DEFAULT_PORT };
            let mut network = network(&mut parameters, port)?;
            network.rate = parameters.value("rate", amount, "bits a second, as 100M")?;
            if v9 { Destination::Netflow9(network) } else { Destination::Udp(network) }
        }
        "tcp" => Destination::Tcp(network(&mut parameters, DEFAULT_PORT)?),
        "tls" => {
            let network = network(&mut parameters, DEFAULT_TLS_PORT)?;
            Destination::Tls(network, tls(&mut parameters)?)
        }
        "sctp" => {
            let network = network(&mut parameters, DEFAULT_PORT)?;
            let lifetime = parameters.value("lifetime", duration, "a time, as 500ms or 2s")?;
            Destination::Sctp(network, lifetime)
        }
        "unix" | "file" | "json" if rest.is_empty() => return Err("the path is missing".to_owned()),
        "unix" => Destination::Unix(PathBuf::from(rest)),
        "file" => Destination::File(files(rest, &mut parameters)?),
        "json" if rest == "-" => Destination::Json(None),
        "json" => Destination::Json(Some(files(rest, &mut parameters)?)),
        _ => return Err(format!("\"{scheme}\" is none of {SCHEMES}")),
    };
    parameters.end()?;
    Ok(destination)
}

/// Several, apart at each comma that a scheme follows.
fn group(sharing: Sharing, text: &str) -> Result<Destination, String> {
    let mut words: Vec<String> = Vec::new();
    for part in text.split(',') {
        let scheme = part.split_once(':').map(|(scheme, _)| scheme);
        let begins = scheme.is_some_and(|scheme| {
            !scheme.is_empty() && scheme.chars().all(|letter| letter.is_ascii_lowercase())
        });
        match words.last_mut() {
            Some(last) if !begins => {
                last.push(',');
                last.push_str(part);
            }
            _ => words.push(part.to_owned()),
        }
    }
    let mut members = Vec::new();
    for word in words {
        let member = parse(&word).map_err(|problem| format!("{word}: {problem}"))?;
        match member {
            Destination::Group(..) => return Err("a group cannot be part of a group".to_owned()),
            Destination::File(_)
            | Destination::Json(_)
            | Destination::Netflow9(_)
            | Destination::Kafka(_)
            | Destination::Parquet(_) => {
                return Err(format!("{word}: only IPFIX collectors at a socket can share records"));
            }
            member if members.contains(&member) => return Err(format!("{word} is given twice")),
            member => members.push(member),
        }
    }
    if members.len() < 2 {
        return Err("a group is two collectors or more, with commas between".to_owned());
    }
    Ok(Destination::Group(sharing, members))
}

fn network(host: Host, parameters: &mut Parameters<'_>) -> Result<Network, String> {
    let source: Option<IpAddr> =
        parameters.value("source", |text| text.parse().ok(), "an address, as 2001:db8::2")?;
    if let (Some(source), Ok(address)) = (source, host.name.parse::<IpAddr>())
        && source.is_ipv4() != address.is_ipv4()
    {
        return Err(format!("source={source} and the collector are of two address families"));
    }
    let interface = parameters.value(
        "interface",
        |text| (text.len() < 16 && !text.contains('/')).then(|| text.to_owned()),
        "an interface, as eth0",
    )?;
    let dscp = parameters.value("dscp", dscp, "0 to 63, EF, CS0 to CS7 or AF11 to AF43")?;
    Ok(Network { source, interface, dscp, ..Network::new(host) })
}

fn tls(parameters: &mut Parameters<'_>) -> Result<TlsFiles, String> {
    let Some(authorities) = parameters.text("ca").map(PathBuf::from) else {
        return Err("ca=FILE is missing: the authorities that the collector's certificate is \
             traced to (those of the system: /etc/ssl/certs/ca-certificates.crt)"
            .to_owned());
    };
    let own = match (parameters.text("cert"), parameters.text("key")) {
        (Some(certificate), Some(key)) => Some((PathBuf::from(certificate), PathBuf::from(key))),
        (None, None) => None,
        (Some(_), None) => return Err("key=FILE is missing, the key of cert=FILE".to_owned()),
        (None, Some(_)) => {
            return Err("cert=FILE is missing, the certificate of key=FILE".to_owned());
        }
    };
    let name = parameters.text("name").map(str::to_owned);
    Ok(TlsFiles { authorities, own, name })
}

fn files(path: &str, parameters: &mut Parameters<'_>) -> Result<Files, String> {
    let rotate = parameters.value("rotate", duration, "a time, as 5m or 1h")?;
    if rotate.is_some_and(|rotate| rotate < Duration::from_secs(1)) {
        return Err("rotate=TIME: a second is the least".to_owned());
    }
    let size = parameters.value("size", amount, "octets, as 100M")?;
    let zstd = parameters.value("zstd", truth, "1 or 0")?.unwrap_or(false);
    Ok(Files { path: PathBuf::from(path), rotate, size, zstd })
}

impl Destination {
    /// Without parameters: what to call it in a log and in the ledger.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Udp(network) => format!("udp://{}", network.host),
            Self::Netflow9(network) => format!("nfv9+udp://{}", network.host),
            Self::Kafka(topic) => topic.name(),
            Self::Parquet(directory) => format!("parquet:{}", directory.path.display()),
            Self::Tcp(network) => format!("tcp://{}", network.host),
            Self::Tls(network, _) => format!("tls://{}", network.host),
            Self::Sctp(network, _) => format!("sctp://{}", network.host),
            Self::Unix(path) => format!("unix:{}", path.display()),
            Self::File(files) => format!("file:{}", files.path.display()),
            Self::Json(None) => "json:-".to_owned(),
            Self::Json(Some(files)) => format!("json:{}", files.path.display()),
            Self::Group(sharing, members) => {
                let names: Vec<String> = members.iter().map(Self::name).collect();
                format!("{sharing}:{}", names.join(","))
            }
        }
    }

    fn parameters(&self) -> Vec<String> {
        let mut list = Vec::new();
        match self {
            Self::Udp(network) | Self::Netflow9(network) | Self::Tcp(network) => {
                network.parameters(&mut list);
            }
            Self::Kafka(topic) => list = topic.parameters(),
            Self::Parquet(directory) => list = directory.parameters(),
            Self::Tls(network, files) => {
                network.parameters(&mut list);
                list.push(format!("ca={}", files.authorities.display()));
                if let Some((certificate, key)) = &files.own {
                    list.push(format!("cert={}", certificate.display()));
                    list.push(format!("key={}", key.display()));
                }
                list.extend(files.name.as_ref().map(|name| format!("name={name}")));
            }
            Self::Sctp(network, lifetime) => {
                network.parameters(&mut list);
                list.extend(lifetime.map(|lifetime| format!("lifetime={}", time(lifetime))));
            }
            Self::File(files) | Self::Json(Some(files)) => {
                list.extend(files.rotate.map(|rotate| format!("rotate={}", time(rotate))));
                list.extend(files.size.map(|size| format!("size={size}")));
                list.extend(files.zstd.then(|| "zstd=1".to_owned()));
            }
            Self::Unix(_) | Self::Json(None) | Self::Group(..) => {}
        }
        list
    }
}

impl Network {
    fn parameters(&self, list: &mut Vec<String>) {
        list.extend(self.source.map(|source| format!("source={source}")));
        list.extend(self.interface.as_ref().map(|name| format!("interface={name}")));
        list.extend(self.dscp.map(|dscp| format!("dscp={dscp}")));
        list.extend(self.rate.map(|rate| format!("rate={rate}")));
    }
}

fn time(duration: Duration) -> String {
    match duration.as_millis() {
        milliseconds if milliseconds % 1_000 == 0 => format!("{}s", milliseconds / 1_000),
        milliseconds => format!("{milliseconds}ms"),
    }
}

impl fmt::Display for Sharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failover => "failover",
            Self::Balance => "balance",
        })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Group(sharing, members) = self {
            write!(f, "{sharing}:")?;
            for (number, member) in members.iter().enumerate() {
                write!(f, "{}{member}", if number > 0 { "," } else { "" })?;
            }
            return Ok(());
        }
        f.write_str(&self.name())?;
        let parameters = self.parameters();
        if parameters.is_empty() { Ok(()) } else { write!(f, "?{}", parameters.join("&")) }
    }
}

#[cfg(test)]
mod tests;
