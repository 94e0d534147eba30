//! What a crate may touch: who prints, opens files, spawns threads or uses
//! atomics.
//!
//! Only the code of a crate counts, not its tests: `tests/`, `examples/`, a
//! `tests.rs`, and whatever follows the `mod tests {` that ends a file.

use super::Finding;
use super::lexer::Line;

/// The folder that holds every access to shared weights.
const SHARED: &str = "crates/asyn-core/src/shared/";

/// Files outside that folder that may use atomics, none of them on weights.
const ATOMICS: &[Allowance] = &[
    Allowance {
        path: "crates/asyn-core/src/instruments/overlap.rs",
        reason: "the counters of updates that have begun and ended",
    },
    Allowance {
        path: "crates/asyn-core/src/instruments/versions.rs",
        reason: "the counters of writes to each block",
    },
    Allowance {
        path: "crates/asyn-core/src/segment.rs",
        reason: "the counter that hands out work, and the flag that stops it",
    },
    Allowance {
        path: "crates/asyn-core/src/worker/mod.rs",
        reason: "the counter that tells workers apart",
    },
    Allowance { path: "crates/asyn-sync/src/barrier.rs", reason: "the round that a barrier is in" },
    Allowance {
        path: "crates/asyn-sync/src/clocks.rs",
        reason: "the clocks of workers that may not run far ahead",
    },
    Allowance {
        path: "crates/asyn-sync/src/primitive.rs",
        reason: "the place where real atomics are exchanged for loom's",
    },
    Allowance {
        path: "crates/asyn-data/src/parallel.rs",
        reason: "the counter that hands out items to encode",
    },
];

/// A file that may do what others may not.
struct Allowance {
    path: &'static str,
    /// Why; for the reader of this list.
    #[allow(dead_code, reason = "it is read by people")]
    reason: &'static str,
}

/// A family of names that some crates may not use.
struct Ban {
    rule: &'static str,
    crates: &'static [&'static str],
    is_banned: fn(&Line) -> bool,
    message: &'static str,
}

const BANS: &[Ban] = &[
    Ban {
        rule: "print",
        crates: &["asyn-core", "asyn-sync", "asyn-data", "asyn-models"],
        is_banned: |line| {
            let macros = ["print", "println", "eprint", "eprintln", "dbg"];
            macros.iter().any(|name| calls_macro(line, name))
        },
        message: "a library prints nothing: return it, or give it to the observer",
    },
    Ban {
        rule: "files",
        crates: &["asyn-core", "asyn-sync", "asyn-models"],
        is_banned: |line| has_word(line, &["fs", "File", "OpenOptions"]),
        message: "only asyn-data and the command touch files",
    },
    Ban {
        rule: "threads",
        crates: &["asyn-models"],
        is_banned: |line| {
            has_word(line, &["rayon"])
                || ["std::thread", "thread::"].iter().any(|it| line.code.contains(it))
        },
        message: "a model spawns no thread: strategies do",
    },
];

/// Finds code that reaches over the boundary of its crate.
pub(super) fn check(path: &str, lines: &[Line]) -> Vec<Finding> {
    let Some(name) = crate_of(path) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    for (at, line) in lines[..n_lines_before_tests(lines)].iter().enumerate() {
        for ban in BANS.iter().filter(|ban| ban.crates.contains(&name)) {
            if (ban.is_banned)(line) {
                findings.push(Finding::error(path, at + 1, ban.rule, ban.message));
            }
        }
        if !path.starts_with(SHARED) {
            findings.extend(atomics(path, at + 1, line));
        }
    }
    findings
}

fn atomics(path: &str, line_number: usize, line: &Line) -> Option<Finding> {
    if ["asm", "global_asm"].iter().any(|name| calls_macro(line, name)) {
        let message = format!("assembly belongs in {SHARED}");
        return Some(Finding::error(path, line_number, "asm", message));
    }
    let is_atomic = |word: &str| {
        let kind = word.strip_prefix("Atomic");
        kind.is_some_and(|kind| kind.starts_with(|c: char| c.is_ascii_uppercase()))
    };
    let is_allowed = ATOMICS.iter().any(|allowance| allowance.path == path);
    (line.words().any(is_atomic) && !is_allowed).then(|| {
        let message = format!(
            "atomics on weights belong in {SHARED}; another use needs its file and a reason \
             in the list of xtask's tidy/boundary.rs"
        );
        Finding::error(path, line_number, "atomics", message)
    })
}

