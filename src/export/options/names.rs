//! What a collector is told about names: the Observation Domain's, interfaces', VRFs'; and which addresses are not the
//! ones that were seen.

use super::{OptionsPlan, Refused, id};
use crate::export::anonymise::Anonymisation;
use crate::ipfix::{FieldSpecifier, MessageBuilder, Template};
use ie_registry::VARIABLE_LENGTH;
use ie_registry::ie::{self, sixtap};

/// An interface that is captured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceName {
    /// `ingressInterface`: ifIndex, or the number within a capture file.
    pub index: u32,
    /// `interfaceName`.
    pub name: String,
    /// `interfaceDescription`: its alias (`ip link set IF alias TEXT`); empty if it has none.
    pub description: String,
    /// The VRF it belongs to: ifIndex of the VRF device as `ingressVRFID`, and its name.
    pub vrf: Option<(u32, String)>,
}

impl InterfaceName {
    /// An interface of which nothing else is known.
    #[must_use]
    pub fn new(index: u32, name: &str) -> Self {
        Self { index, name: name.to_owned(), ..Self::default() }
    }
}

fn fields(fields: &[(u16, u16)]) -> Vec<FieldSpecifier> {
    fields.iter().map(|(id, length)| FieldSpecifier::iana(*id, *length)).collect()
}

pub(super) fn templates(plan: &OptionsPlan) -> Vec<Template> {
    let mut templates = Vec::new();
    if !plan.interfaces.is_empty() {
        let interface = [
            (ie::INGRESS_INTERFACE, 4),
            (ie::INTERFACE_NAME, VARIABLE_LENGTH),
            (ie::INTERFACE_DESCRIPTION, VARIABLE_LENGTH),
        ];
        templates.push(Template::options(id::INTERFACES, 1, fields(&interface)));
    }
    if plan.interfaces.iter().any(|interface| interface.vrf.is_some()) {
        let vrf =
            [(ie::INGRESS_INTERFACE, 4), (ie::INGRESS_VRFID, 4), (ie::VRF_NAME, VARIABLE_LENGTH)];
        templates.push(Template::options(id::VRF, 1, fields(&vrf)));
    }
    if plan.domain_name.is_some() {
        let domain =
            [(ie::OBSERVATION_DOMAIN_ID, 4), (ie::OBSERVATION_DOMAIN_NAME, VARIABLE_LENGTH)];
        templates.push(Template::options(id::DOMAIN, 1, fields(&domain)));
    }
    if plan.anonymisation.is_some() {
        let scopes = [(ie::TEMPLATE_ID, 2), (ie::INFORMATION_ELEMENT_ID, 2)];
        let maker = [(ie::PRIVATE_ENTERPRISE_NUMBER, 4)];
        let how = [(ie::ANONYMIZATION_FLAGS, 2), (ie::ANONYMIZATION_TECHNIQUE, 2)];
        let iana = fields(&[&scopes[..], &how].concat());
        let own = fields(&[&scopes[..], &maker, &how].concat());
        templates.push(Template::options(id::ANONYMISED, 2, iana));
        templates.push(Template::options(id::ANONYMISED_OWN, 3, own));
    }
    templates
}

/// Whether an element holds an IP address; `own`: of sixtap's own elements.
fn is_address(element: u16, own: bool) -> bool {
    if own {
        return matches!(
            element,
            sixtap::TUNNEL_SOURCE_IPV4_ADDRESS
                | sixtap::TUNNEL_DESTINATION_IPV4_ADDRESS
                | sixtap::TUNNEL_SOURCE_IPV6_ADDRESS
                | sixtap::TUNNEL_DESTINATION_IPV6_ADDRESS
        );
    }
    matches!(
        element,
        ie::SOURCE_IPV4_ADDRESS
            | ie::DESTINATION_IPV4_ADDRESS
            | ie::SOURCE_IPV6_ADDRESS
            | ie::DESTINATION_IPV6_ADDRESS
            | ie::SRH_ACTIVE_SEGMENT_IPV6
            | ie::SRH_SEGMENT_IPV6_BASIC_LIST
            | ie::SRH_SEGMENT_IPV6_LIST_SECTION
    )
}

impl OptionsPlan {
    /// The name of an interface, and of its VRF.
    pub(in crate::export) fn interface_record(
        &self,
        builder: &mut MessageBuilder,
        interface: &InterfaceName,
    ) -> Result<(), Refused> {
        builder.record(id::INTERFACES, |out| {
            out.u32(interface.index);
            out.variable(interface.name.as_bytes());
            out.variable(interface.description.as_bytes());
        })
    }

    /// The VRF of an interface, if it belongs to one.
    pub(in crate::export) fn vrf_record(
        &self,
        builder: &mut MessageBuilder,
        interface: &InterfaceName,
    ) -> Result<(), Refused> {
        let Some((vrf, name)) = &interface.vrf else { return Ok(()) };
        builder.record(id::VRF, |out| {
            out.u32(interface.index);
            out.u32(*vrf);
            out.variable(name.as_bytes());
        })
    }

    /// The name of the Observation Domain, if it has one.
    pub(in crate::export) fn domain_record(
        &self,
        builder: &mut MessageBuilder,
    ) -> Result<(), Refused> {
        let Some(name) = &self.domain_name else { return Ok(()) };
        builder.record(id::DOMAIN, |out| {
            out.u32(self.domain);
            out.variable(name.as_bytes());
        })
    }

    /// Anonymisation records (RFC 6235 section 6.1) for field number `index` of a Template, if it holds an address that
    /// is not the one that was seen.
    pub(in crate::export) fn anonymised_record(
        &self,
        builder: &mut MessageBuilder,
        template: u16,
        field: &FieldSpecifier,
    ) -> Result<(), Refused> {
        let Some(anonymisation) = &self.anonymisation else { return Ok(()) };
        let own = field.enterprise == self.enterprise;
        if !(own || field.enterprise == 0) || !is_address(field.id, own) {
            return Ok(());
        }
        let (flags, technique) = described(anonymisation);
        builder.record(if own { id::ANONYMISED_OWN } else { id::ANONYMISED }, |out| {
            out.u16(template);
            out.u16(field.id);
            if own {
                out.u32(field.enterprise);
            }
            out.u16(flags);
            out.u16(technique);
        })
    }
}

/// `anonymizationFlags` and `anonymizationTechnique` (RFC 6235 sections 4 and 6.2).
fn described(anonymisation: &Anonymisation) -> (u16, u16) {
    /// Stability class in the two lowest bits: the same for all records of a Transport Session.
    const SESSION: u16 = 1;
    /// The same for ever.
    const STABLE: u16 = 3;
    const TRUNCATION: u16 = 2;
    const STRUCTURED_PERMUTATION: u16 = 6;
    match anonymisation {
        Anonymisation::PrefixPreserving { stable: true, .. } => (STABLE, STRUCTURED_PERMUTATION),
        Anonymisation::PrefixPreserving { stable: false, .. } => (SESSION, STRUCTURED_PERMUTATION),
        Anonymisation::Cut { .. } => (STABLE, TRUNCATION),
    }
}
