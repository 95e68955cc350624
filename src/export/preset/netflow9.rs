//! A preset as NetFlow v9 can carry it (RFC 3954 section 8).
//!
//! Left out: elements of enterprises, sixtap's own and reverse ones among them, and those of variable length. Times are
//! milliseconds since the exporter's start, whatever the preset has. A few fields have the length RFC 3954 gives them,
//! because collectors of its day know no other.

use super::{Field, Preset};
use crate::export::record::{Condition, Source, uptime};
use ie_registry::{VARIABLE_LENGTH, ie};

/// Field lengths of RFC 3954 section 8 where sixtap's own are longer.
const LENGTHS: &[(u16, u16)] = &[
    (ie::TCP_CONTROL_BITS, 1),
    (ie::MINIMUM_IP_TOTAL_LENGTH, 2),
    (ie::MAXIMUM_IP_TOTAL_LENGTH, 2),
    (ie::FLOW_LABEL_IPV6, 3),
];

/// Whether an element is a time of the flow's first or last packet.
const fn is_time(id: u16) -> bool {
    matches!(id, ie::FLOW_START_SECONDS..=ie::FLOW_END_NANOSECONDS)
}

impl Preset {
    /// The same for NetFlow v9.
    #[must_use]
    pub fn netflow9(&self) -> Self {
        let mut fields = Vec::new();
        let carried = |field: &&Field| {
            field.enterprise == 0 && field.length != VARIABLE_LENGTH && !is_time(field.id)
        };
        for field in self.fields.iter().filter(carried) {
            let length = LENGTHS.iter().find(|(id, _)| *id == field.id);
            fields.push(Field {
                length: length.map_or(field.length, |(_, most)| field.length.min(*most)),
                ..*field
            });
        }
        if self.fields.iter().any(|field| field.enterprise == 0 && is_time(field.id)) {
            for (id, slot) in [
                (ie::FLOW_END_SYS_UP_TIME, uptime::LAST),
                (ie::FLOW_START_SYS_UP_TIME, uptime::FIRST),
            ] {
                let (condition, source) = (Condition::ALWAYS, Source::Octets(slot));
                fields.push(Field { enterprise: 0, id, length: 4, condition, source });
            }
        }
        Self { name: self.name.clone(), fields }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_netflow_v9_cannot_carry() {
        for name in super::super::NAMES {
            let preset = Preset::named(name).unwrap().with_reverse().netflow9();
            for field in &preset.fields {
                assert_eq!(field.enterprise, 0, "{name}: {}", field.id);
                assert_ne!(field.length, VARIABLE_LENGTH, "{name}: {}", field.id);
                assert!(!is_time(field.id), "{name}: {}", field.id);
            }
            let has = |id, length| preset.fields.iter().any(|f| (f.id, f.length) == (id, length));
            assert!(has(21, 4) && has(22, 4) && has(31, 3) && has(6, 1) && has(25, 2), "{name}");
        }
    }
}
