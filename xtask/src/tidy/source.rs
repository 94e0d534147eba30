//! Rules that every Rust file keeps: length, header, words beside `unsafe` and
//! beside `allow`.

use super::Finding;
use super::lexer::Line;

/// The longest file outside the `tests` folders, in lines.
const MAX_LINES: usize = 600;

/// Finds a file that is too long to read in one go.
pub(super) fn file_length(path: &str, text: &str) -> Option<Finding> {
    let n_lines = text.lines().count();
    let in_tests = path.split('/').any(|part| part == "tests");
    (n_lines > MAX_LINES && !in_tests).then(|| {
        let message = format!("{n_lines} lines, at most {MAX_LINES}: split it by concept");
        Finding::error(path, 0, "file-length", message)
    })
}

/// Finds a file that does not start by saying what it holds.
pub(super) fn module_header(path: &str, text: &str) -> Option<Finding> {
    (!text.starts_with("//! "))
        .then(|| Finding::error(path, 1, "module-header", "the first line must be a `//!`"))
}

/// Finds `unsafe` blocks and implementations without a `SAFETY:` line.
///
/// The line stands at the end of the same line, or in the comment above the
/// statement that holds the block.
pub(super) fn safety_comments(path: &str, lines: &[Line]) -> Vec<Finding> {
    let is_unsafe = |line: &Line| {
        let code = format!("{} ", line.code);
        ["unsafe {", "unsafe impl "].iter().any(|it| code.contains(it))
    };
    (0..lines.len())
        .filter(|&at| is_unsafe(&lines[at]) && !has_safety_comment(lines, at))
        .map(|at| {
            let message = "say in a `// SAFETY:` line above why this is sound";
            Finding::error(path, at + 1, "safety", message)
        })
        .collect()
}

fn has_safety_comment(lines: &[Line], at: usize) -> bool {
    if lines[at].comment.contains("SAFETY:") {
        return true;
    }
    // Above, up to the end of the statement before.
    let is_end = |line: &Line| {
        let code = line.code.trim_end();
        let is_blank = code.is_empty() && line.comment.is_empty();
        is_blank || code.ends_with([';', '{', '}', ','])
    };
    lines[..at]
        .iter()
        .rev()
        .take_while(|line| !is_end(line))
        .any(|line| line.comment.contains("SAFETY:"))
}

/// Finds lints that are lifted without a reason.
pub(super) fn reasons(path: &str, lines: &[Line]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let code = line.code.trim_start();
        if !code.starts_with("#[") && !code.starts_with("#![") {
            continue;
        }
        let attribute = attribute(&lines[at..]);
        let lifts = ["allow(", "expect("].iter().any(|it| {
            // The name of the attribute, not the end of a longer word.
            let starts = [format!("[{it}"), format!(", {it}")];
            starts.iter().any(|start| attribute.contains(start))
        });
        if lifts && !attribute.contains("reason =") {
            let message = "say why the lint is lifted: `reason = \"…\"`";
            findings.push(Finding::error(path, at + 1, "reason", message));
        }
    }
    findings
}

/// Returns the attribute that starts on the first of `lines`, on one line.
fn attribute(lines: &[Line]) -> String {
    let mut text = String::new();
    let mut depth = 0_usize;
    for line in lines {
        for c in line.code.trim().chars() {
            text.push(c);
            match c {
                '[' => depth += 1,
                ']' if depth == 1 => return text,
                ']' => depth -= 1,
                _ => {}
            }
        }
        text.push(' ');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::lexer;
    use super::*;

    fn safety(text: &str) -> Vec<usize> {
        let found = safety_comments("a.rs", &lexer::lines(text));
        found.iter().map(|finding| finding.line).collect()
    }

    fn lifted(text: &str) -> usize {
        reasons("a.rs", &lexer::lines(text)).len()
    }

    #[test]
    fn a_long_file_is_found_outside_tests() {
        let text = "x\n".repeat(MAX_LINES + 1);
        assert!(file_length("src/a.rs", &text).is_some());
        assert!(file_length("tests/a.rs", &text).is_none());
        assert!(file_length("src/a.rs", &text[2..]).is_none());
    }

    #[test]
    fn the_header_comes_first() {
        assert!(module_header("a.rs", "//! Says.\n").is_none());
        assert!(module_header("a.rs", "use std::fmt;\n//! Says.\n").is_some());
    }

    #[test]
    fn an_unsafe_block_needs_its_line() {
        assert_eq!(safety("f();\nunsafe { g() };\n"), [2]);
        assert!(safety("// SAFETY: g is sound.\nunsafe { g() };\n").is_empty());
        assert!(safety("// SAFETY: two\n// lines.\nlet x =\n    unsafe { g() };\n").is_empty());
        assert!(safety("unsafe { g() } // SAFETY: g is sound.\n").is_empty());
        assert_eq!(safety("// SAFETY: g is sound.\nf();\nunsafe { g() };\n"), [3]);
        assert_eq!(safety("unsafe impl Send for X {}\n"), [1]);
    }

    #[test]
    fn the_word_unsafe_alone_is_no_block() {
        assert!(safety("unsafe fn f() {}\n// unsafe { g() }\nf(\"unsafe { g() }\");\n").is_empty());
    }

    #[test]
    fn a_lifted_lint_needs_a_reason() {
        assert_eq!(lifted("#[allow(dead_code)]\n"), 1);
        assert_eq!(lifted("#![allow(\n    dead_code,\n    reason = \"x\"\n)]\n"), 0);
        assert_eq!(lifted("#![allow(\n    dead_code\n)]\n"), 1);
        assert_eq!(lifted("#[cfg_attr(miri, allow(dead_code))]\n"), 1);
        assert_eq!(lifted("#[expect(dead_code, reason = \"x\")]\n"), 0);
        assert_eq!(lifted("#[derive(Debug)]\nfn f() { x.expect(\"y\"); }\n"), 0);
        assert_eq!(lifted("// #[allow(dead_code)]\n"), 0);
    }
}
