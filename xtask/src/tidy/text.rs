//! Rules for every text file: white space, size, no path of one machine.

use super::Finding;

/// The largest file, in bytes: more is a corpus or a build product.
const MAX_BYTES: usize = 300_000;

/// Folders whose absolute path means something on one machine only.
const MACHINE_FOLDERS: &[&str] = &["home", "root", "tmp", "work"];

/// Finds a file that is too big to be written by hand.
pub(super) fn size(path: &str, n_bytes: usize) -> Option<Finding> {
    (n_bytes > MAX_BYTES && !path.ends_with("Cargo.lock")).then(|| {
        let message = format!("{n_bytes} bytes, at most {MAX_BYTES}: corpora stay outside");
        Finding::error(path, 0, "size", message)
    })
}

/// Finds spaces at the end of a line, and a last line without an end.
pub(super) fn white_space(path: &str, text: &str) -> Vec<Finding> {
    let mut findings: Vec<Finding> = text
        .split('\n')
        .enumerate()
        .filter(|(_, line)| line.ends_with(char::is_whitespace))
        .map(|(at, _)| Finding::error(path, at + 1, "white-space", "space at the end of the line"))
        .collect();
    if !text.is_empty() && !text.ends_with('\n') {
        let last = text.split('\n').count();
        let message = "the last line does not end";
        findings.push(Finding::error(path, last, "white-space", message));
    }
    findings
}

/// Finds paths that exist on one machine only.
pub(super) fn machine_paths(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for folder in MACHINE_FOLDERS {
            if has_absolute(line, &format!("/{folder}/")) {
                let message = format!("/{folder}/… is a path of one machine");
                findings.push(Finding::error(path, at + 1, "machine-path", message));
            }
        }
    }
    findings
}

/// Says whether `line` has `prefix` where a path can start: not inside a longer
/// path or an address.
fn has_absolute(line: &str, prefix: &str) -> bool {
    line.match_indices(prefix).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "_.-/}".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_is_found_with_its_line() {
        let found = |text: &str| -> Vec<usize> {
            let findings = white_space("a.md", text);
            findings.iter().map(|finding| finding.line).collect()
        };
        assert!(found("").is_empty());
        assert!(found("a\n\nb\n").is_empty());
        assert_eq!(found("a \nb\t\n"), [1, 2]);
        assert_eq!(found("a\r\n"), [1]);
        assert_eq!(found("a\nb"), [2]);
    }

    #[test]
    fn only_the_lock_file_may_be_big() {
        assert!(size("a.txt", MAX_BYTES + 1).is_some());
        assert!(size("Cargo.lock", MAX_BYTES + 1).is_none());
        assert!(size("a.txt", MAX_BYTES).is_none());
    }

    #[test]
    fn a_path_of_one_machine_is_found() {
        let path = |start: &str| format!("see {start}/{}/x\n", "tmp");
        assert_eq!(machine_paths("a.md", &path("")).len(), 1);
        assert!(machine_paths("a.md", &path("target")).is_empty());
        assert!(machine_paths("a.md", &path("https://example.org")).is_empty());
        assert!(machine_paths("a.md", "see docs\n").is_empty());
    }
}
