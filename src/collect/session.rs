//! What is remembered between messages: Templates by Transport Session and Observation Domain (RFC 7011 section 8).
//!
//! Everything is bounded ([`Limits`]): the least recently used makes room, but for the total of Template fields, beyond
//! which a new Template is refused.

use super::event::{Change, Protocol, Transport, Version};
use crate::ipfix::Template;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// How much a collector remembers and takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Transport Sessions.
    pub sessions: usize,
    /// Observation Domains of one session.
    pub domains: usize,
    /// Templates of one domain.
    pub templates: usize,
    /// Fields of one Template.
    pub fields: usize,
    /// Fields of all Templates together.
    pub all_fields: usize,
    /// Octets of one message. Sets that reach beyond are not read.
    pub octets: usize,
    /// Data Records of one Set.
    pub records: usize,
    /// Values of one message: bounds the work of records whose fields have no octets.
    pub values: usize,
    /// Names learnt from type records (RFC 5610).
    pub names: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 64,
            domains: 64,
            templates: 1000,
            fields: 10_000,
            all_fields: 4_000_000,
            // The longest that an IPFIX message can say, and no more records than it has octets: less would leave out
            // records that are sound.
            octets: 65_535,
            records: 65_535,
            values: 65_535,
            names: 4096,
        }
    }
}

/// Templates of one Observation Domain.
#[derive(Debug, Default)]
pub(super) struct Domain {
    templates: HashMap<u16, Known>,
    used: u64,
}

#[derive(Debug)]
struct Known {
    template: Arc<Template>,
    used: u64,
}

impl Domain {
    pub(super) fn template(&self, id: u16) -> Option<&Arc<Template>> {
        self.templates.get(&id).map(|known| &known.template)
    }

    /// The Template, marked as used at `now`.
    pub(super) fn touch(&mut self, id: u16, now: u64) -> Option<Arc<Template>> {
        let known = self.templates.get_mut(&id)?;
        known.used = now;
        Some(Arc::clone(&known.template))
    }

