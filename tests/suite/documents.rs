//! What is written down holds together: every relative link in a page leads somewhere, and no page names a script or
//! a command that is not there.

use std::fs;
use std::path::{Path, PathBuf};

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [root.to_owned(), root.join("docs")];
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).expect("readable"));
    entries
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect()
}

/// Targets of `[text](target)` that are no web address.
fn links(text: &str) -> Vec<&str> {
    text.match_indices("](")
        .filter_map(|(at, _)| text[at + 2..].split(')').next())
        .filter(|target| !target.contains("://") && !target.starts_with('#'))
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut wrong = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).expect("readable");
        for target in links(&text) {
            let file = target.split('#').next().unwrap_or(target);
            if !page.with_file_name(file).exists() {
                wrong.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "links to nothing:\n{}", wrong.join("\n"));
}

#[test]
fn every_script_that_is_named_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).expect("readable");
        for (at, _) in text.match_indices("scripts/") {
            let rest = &text[at..];
            let end = rest.find(|c: char| !(c.is_alphanumeric() || "/-_.".contains(c)));
            let name = rest[..end.unwrap_or(rest.len())].trim_end_matches(['.', '/']);
            if name != "scripts" && !root.join(name).exists() {
                wrong.push(format!("{}: {name}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "scripts that are not there:\n{}", wrong.join("\n"));
}

#[test]
fn the_index_names_every_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let index = fs::read_to_string(root.join("index.md")).expect("readable");
    let named = links(&index);
    let pages =
        fs::read_dir(root).expect("readable").map(|entry| entry.expect("readable").file_name());
    let names = pages.map(|name| name.to_string_lossy().into_owned());
    let missing: Vec<_> = names
        .filter(|name| {
            name.ends_with(".md") && name != "index.md" && !named.contains(&name.as_str())
        })
        .collect();
    assert!(missing.is_empty(), "not in docs/index.md: {missing:?}");
}

#[test]
fn links_are_found() {
    assert_eq!(
        links("see [a](b.md) and [c](https://x) and [d](e.md#f), [g](#h)"),
        ["b.md", "e.md#f"]
    );
}
