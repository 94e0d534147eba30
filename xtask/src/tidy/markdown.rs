//! Rules for documents: links lead somewhere, commands exist, one sentence a
//! line.

use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use super::Finding;

/// Finds relative links that lead nowhere; `exists` is asked about paths from
/// the root.
pub(super) fn links(path: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<Finding> {
    let folder = Path::new(path).parent().unwrap_or(Path::new(""));
    let mut findings = Vec::new();
    for (number, line) in prose(text) {
        let line = without_code(line);
        for start in line.match_indices("](").map(|(at, _)| at + 2) {
            let Some(n_bytes) = line[start..].find([')', ' ']) else {
                continue;
            };
            let target = &line[start..start + n_bytes];
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || target.contains(':') {
                continue;
            }
            if !exists(&normalise(&folder.join(file))) {
                let message = format!("the link to {target} leads nowhere");
                findings.push(Finding::error(path, number, "links", message));
            }
        }
    }
    findings
}

/// Returns `path` without `.` and `..`.
fn normalise(path: &Path) -> String {
    let mut found = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                found.pop();
            }
            Component::CurDir => {}
            part => found.push(part),
        }
    }
    found.to_string_lossy().into_owned()
}

/// Finds `cargo xtask VERB` where there is no such verb.
pub(super) fn commands(path: &str, text: &str, verbs: &[String]) -> Vec<Finding> {
    const COMMAND: &str = "cargo xtask ";
    let mut findings = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for (start, _) in line.match_indices(COMMAND) {
            let rest = &line[start + COMMAND.len()..];
            let is_lower = |c: char| c.is_ascii_lowercase() || c == '-';
            let verb: String = rest.chars().take_while(|c| is_lower(*c)).collect();
            // Upper case stands for any verb, a dash for an option.
            if !verb.is_empty() && !verb.starts_with('-') && !verbs.contains(&verb) {
                let message = format!("there is no verb `{verb}`");
                findings.push(Finding::error(path, at + 1, "commands", message));
            }
        }
    }
    findings
}

/// Warns of lines that hold more than one sentence.
pub(super) fn sentences(path: &str, text: &str) -> Vec<Finding> {
    prose(text)
        .filter(|(_, line)| !line.trim_start().starts_with('|') && has_two_sentences(line))
        .map(|(number, _)| {
            let message = "one sentence a line: differences are then read by sentence";
            Finding::warning(path, number, "sentences", message)
        })
        .collect()
}

/// Says whether a sentence ends inside `line` and another begins. A full stop
/// ends one after a word of three letters and more, which leaves out initials,
/// numbers and "e.g."; other abbreviations are taken for ends.
fn has_two_sentences(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    words.windows(2).any(|pair| {
        let stem = pair[0].trim_end_matches(['.', '!', '?']);
        let n_letters = stem.chars().rev().take_while(|c| c.is_alphabetic()).count();
        let ends = stem.len() < pair[0].len() && n_letters >= 3 && !stem.contains('.');
        ends && pair[1].starts_with(char::is_uppercase)
    })
}

/// Returns the numbered lines of `text` that are not in a fenced block.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_fence = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        let is_fence = line.trim_start().starts_with("```");
        in_fence ^= is_fence;
        (!in_fence && !is_fence).then_some((at + 1, line))
    })
}

/// Returns `line` with the contents of its code spans blanked.
fn without_code(line: &str) -> String {
    let mut ticks: Vec<usize> = line.match_indices('`').map(|(at, _)| at).collect();
    ticks.truncate(ticks.len() / 2 * 2);
    let spans: Vec<Range<usize>> = ticks.chunks(2).map(|pair| pair[0]..pair[1]).collect();
    line.char_indices()
        .map(|(at, c)| {
            let is_code = spans.iter().any(|span| span.contains(&at));
            if is_code { ' ' } else { c }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_must_lead_somewhere() {
        let exists = |target: &str| target == "docs/a.md" || target == "README.md";
        let found = |path: &str, text: &str| links(path, text, exists).len();
        assert_eq!(found("README.md", "[a](docs/a.md) and [b](docs/b.md)\n"), 1);
        assert_eq!(found("docs/a.md", "[a](a.md#part) [r](../README.md)\n"), 0);
        assert_eq!(found("docs/a.md", "[a](docs/a.md)\n"), 1);
        assert_eq!(found("README.md", "[w](https://example.org/x) [p](#part)\n"), 0);
        assert_eq!(found("README.md", "`m[i](x)`\n```\nm[i](x)\n```\n"), 0);
    }

    #[test]
    fn a_command_must_exist() {
        let verbs = ["ci".to_owned()];
        let found = |text: &str| commands("README.md", text, &verbs).len();
        assert_eq!(found("Run `cargo xtask ci`.\n"), 0);
        assert_eq!(found("```\ncargo xtask prove\n```\n"), 1);
        assert_eq!(found("`cargo xtask VERB`, `cargo xtask --help`\n"), 0);
    }

    #[test]
    fn two_sentences_on_a_line_are_a_warning() {
        let found = sentences("a.md", "One here. Two here.\n| a row. With two. |\n");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].level, super::super::Level::Warning);
        for text in ["One, e.g. Two.", "By J. Smith.", "At 1.5 Mb.", "See a.rs. Or", "1. One"] {
            assert!(sentences("a.md", text).is_empty(), "{text}");
        }
    }
}
