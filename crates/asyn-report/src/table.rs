//! Tables of text.

use std::fmt;

use serde::Serialize;

/// Rows under a header. Columns of numbers are aligned to the right.
///
/// ```
/// use asyn_report::Table;
///
/// let table = Table::new(["strategy", "F1"]).row(["serial", "93.5"]).row(["asyngrad", "93.6"]);
/// assert_eq!(table.to_string(), "strategy    F1\nserial    93.5\nasyngrad  93.6\n");
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Table {
    pub(crate) header: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
    pub(crate) note: String,
}

impl Table {
    /// Makes a table without rows.
    pub fn new<S: Into<String>>(header: impl IntoIterator<Item = S>) -> Self {
        let header = header.into_iter().map(Into::into).collect();
        Self { header, rows: Vec::new(), note: String::new() }
    }

    /// Adds a row. Cells that it lacks are empty, and cells beyond the header are dropped.
    #[must_use]
    pub fn row<S: Into<String>>(mut self, cells: impl IntoIterator<Item = S>) -> Self {
        let mut cells: Vec<String> = cells.into_iter().map(Into::into).collect();
        cells.resize(self.header.len(), String::new());
        self.rows.push(cells);
        self
    }

    /// Sets what is said under the table.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// Says whether column `idx` holds numbers: every cell starts with a digit
    /// or a minus sign, or says that there is none.
    pub(crate) fn is_numeric(&self, idx: usize) -> bool {
        let is_number = |cell: &str| {
            let first = cell.trim_start_matches(['-', '−']).chars().next();
            cell.is_empty() || cell == "–" || first.is_some_and(|c| c.is_ascii_digit())
        };
        !self.rows.is_empty() && self.rows.iter().all(|row| is_number(&row[idx]))
    }

    /// Writes the table in Markdown, with its note under it.
    #[must_use]
    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| {
            let cells = cells.iter().map(|cell| cell.replace('|', "\\|"));
            format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
        };
        let rules: Vec<String> = (0..self.header.len())
            .map(|idx| if self.is_numeric(idx) { "---:" } else { "---" }.to_owned())
            .collect();
        let rows = self.rows.iter().map(|row| line(row));
        let text: String = [line(&self.header), line(&rules)].into_iter().chain(rows).collect();
        if self.note.is_empty() { text } else { format!("{text}\n{}\n", self.note) }
    }
}

/// The table as a terminal shows it, in columns two spaces apart.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n_columns = self.header.len();
        let width = |idx: usize| {
            let cells = self.rows.iter().chain([&self.header]).map(|row| row[idx].chars().count());
            cells.max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..n_columns).map(width).collect();
        for row in [&self.header].into_iter().chain(&self.rows) {
            let mut line = String::new();
            for (idx, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                let gap = if idx > 0 { "  " } else { "" };
                line += &if self.is_numeric(idx) {
                    format!("{gap}{cell:>width$}")
                } else {
                    format!("{gap}{cell:<width$}")
                };
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        if !self.note.is_empty() {
            writeln!(f, "{}", self.note)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_at_the_right_and_words_at_the_left() {
        let table = Table::new(["name", "x"]).row(["a", "1"]).row(["long name", "–"]);
        assert_eq!(table.to_string(), "name       x\na          1\nlong name  –\n");
        assert!(table.is_numeric(1) && !table.is_numeric(0));
    }

    #[test]
    fn a_short_row_is_filled_and_a_long_one_cut() {
        let table = Table::new(["a", "b"]).row(["1"]).row(["1", "2", "3"]);
        assert_eq!(table.rows, [["1", ""], ["1", "2"]]);
    }

    #[test]
    fn markdown_keeps_its_columns() {
        let table = Table::new(["name", "x"]).row(["a|b", "1"]).note("A note.");
        let expected = "| name | x |\n| --- | ---: |\n| a\\|b | 1 |\n\nA note.\n";
        assert_eq!(table.markdown(), expected);
    }
}
