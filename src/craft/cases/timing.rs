//! When a flow ends. Active timeout 300 s, idle timeout 30 s.

use super::scene::{Scene, proto};
use super::{Definition, case};

pub(super) const CASES: &[Definition] = &[
    case(
        "idle-split",
        "RFC 7011 section 2, flowEndReason 1",
        "a pause of 40 s, longer than the idle timeout: two records",
        |scene| {
            packets(scene, 3);
            scene.flow(flow(scene, 3).ends(1));
            scene.wait(40_000);
            packets(scene, 2);
            scene.flow(flow(scene, 2));
        },
    ),
    case(
        "idle-not-split",
        "RFC 7011 section 2",
        "a pause of 20 s, shorter than the idle timeout: one record",
        |scene| {
            packets(scene, 3);
            scene.wait(20_000);
            packets(scene, 2);
            scene.flow(flow(scene, 5));
        },
    ),
    case(
        "active-timeout",
        "flowEndReason 2",
        "a packet every 7 s for 315 s: a record of 43 packets, then one of 3",
        |scene| {
            scene.needs_time();
            scene.every(7_000);
            packets(scene, 43);
            scene.flow(flow(scene, 43).ends(2));
            packets(scene, 3);
            scene.flow(flow(scene, 3));
        },
    ),
];

fn packets(scene: &mut Scene<'_>, count: usize) {
    let upper = scene.udp6(32);
    scene.send_chains(count, &[], proto::UDP, &upper);
}

fn flow(scene: &Scene<'_>, count: usize) -> crate::craft::truth::Flow {
    scene.flow6(proto::UDP).ports(scene.ports()).lengths(&vec![80; count])
}
