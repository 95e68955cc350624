//! What is packaged: the unit as systemd judges it, man pages and completions as the shells read them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end so")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What a program prints, and whether it ended well; `None` where it is not installed.
fn run(program: &str, arguments: &[&str]) -> Option<(bool, String)> {
    let output = Command::new(program).args(arguments).output();
    let Ok(output) = output else {
        println!("not run: tests/packaging.rs: {program} is not here");
        return None;
    };
    let text = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

/// The unit under a name that is no template's: systemd 252 puts its own in.
fn unit() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(root().join("packaging/systemd/sixtap@.service")).unwrap();
    // Where systemd looks whether the program can be run.
    let text = text.replace("/usr/bin/sixtap", env!("CARGO_BIN_EXE_sixtap"));
    let path = folder.path().join("sixtap@test.service");
    fs::write(&path, text).unwrap();
    (folder, path)
}

#[test]
fn systemd_finds_no_fault_with_the_unit() {
    let (_folder, path) = unit();
    let Some((well, said)) =
        run("systemd-analyze", &["verify", "--man=no", path.to_str().unwrap()])
    else {
        return;
    };
    // Faults of other units of the machine are not ours.
    let ours: Vec<_> = said.lines().filter(|line| line.contains("sixtap")).collect();
    assert!(well && ours.is_empty(), "{said}");
}

#[test]
fn the_exposure_is_what_the_page_says() {
    let (_folder, path) = unit();
    let arguments = ["security", "--offline=true", "--no-pager", path.to_str().unwrap()];
    let Some((_, said)) = run("systemd-analyze", &arguments) else { return };
    let figure = |text: &str| {
        let line = text.lines().find(|line| line.contains("Overall exposure level"));
        let rest = line.unwrap_or_else(|| panic!("{text}")).split(": ").nth(1).unwrap();
        rest.split_whitespace().next().unwrap().parse::<f64>().unwrap()
    };
    let page = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let (here, there) = (figure(&said), figure(&page));
    assert!(here <= 2.5, "{said}");
    // Newer releases of systemd ask for more; the page names its release.
    let version = run("systemd-analyze", &["--version"]).unwrap().1;
    if version.starts_with("systemd 252") {
        assert!(
            (here - there).abs() < 0.05,
            "docs/operations.md says {there}, systemd {here}\n{said}"
        );
    }
}

fn pages() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let made = run(env!("CARGO_BIN_EXE_sixtap"), &["pages", folder.path().to_str().unwrap()]);
    let (well, said) = made.unwrap();
    assert!(well, "{said}");
    folder
}

#[test]
fn every_command_has_its_man_page() {
    let folder = pages();
    let help = run(env!("CARGO_BIN_EXE_sixtap"), &["--help"]).unwrap().1;
    let commands: Vec<_> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(commands.len() >= 8, "{help}");
    for name in &commands {
        let page = folder.path().join(format!("man/sixtap-{name}.1"));
        let text = fs::read_to_string(&page).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(text.contains(".SH OPTIONS") && text.contains(".SH EXIT STATUS"), "{name}");
        let path = page.to_str().unwrap();
        // Warnings of groff are typing mistakes in roff.
        if run("man", &["--version"]).is_none() {
            return;
        }
        let warnings = format!("man --warnings -l -Tutf8 -Z {path} 2>&1 >/dev/null");
        let (well, said) = run("sh", &["-c", &warnings]).unwrap();
        assert!(well && said.is_empty(), "{name}: {said}");
    }
    let probe = fs::read_to_string(folder.path().join("man/sixtap-probe.1")).unwrap();
    for words in ["SIGHUP", "SIGUSR1", "NOTIFY_SOCKET", "Observation Domain ID", "/etc/sixtap"] {
        assert!(probe.contains(words), "{words}");
    }
    assert!(folder.path().join("man/sixtap.1").exists());
}

#[test]
fn shells_complete_what_there_is() {
    let folder = pages();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let script = format!(
        "source {}; COMP_WORDS=(sixtap probe --dump) COMP_CWORD=2; _sixtap sixtap --dump probe; echo \"${{COMPREPLY[@]}}\"",
        path("bash/sixtap")
    );
    let (well, said) = run("bash", &["-c", &script]).unwrap();
    assert!(well && said.trim() == "--dump-config", "{said}");
    for (shell, file) in [("zsh", "zsh/_sixtap"), ("fish", "fish/sixtap.fish")] {
        assert!(fs::read_to_string(path(file)).unwrap().contains("dump-config"));
        if let Some((well, said)) = run(shell, &["-n", &path(file)]) {
            assert!(well, "{shell}: {said}");
        }
    }
}

/// `podman build` cannot run here: what can be held is that the file does what it says with files that are there.
#[test]
fn the_container_file_names_what_there_is() {
    let path = root().join("packaging/container/Containerfile");
    let text = fs::read_to_string(&path).unwrap();
    let instructions: Vec<_> = text
        .replace("\\\n", " ")
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let known = ["FROM", "COPY", "RUN", "ENTRYPOINT", "CMD"];
    assert!(
        instructions.iter().all(|words| known.contains(&words[0].as_str())),
        "{instructions:?}"
    );
    assert_eq!(instructions[0][0], "FROM");
    let package = fs::read_to_string(root().join("scripts/package")).unwrap();
    let copied: Vec<_> = instructions.iter().filter(|words| words[0] == "COPY").collect();
    assert_eq!(copied.len(), 1);
    assert!(package.contains(copied[0][1].trim_start_matches("target/")), "{copied:?}");
    for words in instructions.iter().filter(|words| words[0] == "RUN") {
        let shell = words[1..].join(" ");
        assert!(run("sh", &["-n", "-c", &shell]).unwrap().0, "{shell}");
    }
    println!("not run: build of the container: there is no container engine here");
}
