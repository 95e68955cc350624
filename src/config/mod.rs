//! What the user asked for, resolved once into numbers.
//!
//! [`Plan`] is all that the threads of a run get: nothing in it is parsed again, nothing of it is read in the packet loop.

use std::time::Duration;

/// Where the frames come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A capture file; `-` is standard input.
    File(std::path::PathBuf),
    /// Interfaces, through AF_XDP or a packet socket.
    Interfaces(Vec<String>),
}

/// Which elements the records carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Template {
    /// A preset by name: `default`, `full`, `covert`.
    Preset(String),
    /// A TOML file that lists elements.
    File(std::path::PathBuf),
}

/// What the exporting side is asked for.
#[derive(Clone, Debug)]
pub struct Export {
    /// Observation Domain ID (RFC 7011 section 3.1); never 0 with flow records.
    pub domain: u32,
    /// Which elements the records carry.
    pub template: Template,
    /// Private Enterprise Number under which own elements are exported.
    pub enterprise: u32,
    /// Active timeout as exported (`flowActiveTimeout`).
    pub active: Duration,
    /// Idle timeout as exported (`flowIdleTimeout`).
    pub idle: Duration,
    /// Templates are sent again after this time (UDP).
    pub template_refresh: Duration,
    /// Largest IPFIX message over UDP, octets.
    pub message_size: Option<u16>,
    /// Name of each interface by ifIndex.
    pub interfaces: Vec<(u32, String)>,
}

impl Default for Export {
    fn default() -> Self {
        Self {
            domain: 1,
            template: Template::Preset("default".into()),
            enterprise: 32_473,
            active: Duration::from_secs(300),
            idle: Duration::from_secs(30),
            template_refresh: Duration::from_secs(30),
            message_size: None,
            interfaces: Vec::new(),
        }
    }
}
