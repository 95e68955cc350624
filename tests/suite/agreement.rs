//! The fast meter and the reference agree, flow by flow and element by element, on every capture of the corpus.

use crate::meters::{Asked, Difference, corpus, differences, fast, frames, slow};
use sixtap::meter::packet::TunnelMode;

/// A difference that stays, and why.
struct Known {
    /// Part of the capture's name.
    capture: &'static str,
    element: &'static str,
    reason: &'static str,
}

/// All of them.
const KNOWN: &[Known] = &[
    // The capture was put together from others: its time goes back by years. A sweep at the later time has ended records that
    // the packets of the earlier time would have joined.
    Known { capture: "arkime_synthetic", element: "*", reason: "time runs backwards" },
];

fn compare(asked: Asked) {
    let Some(captures) = corpus(&["ipv6", "mixed"]) else {
        println!("NOT RUN agreement on captures: ../shared/corpus is missing");
        return;
    };
    let mut used = vec![false; KNOWN.len()];
    let mut unexplained: Vec<(String, Difference)> = Vec::new();
    let mut packets = 0;
    for path in &captures {
        let name = path.display().to_string();
        let frames = frames(path);
        let (fast, slow) = (fast(&frames, asked), slow(&frames, asked));
        assert_eq!(
            slow.metered + slow.unmetered.values().sum::<u64>(),
            frames.len() as u64,
            "{name}"
        );
        packets += frames.len();
        for difference in differences(&fast, &slow) {
            let known = KNOWN.iter().position(|known| {
                name.contains(known.capture)
                    && (known.element == "*" || known.element == difference.element)
            });
            match known {
                Some(index) => used[index] = true,
                None => unexplained.push((name.clone(), difference)),
            }
        }
    }
    println!(
        "{} captures, {packets} frames, {} differences without a reason",
        captures.len(),
        unexplained.len()
    );
    for (name, difference) in unexplained.iter().take(3000) {
        println!("{}: {difference}", name.rsplit('/').next().unwrap_or(name));
    }
    assert!(unexplained.is_empty(), "{} differences without a reason", unexplained.len());
    for (known, used) in KNOWN.iter().zip(used) {
        assert!(used, "no capture needs: {} {} ({})", known.capture, known.element, known.reason);
    }
}

#[test]
fn outer_flows_agree() {
    compare(Asked::default());
}

#[test]
fn innermost_flows_agree() {
    compare(Asked { tunnel: TunnelMode::Inner, ..Asked::default() });
}

#[test]
fn flows_of_every_level_agree() {
    compare(Asked { tunnel: TunnelMode::Both, ..Asked::default() });
}

#[test]
fn flows_keyed_by_label_and_class_agree() {
    compare(Asked { label_key: true, ..Asked::default() });
}

#[test]
fn flows_keyed_by_chain_agree() {
    compare(Asked { chain_key: true, ..Asked::default() });
}
