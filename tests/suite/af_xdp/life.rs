//! From start to end: nothing left behind, settings given back, interfaces that go and come, another user.

use std::io::{BufRead, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sixtap::capture::xdp::{self, Options, XdpSource};
use sixtap::capture::{Poll, Source, SourceCounters};

use crate::af_xdp::{TICK, assert_balanced, drain};
use crate::wire::{self, Sender, in_namespace};

#[test]
fn nothing_is_left_behind() {
    in_namespace("af_xdp::life::nothing_is_left_behind", || {
        wire::pair(1500, 2);
        let promiscuous = || {
            wire::output("ip", &["-details", "link", "show", "dev", "rx"]).contains("promiscuity 1")
        };
        let sources = xdp::open(&Options::new("rx")).expect("open");
        assert!(wire::has_program("rx"));
        assert!(promiscuous());
        let error = xdp::open(&Options::new("rx")).expect_err("a second time").to_string();
        assert!(error.contains("already has the XDP program \"sixtap\""), "{error}");
        drop(sources);
        assert!(!wire::has_program("rx"));
        assert!(!promiscuous());
        drop(xdp::open(&Options::new("rx")).expect("open again"));
    });
}

/// Not a test of its own: the process that [`a_killed_probe_leaves_no_program`] kills.
#[test]
fn hold_until_killed() {
    if std::env::var_os("SIXTAP_TEST_HOLD").is_some() {
        let _sources = xdp::open(&Options::new("rx")).expect("open");
        println!("\nholding");
        std::thread::sleep(Duration::from_secs(60));
    }
}

fn hold_and_kill() {
    let mut child = Command::new(std::env::current_exe().expect("own path"))
        .args(["--exact", "af_xdp::life::hold_until_killed", "--nocapture"])
        .env("SIXTAP_TEST_HOLD", "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("spawn");
    let lines = std::io::BufReader::new(child.stdout.take().expect("stdout")).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "holding"));
    assert!(wire::has_program("rx"));
    child.kill().expect("SIGKILL");
    child.wait().expect("wait");
}

#[test]
fn a_killed_probe_leaves_no_program() {
    in_namespace("af_xdp::life::a_killed_probe_leaves_no_program", || {
        wire::pair(1500, 1);
        hold_and_kill();
        let deadline = Instant::now() + Duration::from_secs(5);
        while wire::has_program("rx") {
            assert!(Instant::now() < deadline, "the program is still attached");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(
            !wire::output("ip", &["-details", "link", "show", "dev", "rx"])
                .contains("promiscuity 1")
        );
    });
}

#[test]
fn an_interface_that_comes_back_is_captured_again() {
    in_namespace("af_xdp::life::an_interface_that_comes_back_is_captured_again", || {
        wire::pair(1500, 2);
        let mut sources = xdp::open(&Options::new("rx")).expect("open");
        let mut seen = 0u64;
        let mut sent = 0u64;
        let mut round = |sources: &mut Vec<XdpSource>, expected: u64| {
            let mut sender = Sender::open("tx");
            let deadline = Instant::now() + Duration::from_secs(15);
            while seen < expected {
                assert!(Instant::now() < deadline, "{seen} of {expected}");
                assert!(sender.send(&wire::frame(sent, 80)));
                sent += 1;
                for source in sources.iter_mut() {
                    source.poll(TICK, &mut |frames| seen += frames.len() as u64).expect("poll");
                }
            }
        };
        round(&mut sources, 10);
        wire::run("ip", &["link", "set", "dev", "rx", "down"]);
        for source in &mut sources {
            assert_eq!(source.poll(TICK, &mut |_| {}).expect("down is no end"), Poll::Idle);
        }
        wire::run("ip", &["link", "set", "dev", "rx", "up"]);
        round(&mut sources, 20);
        wire::run("ip", &["link", "del", "dev", "rx"]);
        for source in &mut sources {
            assert_eq!(source.poll(TICK, &mut |_| {}).expect("gone is no end"), Poll::Idle);
        }
        wire::pair(1500, 2);
        round(&mut sources, 30);
        let mut counters = SourceCounters::default();
        for source in &mut sources {
            drain(source);
            let more = source.counters();
            counters.delivered += more.delivered;
            counters.program_seen += more.program_seen;
            counters.program_redirected += more.program_redirected;
            counters.program_passed += more.program_passed;
        }
        assert!(counters.delivered >= 30);
        assert_balanced(&counters);
        assert!(wire::has_program("rx"));
        drop(sources);
        assert!(!wire::has_program("rx"));
    });
}

fn feature_is_on(interface: &str, feature: &str) -> bool {
    wire::output("ethtool", &["-k", interface])
        .lines()
        .any(|line| line.trim().starts_with(&format!("{feature}: on")))
}

#[test]
fn settings_are_given_back() {
    in_namespace("af_xdp::life::settings_are_given_back", || {
        wire::pair(1500, 1);
        assert!(feature_is_on("rx", "rx-vlan-offload"));
        let left = Options { prepare: false, ..Options::new("rx") };
        drop(xdp::open(&left).inspect(|_| {
            assert!(feature_is_on("rx", "rx-vlan-offload"), "left as it was");
        }));
        let sources = xdp::open(&Options::new("rx")).expect("open");
        assert!(!feature_is_on("rx", "rx-vlan-offload"));
        drop(sources);
        assert!(feature_is_on("rx", "rx-vlan-offload"));
    });
}

#[test]
fn a_crashed_probe_is_tidied_up_after() {
    in_namespace("af_xdp::life::a_crashed_probe_is_tidied_up_after", || {
        wire::pair(1500, 1);
        hold_and_kill();
        assert!(!feature_is_on("rx", "rx-vlan-offload"), "the crash left it changed");
        let doctor = |arguments: &[&str]| {
            let output =
                Command::new(env!("CARGO_BIN_EXE_sixtap")).arg("doctor").args(arguments).output();
            String::from_utf8_lossy(&output.expect("sixtap").stdout).into_owned()
        };
        assert!(doctor(&["rx"]).contains("sixtap doctor rx --restore"));
        assert!(doctor(&["rx", "--restore"]).contains("rx-vlan-hw-parse on"));
        assert!(feature_is_on("rx", "rx-vlan-offload"));
        assert!(!doctor(&["rx"]).contains("--restore"));
        // A new probe goes back to what was before the crashed one.
        hold_and_kill();
        drop(xdp::open(&Options::new("rx")).expect("open"));
        assert!(feature_is_on("rx", "rx-vlan-offload"));
    });
}

/// Not a test of its own: what [`capture_outlives_a_change_of_user`] runs in a process of its own.
#[test]
fn become_nobody_and_capture() {
    if std::env::var_os("SIXTAP_TEST_NOBODY").is_none() {
        return;
    }
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let mut source = xdp::share(xdp::open(&Options::new("rx")).expect("open"), 8).remove(0);
    let mut sender = Sender::open("tx");
    // As a daemon does it: all threads of the process become another user.
    // SAFETY: plain system calls without pointers.
    unsafe {
        assert_eq!(libc::setresgid(65534, 65534, 65534), 0);
        assert_eq!(libc::setresuid(65534, 65534, 65534), 0);
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    }
    assert!(rustix::thread::capabilities(None).expect("own").effective.is_empty());
    let mut sent = 0;
    let mut round = |source: &mut xdp::Group, sender: &mut Sender| {
        let (mut seen, deadline) = (0, Instant::now() + Duration::from_secs(15));
        while seen < 10 {
            assert!(Instant::now() < deadline, "{seen} of 10, {:?}", source.counters());
            sent += u64::from(sender.send(&wire::frame(0, 80)));
            source.poll(TICK, &mut |frames| seen += frames.len()).expect("poll");
        }
    };
    round(&mut source, &mut sender);
    println!("\nfirst round");
    // The other process makes the pair anew, and a sender that we may not make.
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).expect("a line");
    let deadline = Instant::now() + Duration::from_secs(15);
    let before = source.counters().program_seen;
    while source.counters().program_seen <= before {
        assert!(Instant::now() < deadline, "not opened again");
        source.poll(TICK, &mut |_| {}).expect("poll");
    }
    source.stop();
    while source.poll(TICK, &mut |_| {}).expect("poll") != Poll::Idle {}
    assert_balanced(&source.counters());
    drop(source);
    println!("\ndone");
}

