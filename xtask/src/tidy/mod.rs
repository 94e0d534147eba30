//! `cargo xtask tidy`: the house rules that a program can check.
//!
//! A rule is a function from the text of a file to findings; it reads nothing
//! else, so each is tested on a few lines of text. This file gathers the files
//! (those that git tracks or would track), gives each to the rules that concern
//! it, and prints what they find as `path:line: rule: message`.
//!
//! Rules that clippy or rustdoc check are left to them. The code is read word
//! by word with comments and strings told apart, not parsed: a macro that
//! spells a forbidden name in pieces passes.

use std::fmt;
use std::fs;

use crate::error::{Error, Result};
use crate::workspace::{Workspace, output};

mod boundary;
mod layers;
mod lexer;
mod markdown;
mod source;
mod text;

/// Where a rule is broken, and how.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The file, relative to the root.
    path: String,
    /// The line, from 1; 0 where the finding concerns the whole file.
    line: usize,
    /// The name of the rule.
    rule: &'static str,
    /// What was found, and what to do about it.
    message: String,
    /// Whether the finding fails the task.
    level: Level,
}

/// Whether a finding fails the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Error,
    Warning,
}

impl Finding {
    fn error(path: &str, line: usize, rule: &'static str, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, rule, message: message.into(), level: Level::Error }
    }

    fn warning(path: &str, line: usize, rule: &'static str, message: impl Into<String>) -> Self {
        Self { level: Level::Warning, ..Self::error(path, line, rule, message) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Error => "",
            Level::Warning => "warning: ",
        };
        let Self { path, line, rule, message, .. } = self;
        match line {
            0 => write!(f, "{level}{path}: {rule}: {message}"),
            _ => write!(f, "{level}{path}:{line}: {rule}: {message}"),
        }
    }
}

/// Checks every file and prints the findings.
///
/// # Errors
///
/// [`Error::Untidy`] when a finding is more than a warning.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let paths = paths(workspace)?;
    let mut findings = Vec::new();
    for path in &paths {
        let full = workspace.root().join(path);
        let bytes = fs::read(&full).map_err(Error::file("read", &full))?;
        findings.extend(text::size(path, bytes.len()));
        // What is not text has no lines to look at.
        if let Ok(text) = String::from_utf8(bytes) {
            findings.extend(check(workspace, path, &text)?);
        }
    }
    findings.extend(boundary::stale_allowances(&paths));
    for finding in &findings {
        println!("{finding}");
    }
    let is_error = |finding: &&Finding| finding.level == Level::Error;
    match findings.iter().filter(is_error).count() {
        0 => {
            println!("tidy: {} files hold to the house rules", paths.len());
            Ok(())
        }
        n_findings => Err(Error::Untidy { n_findings }),
    }
}

/// Returns the files that git tracks or would track, sorted.
fn paths(workspace: &Workspace) -> Result<Vec<String>> {
    let mut git = workspace.command("git");
    git.args(["ls-files", "-z", "--cached", "--others"]);
    git.arg("--exclude-standard");
    let listed = output(&mut git)?;
    let mut paths: Vec<String> = listed
        .split_terminator('\0')
        // A file that was deleted and not yet committed is still listed.
        .filter(|path| workspace.root().join(path).is_file())
        .map(str::to_owned)
        .collect();
    paths.sort();
    paths.dedup();
    Ok(paths)
}

/// Applies to one file the rules that concern it.
fn check(workspace: &Workspace, path: &str, text: &str) -> Result<Vec<Finding>> {
    let mut findings = text::machine_paths(path, text);
    if !is_test_data(path) {
        findings.extend(text::white_space(path, text));
    }
    if path.ends_with(".rs") {
        let lines = lexer::lines(text);
        findings.extend(source::file_length(path, text));
        findings.extend(source::module_header(path, text));
        findings.extend(source::safety_comments(path, &lines));
        findings.extend(source::reasons(path, &lines));
        findings.extend(boundary::check(path, &lines));
    }
    if path.ends_with(".md") {
        let exists = |target: &str| workspace.root().join(target).exists();
        findings.extend(markdown::links(path, text, exists));
        findings.extend(markdown::commands(path, text, &crate::verbs()));
        findings.extend(markdown::sentences(path, text));
    }
    if path.ends_with("Cargo.toml") {
        findings.extend(layers::check(path, text)?);
    }
    Ok(findings)
}

/// Says whether a file is data of tests, which is kept byte for byte.
fn is_test_data(path: &str) -> bool {
    let in_tests = path.starts_with("fuzz/") || path.split('/').any(|part| part == "tests");
    in_tests && !path.ends_with(".rs") && !path.ends_with(".toml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_shown_with_its_place() {
        let finding = Finding::error("a.rs", 3, "rule", "message");
        assert_eq!(finding.to_string(), "a.rs:3: rule: message");
        let finding = Finding::warning("a.rs", 0, "rule", "message");
        assert_eq!(finding.to_string(), "warning: a.rs: rule: message");
    }

    #[test]
    fn data_of_tests_is_left_alone() {
        assert!(is_test_data("crates/a/tests/golden/01.out"));
        assert!(!is_test_data("crates/a/tests/golden.rs"));
        assert!(!is_test_data("docs/data.md"));
    }
}
