//! Both meters over generated traffic: whatever the grammar makes, they agree.
//!
//! Runs for a bounded number of cases (`PROPTEST_CASES` changes it); `fuzz/` runs the same without end.

use crate::meters::{self, Asked, Octets, differences, fast, grammar, slow};
use proptest::prelude::*;
use sixtap::meter::packet::TunnelMode;

/// Leaves out every frame that the difference does not need.
fn fewest(mut frames: Vec<Octets>, asked: Asked) -> Vec<Octets> {
    let mut index = 0;
    while index < frames.len() {
        let mut fewer = frames.clone();
        fewer.remove(index);
        if differences(&fast(&fewer, asked), &slow(&fewer, asked)).is_empty() {
            index += 1;
        } else {
            frames = fewer;
        }
    }
    frames
}

/// Shown as one line.
#[derive(Clone)]
struct Choices(Vec<u8>);

impl std::fmt::Debug for Choices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 0,
        ..ProptestConfig::default()
    })]

    #[test]
    fn meters_agree_on_whatever_the_grammar_makes(
        choices in proptest::collection::vec(any::<u8>(), 0..2000).prop_map(Choices),
        asked in any::<u8>().prop_map(Asked::from_octet),
    ) {
        let frames = grammar::frames(&choices.0);
        let (fast, slow) = (fast(&frames, asked), slow(&frames, asked));
        let found = differences(&fast, &slow);
        if asked.tunnel != TunnelMode::Both {
            prop_assert_eq!(slow.packets(), slow.metered);
        }
        if found.is_empty() {
            return Ok(());
        }
        let frames = fewest(frames, asked);
        let found = differences(&meters::fast(&frames, asked), &meters::slow(&frames, asked));
        prop_assert!(
            found.is_empty(),
            "{}\nframes:\n{}",
            found.iter().take(8).map(ToString::to_string).collect::<Vec<_>>().join("\n"),
            frames.iter().map(|f| format!("{:?} {} {} {}", f.link, f.time.0, f.wire_length, hex(&f.data))).collect::<Vec<_>>().join("\n"),
        );
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
