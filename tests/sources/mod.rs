//! A reader of Rust source that is just good enough to find paths: it knows comments, strings, characters, raw
//! strings, inline modules and `use` trees, and nothing of the rest of the language.

use std::fs;
use std::path::{Path, PathBuf};

/// One file under `src/`.
pub(crate) struct Source {
    /// Relative to the crate's root.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    /// The module the file is, from the crate's root down.
    pub(crate) module: Vec<String>,
}

/// A word or a sign, with the line it stands on.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// A path somebody wrote, from the crate's root down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edge {
    pub(crate) target: Vec<String>,
    pub(crate) line: usize,
}

/// Every Rust file under `root/src`, in order of name.
pub(crate) fn read_tree(root: &Path) -> Vec<Source> {
    let mut folders = vec![root.join("src")];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("src is readable") {
            let path = entry.expect("src is readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("source is UTF-8");
                let relative = path.strip_prefix(root).expect("found under root");
                sources.push(Source::new(&relative.to_string_lossy(), &text));
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let mut module: Vec<String> = path
            .trim_start_matches("src/")
            .trim_end_matches(".rs")
            .split('/')
            .map(str::to_owned)
            .collect();
        if module == ["lib"] || module.last().is_some_and(|last| last == "mod") {
            module.pop();
        }
        Self { path: path.into(), text: text.to_owned(), module }
    }

    /// Whether the whole file is test code.
    fn is_test(&self) -> bool {
        self.module.iter().any(|part| part == "tests")
    }

    pub(crate) fn tokens(&self) -> Vec<Token> {
        Scanner { rest: self.text.chars().collect(), at: 0, line: 1 }.run()
    }
}

struct Scanner {
    rest: Vec<char>,
    at: usize,
    line: usize,
}

impl Scanner {
    fn peek(&self, ahead: usize) -> char {
        self.rest.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn step(&mut self) {
        if self.peek(0) == '\n' {
            self.line += 1;
        }
        self.at += 1;
    }

    fn run(mut self) -> Vec<Token> {
        let mut tokens = Vec::new();
        while self.at < self.rest.len() {
            let line = self.line;
            match self.peek(0) {
                '/' if self.peek(1) == '/' => self.line_comment(),
                '/' if self.peek(1) == '*' => self.block_comment(),
                '"' => self.string(),
                'r' | 'b' | 'c' if self.raw_hashes().is_some() => self.raw_string(),
                '\'' => self.character(),
                ':' if self.peek(1) == ':' => {
                    self.at += 2;
                    tokens.push(Token { text: "::".to_owned(), line });
                }
                c if c.is_alphanumeric() || c == '_' => {
                    let text = self.word();
                    tokens.push(Token { text, line });
                }
                c if c.is_whitespace() => self.step(),
                c => {
                    self.step();
                    tokens.push(Token { text: c.to_string(), line });
                }
            }
        }
        tokens
    }

    fn line_comment(&mut self) {
        while self.at < self.rest.len() && self.peek(0) != '\n' {
            self.step();
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while self.at < self.rest.len() {
            match (self.peek(0), self.peek(1)) {
                ('/', '*') => {
                    depth += 1;
                    self.at += 2;
                }
                ('*', '/') => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return;
                    }
                }
                _ => self.step(),
            }
        }
    }

    fn string(&mut self) {
        self.step();
        while self.at < self.rest.len() && self.peek(0) != '"' {
            if self.peek(0) == '\\' {
                self.step();
            }
            self.step();
        }
        self.step();
    }

    /// The number of `#` if a raw string starts here (`r"`, `r#"`, `br"`, `cr"`).
    fn raw_hashes(&self) -> Option<usize> {
        let mut ahead = usize::from(self.peek(0) != 'r');
        if self.peek(ahead) != 'r' {
            return None;
        }
        ahead += 1;
        let hashes = (0..).take_while(|n| self.peek(ahead + n) == '#').count();
        (self.peek(ahead + hashes) == '"').then_some(hashes)
    }

    fn raw_string(&mut self) {
        let hashes = self.raw_hashes().unwrap_or(0);
        while self.peek(0) != '"' {
            self.step();
        }
        self.step();
        while self.at < self.rest.len() {
            let closes = self.peek(0) == '"' && (1..=hashes).all(|n| self.peek(n) == '#');
            self.step();
            if closes {
                self.at += hashes;
                return;
            }
        }
    }

    /// A character literal, or a lifetime, whose quote alone is passed over.
    fn character(&mut self) {
        if self.peek(1) == '\\' {
            self.at += 3;
            while self.at < self.rest.len() && self.peek(0) != '\'' {
                self.step();
            }
            self.step();
        } else if self.peek(2) == '\'' {
            self.step();
            self.step();
            self.step();
        } else {
            self.step();
        }
    }

    fn word(&mut self) -> String {
        if self.peek(0) == 'r' && self.peek(1) == '#' {
            self.at += 2;
        }
        let start = self.at;
        while self.peek(0).is_alphanumeric() || self.peek(0) == '_' {
            self.step();
        }
        self.rest[start..self.at].iter().collect()
    }
}

/// Every path in `source` that starts at the crate's root or climbs out of its module.
pub(crate) fn edges(source: &Source) -> Vec<Edge> {
    if source.is_test() {
        return Vec::new();
    }
    let tokens = source.tokens();
    let mut walk =
        Walk { tokens: &tokens, at: 0, module: source.module.clone(), edges: Vec::new() };
    walk.run(source.module == ["main"]);
    walk.edges
}

struct Walk<'a> {
    tokens: &'a [Token],
    at: usize,
    module: Vec<String>,
    edges: Vec<Edge>,
}