/// The thread that watches the interface keeps what it needs when the process becomes another user: it opens the interface again,
/// and gives its settings back.
#[test]
fn capture_outlives_a_change_of_user() {
    in_namespace("af_xdp::life::capture_outlives_a_change_of_user", || {
        wire::pair(1500, 2);
        let mut child = Command::new(std::env::current_exe().expect("own path"))
            .args(["--exact", "af_xdp::life::become_nobody_and_capture", "--nocapture"])
            .env("SIXTAP_TEST_NOBODY", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("spawn");
        let mut lines = std::io::BufReader::new(child.stdout.take().expect("stdout"))
            .lines()
            .map_while(Result::ok);
        assert!(lines.any(|line| line == "first round"));
        wire::run("ip", &["link", "del", "dev", "rx"]);
        wire::pair(1500, 2);
        let deadline = Instant::now() + Duration::from_secs(15);
        while !wire::has_program("rx") {
            assert!(Instant::now() < deadline, "no program on the new interface");
            std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(Duration::from_millis(200));
        assert!(!feature_is_on("rx", "rx-vlan-offload"));
        let mut sender = Sender::open("tx");
        writeln!(child.stdin.as_mut().expect("stdin")).expect("written");
        // Frames until the other process has seen some, however late it begins to look.
        let answered = AtomicBool::new(false);
        let done = std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let done = lines.any(|line| line == "done");
                answered.store(true, Ordering::Relaxed);
                done
            });
            while !answered.load(Ordering::Relaxed) {
                sender.send(&wire::frame(0, 80));
                std::thread::sleep(Duration::from_millis(10));
            }
            reader.join().expect("the reader")
        });
        assert!(done);
        assert!(child.wait().expect("wait").success());
        assert!(!wire::has_program("rx"));
        assert!(feature_is_on("rx", "rx-vlan-offload"), "not given back");
        let doctor = Command::new(env!("CARGO_BIN_EXE_sixtap")).args(["doctor", "rx"]).output();
        let said = String::from_utf8_lossy(&doctor.expect("sixtap").stdout).into_owned();
        assert!(!said.contains("--restore"), "{said}");
    });
}
