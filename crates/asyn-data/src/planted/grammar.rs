//! The table that a planted language is made from.

use std::collections::BTreeMap;

/// The rows of a grammar file; the words `start`, `end`, `begins` and so on are those of the file.
#[derive(Debug, Clone, Default)]
pub(super) struct Grammar {
    /// Weights of the first chunk's type.
    pub(super) start: Row,
    /// Weights of the next chunk's type, for each type.
    pub(super) after: BTreeMap<String, Row>,
    /// Weights of the first tag, for each type.
    pub(super) begins: BTreeMap<String, Row>,
    /// Weights of the next tag, or of `end`, for each type and tag.
    pub(super) inside: BTreeMap<(String, String), Row>,
    pub(super) words: Vec<Words>,
}

/// Names with weights, in the order of the file.
pub(super) type Row = Vec<(String, u64)>;

/// The words of one tag.
#[derive(Debug, Clone)]
pub(super) struct Words {
    pub(super) tag: String,
    pub(super) n_words: usize,
    /// Each `n`-th word is also a word of an earlier tag.
    pub(super) shared: Option<(usize, String)>,
}

impl Grammar {
    /// Parses a grammar file, or returns the first line that has no meaning.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut grammar = Self::default();
        for line in text.lines() {
            if !line.is_empty() && !line.starts_with('#') {
                grammar.add_line(line).ok_or_else(|| line.to_owned())?;
            }
        }
        Ok(grammar)
    }

    fn add_line(&mut self, line: &str) -> Option<()> {
        let cells: Vec<&str> = line.split(' ').collect();
        if let ["words", tag, n_words, rest @ ..] = &cells[..] {
            let shared = match rest {
                [] => None,
                ["every", n, "of", tag] => Some((n.parse().ok()?, (*tag).to_owned())),
                _ => return None,
            };
            let (tag, n_words) = ((*tag).to_owned(), n_words.parse().ok()?);
            self.words.push(Words { tag, n_words, shared });
            return Some(());
        }
        let (head, row) = line.split_once(": ")?;
        let row = parse_row(row)?;
        match &head.split(' ').collect::<Vec<_>>()[..] {
            ["start"] => self.start = row,
            ["after", kind] => drop(self.after.insert((*kind).to_owned(), row)),
            [kind, "begins"] => drop(self.begins.insert((*kind).to_owned(), row)),
            [kind, tag] => {
                drop(self.inside.insert(((*kind).to_owned(), (*tag).to_owned()), row));
            }
            _ => return None,
        }
        Some(())
    }
}

fn parse_row(row: &str) -> Option<Row> {
    let cells: Vec<&str> = row.split(' ').collect();
    let (pairs, []) = cells.as_chunks::<2>() else { return None };
    pairs.iter().map(|[name, weight]| Some(((*name).to_owned(), weight.parse().ok()?))).collect()
}