impl Walk<'_> {
    fn is(&self, ahead: usize, text: &str) -> bool {
        self.tokens.get(self.at + ahead).is_some_and(|token| token.text == text)
    }

    fn run(&mut self, binary: bool) {
        // Depths at which the braces of inline modules were opened.
        let mut opened = Vec::new();
        let mut depth = 0_usize;
        while self.at < self.tokens.len() {
            let token = &self.tokens[self.at];
            let starts = self.at == 0 || self.tokens[self.at - 1].text != "::";
            match token.text.as_str() {
                "#" if self.is_test_attribute() => self.skip_test_item(),
                "mod" if self.is(2, "{") => {
                    self.module.push(self.tokens[self.at + 1].text.clone());
                    depth += 1;
                    opened.push(depth);
                    self.at += 3;
                }
                "{" => {
                    depth += 1;
                    self.at += 1;
                }
                "}" => {
                    if opened.last() == Some(&depth) {
                        opened.pop();
                        self.module.pop();
                    }
                    depth = depth.saturating_sub(1);
                    self.at += 1;
                }
                "crate" if starts && self.is(1, "::") => self.path(Vec::new()),
                "sixtap" if binary && starts && self.is(1, "::") => self.path(Vec::new()),
                "self" if starts && self.is(1, "::") => self.path(self.module.clone()),
                "super" if starts && self.is(1, "::") => {
                    let mut base = self.module.clone();
                    base.pop();
                    self.path(base);
                }
                "ie_registry" if starts => {
                    let target = vec![token.text.clone()];
                    self.edges.push(Edge { target, line: token.line });
                    self.at += 1;
                }
                _ => self.at += 1,
            }
        }
    }

    /// `#[cfg(test)]`, and `cfg(all(test, …))`.
    fn is_test_attribute(&self) -> bool {
        let words: Vec<&str> =
            self.tokens[self.at..].iter().take(6).map(|token| token.text.as_str()).collect();
        matches!(words.as_slice(), ["#", "[", "cfg", "(", "test", ")"])
            || matches!(words.as_slice(), ["#", "[", "cfg", "(", "all", "("])
                && self.tokens.get(self.at + 6).is_some_and(|token| token.text == "test")
    }

    /// Passes over the item that follows: to its closing brace, or to `;` if it has none.
    fn skip_test_item(&mut self) {
        let mut depth = 0_usize;
        while self.at < self.tokens.len() {
            match self.tokens[self.at].text.as_str() {
                "{" => depth += 1,
                "}" if depth <= 1 => {
                    self.at += 1;
                    return;
                }
                "}" => depth -= 1,
                ";" if depth == 0 => {
                    self.at += 1;
                    return;
                }
                _ => {}
            }
            self.at += 1;
        }
    }

    /// At the first word of a path (`crate`, `super`, …) whose meaning is `base`: reads on to its ends.
    fn path(&mut self, base: Vec<String>) {
        self.at += 2;
        self.tree(base);
    }

    /// After a `::`: one name and what follows it, or a group in braces.
    fn tree(&mut self, mut base: Vec<String>) {
        loop {
            let Some(token) = self.tokens.get(self.at) else { return };
            match token.text.as_str() {
                "{" => {
                    self.at += 1;
                    self.group(&base);
                    return;
                }
                "super" => {
                    base.pop();
                    self.at += 1;
                }
                "self" | "*" => {
                    self.edges.push(Edge { target: base, line: token.line });
                    self.at += 1;
                    return;
                }
                _ => {
                    base.push(token.text.clone());
                    self.at += 1;
                }
            }
            if self.is(0, "::") {
                self.at += 1;
            } else {
                let line = self.tokens[self.at - 1].line;
                self.edges.push(Edge { target: base, line });
                return;
            }
        }
    }

    fn group(&mut self, base: &[String]) {
        while let Some(token) = self.tokens.get(self.at) {
            match token.text.as_str() {
                "}" => {
                    self.at += 1;
                    return;
                }
                "," => self.at += 1,
                "as" => self.at += 2,
                _ => self.tree(base.to_vec()),
            }
        }
    }
}
