//! tshark agrees with both meters on every packet of the corpus: `scripts/tshark-agreement`, with its list of differences.

use std::path::Path;
use std::process::Command;

#[test]
fn tshark_agrees_packet_by_packet() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if !root.join("../shared/corpus").is_dir() {
        println!("NOT RUN: agreement with tshark: ../shared/corpus is missing");
        return;
    }
    if Command::new("tshark").arg("--version").output().is_err() {
        println!("NOT RUN: agreement with tshark: tshark is not installed");
        return;
    }
    let done = Command::new(root.join("scripts/tshark-agreement"))
        .args(["--sixtap", env!("CARGO_BIN_EXE_sixtap")])
        .output()
        .expect("the script starts");
    let said = String::from_utf8_lossy(&done.stdout);
    println!("{said}");
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
}
