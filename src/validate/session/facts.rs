//! What a session amounts to: counts, templates, what options told. The report is made from it.

use crate::collect::{Protocol as Transport, Version};
use crate::validate::finding::{Dump, Example, Place};
use crate::validate::sequence::Track;
use crate::validate::view::{self, View};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

/// What is known of a template.
#[derive(Clone, Debug)]
pub struct TemplateFacts {
    /// The compiled template.
    pub view: Arc<View>,
    /// Records of it.
    pub records: u64,
    /// Records of it about IPv6.
    pub ipv6_records: u64,
    /// How often it was sent.
    pub sent: u64,
    /// Export Time when it was last sent.
    pub last_sent: u32,
    /// The longest time, in seconds, that data came without it being sent again.
    pub longest_unsent: u32,
    pub(super) place: Place,
    pub(super) dump: Dump,
}

impl TemplateFacts {
    /// Evidence: the template's definition.
    #[must_use]
    pub fn example(&self, saw: &str) -> Example {
        Example {
            place: self.place,
            saw: saw.to_owned(),
            wanted: String::new(),
            dump: Some(self.dump.clone()),
        }
    }
}

/// What a session amounts to.
#[derive(Debug)]
pub struct Facts {
    /// Number of the Transport Session.
    pub transport_session: u32,
    /// Version of its messages.
    pub version: Version,
    /// How it came.
    pub transport: Transport,
    /// Address and port of the exporter.
    pub exporter: Option<SocketAddr>,
    /// Address and port it sent to.
    pub collector: Option<SocketAddr>,
    /// Observation Domain ID.
    pub domain: u32,
    /// Messages.
    pub messages: u64,
    /// Octets of messages.
    pub octets: u64,
    /// Data Records of flows.
    pub flow_records: u64,
    /// Flow records about IPv6.
    pub ipv6_records: u64,
    /// Options Data Records.
    pub option_records: u64,
    /// Options records with statistics.
    pub statistics_records: u64,
    /// First and last Export Time.
    pub export_times: Option<(u32, u32)>,
    /// Templates in use, by id.
    pub templates: BTreeMap<u16, TemplateFacts>,
    /// Templates that were changed or withdrawn.
    pub retired: Vec<TemplateFacts>,
    /// systemInitTimeMilliseconds, once told.
    pub system_init: Option<u64>,
    /// Selectors that options records describe.
    pub selectors_declared: BTreeSet<u64>,
    /// Selectors that flow records refer to.
    pub selectors_used: BTreeSet<u64>,
    /// The first record that refers to a selector.
    pub selector_example: Option<Example>,
    /// Whether sampling is declared anywhere.
    pub sampling: bool,
    /// Data Sets without a template.
    pub unreadable_sets: u64,
    /// Limits of the collector that were reached: by name, the limit and how often.
    pub limited: BTreeMap<&'static str, (usize, u64)>,
    /// Messages of which the capture holds only a part.
    pub cut: u64,
    /// The sequence numbers.
    pub sequence: Track,
    pub(super) last: Example,
}

impl Facts {
    /// Evidence for what no single octet shows: the last message.
    #[must_use]
    pub fn example(&self, saw: impl Into<String>) -> Example {
        Example { saw: saw.into(), ..self.last.clone() }
    }

    /// All templates, those in use and those of before.
    pub fn all_templates(&self) -> impl Iterator<Item = &TemplateFacts> {
        self.templates.values().chain(&self.retired)
    }

    /// Who exports: `[2001:db8::1]:4739 domain 7, IPFIX over UDP`.
    #[must_use]
    pub fn name(&self) -> String {
        let version = view::version_name(self.version);
        let transport = view::transport_name(self.transport);
        match self.exporter {
            Some(exporter) => {
                format!("{exporter} domain {}, {version} over {transport}", self.domain)
            }
            None => format!("domain {}, {version} in a {transport}", self.domain),
        }
    }
}