    fn fields(&self) -> usize {
        self.templates.values().map(|known| known.template.fields().len()).sum()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct SessionKey {
    protocol: Protocol,
    exporter: Option<SocketAddr>,
    collector: Option<SocketAddr>,
}

#[derive(Debug)]
struct Session {
    number: u32,
    domains: HashMap<(Version, u32), Domain>,
    used: u64,
}

/// All Transport Sessions.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    sessions: HashMap<SessionKey, Session>,
    seen: u32,
    fields: usize,
}

/// What became of a Template.
pub(super) enum Stored {
    /// `forgotten`: another had to go for it.
    Kept { template: Arc<Template>, change: Change, forgotten: bool },
    /// A limit refuses it.
    Refused(&'static str, usize),
}

impl Sessions {
    /// The number of the session of `transport` and the Templates of `domain`, made if they are new. `None` in place of
    /// the limit's name: nothing had to be forgotten.
    pub(super) fn domain(
        &mut self,
        transport: &Transport,
        version: Version,
        domain: u32,
        limits: &Limits,
        now: u64,
    ) -> (u32, Domain, Option<(&'static str, usize)>) {
        let key = key(transport);
        let mut forgotten = None;
        if !self.sessions.contains_key(&key) {
            if self.sessions.len() >= limits.sessions.max(1) {
                forgotten = Some(("sessions", limits.sessions));
                self.forget_session();
            }
            let number = self.seen;
            self.seen = self.seen.wrapping_add(1);
            self.sessions.insert(key, Session { number, domains: HashMap::new(), used: now });
        }
        let Some(session) = self.sessions.get_mut(&key) else {
            return (0, Domain::default(), None);
        };
        session.used = now;
        let taken = session.domains.remove(&(version, domain)).unwrap_or_else(|| {
            if session.domains.len() >= limits.domains.max(1) {
                forgotten = Some(("domains", limits.domains));
                let oldest = session.domains.iter().min_by_key(|(_, domain)| domain.used);
                if let Some(oldest) = oldest.map(|(&key, _)| key) {
                    let fields = session.domains.remove(&oldest).map_or(0, |old| old.fields());
                    self.fields = self.fields.saturating_sub(fields);
                }
            }
            Domain::default()
        });
        (session.number, taken, forgotten)
    }

    /// Gives back what [`Sessions::domain`] lent.
    pub(super) fn give_back(
        &mut self,
        transport: &Transport,
        version: Version,
        number: u32,
        mut domain: Domain,
        now: u64,
    ) {
        domain.used = now;
        if let Some(session) = self.sessions.get_mut(&key(transport)) {
            session.domains.insert((version, number), domain);
        }
    }

    /// Ends a session: its Templates are forgotten (RFC 7011 section 8.1).
    pub(super) fn end(&mut self, transport: &Transport) {
        if let Some(session) = self.sessions.remove(&key(transport)) {
            let fields: usize = session.domains.values().map(Domain::fields).sum();
            self.fields = self.fields.saturating_sub(fields);
        }
    }

    fn forget_session(&mut self) {
        let oldest = self.sessions.iter().min_by_key(|(_, session)| session.used);
        if let Some(oldest) = oldest.map(|(&key, _)| key)
            && let Some(session) = self.sessions.remove(&oldest)
        {
            let fields: usize = session.domains.values().map(Domain::fields).sum();
            self.fields = self.fields.saturating_sub(fields);
        }
    }

    /// Remembers `template` in `domain`.
    pub(super) fn store(
        &mut self,
        domain: &mut Domain,
        template: Template,
        limits: &Limits,
        now: u64,
    ) -> Stored {
        if let Some(known) = domain.templates.get_mut(&template.id())
            && *known.template == template
        {
            known.used = now;
            let template = Arc::clone(&known.template);
            return Stored::Kept { template, change: Change::Repeated, forgotten: false };
        }
        let fields = template.fields().len();
        if fields > limits.fields {
            return Stored::Refused("fields in a template", limits.fields);
        }
        let id = template.id();
        let replaced = self.remove(domain, id);
        if self.fields + fields > limits.all_fields {
            return Stored::Refused("fields in all templates", limits.all_fields);
        }
        let forgotten = domain.templates.len() >= limits.templates.max(1);
        if forgotten {
            let oldest = domain.templates.iter().min_by_key(|(_, known)| known.used);
            if let Some(oldest) = oldest.map(|(&id, _)| id) {
                self.remove(domain, oldest);
            }
        }
        self.fields += fields;
        let template = Arc::new(template);
        domain.templates.insert(id, Known { template: Arc::clone(&template), used: now });
        let change = if replaced { Change::Changed } else { Change::New };
        Stored::Kept { template, change, forgotten }
    }

    /// Forgets Template `id` of `domain`; says whether it was known.
    pub(super) fn remove(&mut self, domain: &mut Domain, id: u16) -> bool {
        let removed = domain.templates.remove(&id);
        let fields = removed.as_ref().map_or(0, |known| known.template.fields().len());
        self.fields = self.fields.saturating_sub(fields);
        removed.is_some()
    }

    /// Forgets all Templates, or all Options Templates, of `domain`; says whether there were any.
    pub(super) fn remove_all(&mut self, domain: &mut Domain, options: bool) -> bool {
        let matching: Vec<u16> = domain
            .templates
            .values()
            .filter(|known| known.template.is_options() == options)
            .map(|known| known.template.id())
            .collect();
        matching.iter().for_each(|&id| {
            self.remove(domain, id);
        });
        !matching.is_empty()
    }
}

fn key(transport: &Transport) -> SessionKey {
    SessionKey {
        protocol: transport.protocol,
        exporter: transport.exporter,
        collector: transport.collector,
    }
}
