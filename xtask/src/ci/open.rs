//! What is known to be open: the rows of `docs/open.md`.

use std::fs;

use crate::error::{Error, Result};
use crate::workspace::Workspace;

/// Prints the rows.
pub(super) fn print(workspace: &Workspace) -> Result<()> {
    let path = workspace.root().join("docs/open.md");
    let text = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
    let rows = table_rows(&text);
    println!("\nopen, by docs/open.md: {}", rows.len());
    for row in rows {
        println!("{row}");
    }
    Ok(())
}

/// Returns the rows of the Markdown tables in `text`, without their headers.
fn table_rows(text: &str) -> Vec<&str> {
    let mut rows = Vec::new();
    let mut in_body = false;
    for line in text.lines().map(str::trim) {
        if !line.starts_with('|') {
            in_body = false;
        } else if line.chars().all(|c| "|-: ".contains(c)) {
            in_body = true;
        } else if in_body {
            rows.push(line);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_a_table_is_no_row() {
        let text = "# Open\n\n| what | why |\n| --- | --- |\n| a | b |\n\n| c |\n";
        assert_eq!(table_rows(text), ["| a | b |"]);
        assert!(table_rows("| what |\n|---|\n").is_empty());
    }
}