/// Finds files of the list above that are gone, so that the list stays true.
pub(super) fn stale_allowances(paths: &[String]) -> Vec<Finding> {
    ATOMICS
        .iter()
        .filter(|allowance| !paths.iter().any(|path| path == allowance.path))
        .map(|allowance| {
            let message = "may use atomics, says tidy/boundary.rs, but is gone";
            Finding::error(allowance.path, 0, "atomics", message)
        })
        .collect()
}

/// Returns the crate whose code the file is; tests and examples are not.
fn crate_of(path: &str) -> Option<&str> {
    let (name, file) = path.strip_prefix("crates/")?.split_once("/src/")?;
    (file != "tests.rs" && !file.ends_with("/tests.rs")).then_some(name)
}

/// Returns how many lines come before the tests that end a file.
fn n_lines_before_tests(lines: &[Line]) -> usize {
    let opens_tests = |pair: &[Line]| {
        let (attribute, module) = (pair[0].code.trim(), pair[1].code.trim());
        attribute.starts_with("#[cfg(") && attribute.contains("test") && module == "mod tests {"
    };
    lines.windows(2).position(opens_tests).unwrap_or(lines.len())
}

fn has_word(line: &Line, banned: &[&str]) -> bool {
    line.words().any(|word| banned.contains(&word))
}

fn calls_macro(line: &Line, name: &str) -> bool {
    let call = format!("{name}!");
    line.code.match_indices(&call).any(|(at, _)| {
        let before = line.code[..at].chars().next_back();
        !before.is_some_and(super::lexer::is_word)
    })
}

#[cfg(test)]
mod tests {
    use super::super::lexer;
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<&'static str> {
        let found = check(path, &lexer::lines(text));
        found.into_iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn libraries_do_not_print() {
        let text = "println!(\"x\");\n";
        assert_eq!(rules("crates/asyn-data/src/a.rs", text), ["print"]);
        assert!(rules("crates/asyn/src/a.rs", text).is_empty());
        assert!(rules("crates/asyn-data/tests/a.rs", text).is_empty());
        assert!(rules("crates/asyn-data/src/a.rs", "// println!(\"x\");\n").is_empty());
    }

    #[test]
    fn only_data_and_the_command_touch_files() {
        for text in ["use std::fs;\n", "use std::{fs, io};\n", "File::open(p)\n"] {
            assert_eq!(rules("crates/asyn-models/src/a.rs", text), ["files"]);
            assert!(rules("crates/asyn-data/src/a.rs", text).is_empty());
        }
    }

    #[test]
    fn models_spawn_no_thread() {
        let text = "std::thread::scope(|s| {});\n";
        assert_eq!(rules("crates/asyn-models/src/a.rs", text), ["threads"]);
        assert!(rules("crates/asyn-sync/src/a.rs", text).is_empty());
    }

    #[test]
    fn atomics_and_assembly_have_one_home() {
        let core = |file: &str| format!("crates/asyn-core/src/{file}");
        assert_eq!(rules(&core("a.rs"), "x: AtomicU32,\n"), ["atomics"]);
        assert_eq!(rules(&core("a.rs"), "asm!(\"\")\n"), ["asm"]);
        assert!(rules(&core("shared/a.rs"), "AtomicU32 asm!(\"\")\n").is_empty());
        assert!(rules(&core("a.rs"), "Atomically wasm!(\"\")\n").is_empty());
    }

    #[test]
    fn tests_at_the_end_of_a_file_are_free() {
        let text = "fn f() {}\n#[cfg(test)]\nmod tests {\n    println!(\"x\");\n}\n";
        assert!(rules("crates/asyn-core/src/a.rs", text).is_empty());
    }
}
