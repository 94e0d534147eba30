//! The text model of CRF++, as `crf_learn -t` writes it beside the binary one.
//!
//! ```text
//! version: 100
//! cost-factor: 1
//! maxid: 6
//! xsize: 1
//!
//! B
//! O
//!
//! U00:%x[0,0]
//! B
//!
//! 2 B
//! 0 U00:the
//!
//! 0.5
//! -0.5
//! …
//! ```
//!
//! These are labels, lines of the template, the place of each attribute's first weight, and `maxid`
//! weights. An attribute of a `U` line has a weight for each label, one of a `B` line for each pair of
//! them, by previous label; scores are weights times the cost factor.
//!
//! CRF++ compares attributes as texts, and here they are compared cell by cell. So an attribute that
//! several cells can make becomes one for each way to cut its text into cells, all with its weights.
//!
//! Source: `feature_index.cpp` of CRF++ 0.58.

use std::collections::BTreeSet;

use super::Imported;
use crate::encoder::{Encoder, UNKNOWN_LABEL};
use crate::error::{Error, Result};
use crate::strings::Strings;
use crate::template::{Shape, Template};

/// The most ways to cut an attribute into cells.
const MOST_CUTS: usize = 1024;

/// The lines of a model, one after the other.
struct Lines<'a> {
    name: &'a str,
    lines: std::str::Lines<'a>,
    number: u64,
}

/// What stands before the weights.
struct Head<'a> {
    cost_factor: f64,
    n_weights: usize,
    n_columns: usize,
    labels: Strings,
    template: Template,
    /// For each attribute: its line, where its weights begin, and its text.
    attributes: Vec<(u64, usize, &'a str)>,
}

/// Reads a text model of CRF++; `name` is what errors call it.
///
/// # Errors
///
/// [`Error::Text`] with the line where something else was expected, as it is in files that are
/// cut short, and [`Error::Template`] for lines of the template that cannot be understood.
pub fn import_crfpp(name: &str, text: &str) -> Result<Imported> {
    let mut lines = Lines { name, lines: text.lines(), number: 0 };
    if !text.starts_with("version:") {
        return Err(lines.fault_at(1, "a text model of CRF++, which begins with version:"));
    }
    let head = lines.head()?;
    let weights = lines.weights(&head)?;
    let n = head.labels.len();
    let shapes = head.template.shapes();
    let plain: BTreeSet<&str> = head.template.plain_edges().collect();
    let mut imported = (Vec::new(), Vec::new(), Vec::new());
    let (nodes, edges, rich) = (&mut imported.0, &mut imported.1, &mut imported.2);
    let label = |at: usize| u16::try_from(at).unwrap_or(UNKNOWN_LABEL);
    let mut given = Vec::new();
    // Rich attributes have the smaller numbers.
    for is_edge in [true, false] {
        for &(line, start, text) in &head.attributes {
            let is_of_edge = text.starts_with('B');
            let n_weights = if is_of_edge { n * n } else { n };
            let end = start.checked_add(n_weights);
            let found = end.and_then(|end| weights.get(start..end));
            let found = found.ok_or_else(|| lines.fault_at(line, "a place among the weights"))?;
            if is_of_edge != is_edge {
                continue;
            }
            let before = given.len();
            for (shape_idx, shape) in shapes.iter().enumerate() {
                if shape.is_edge == is_edge {
                    let cuts = cuts(shape, text);
                    let cuts =
                        cuts.ok_or_else(|| lines.fault_at(line, "an attribute of few cells"))?;
                    given.extend(cuts.into_iter().map(|cells| (shape_idx, cells)));
                }
            }
            if before == given.len() && !plain.contains(text) {
                return Err(lines.fault_at(line, "an attribute of the template"));
            }
            for id in before..given.len() {
                let id = u32::try_from(id).map_err(|_| lines.fault_at(line, "fewer attributes"))?;
                for (at, &weight) in found.iter().enumerate() {
                    if is_edge {
                        rich.push((id, label(at / n), label(at % n), weight));
                    } else {
                        nodes.push((id, label(at), weight));
                    }
                }
            }
            if plain.contains(text) {
                let pairs = found.iter().enumerate();
                edges.extend(pairs.map(|(at, &weight)| (label(at / n), label(at % n), weight)));
            }
        }
    }
    let n_rich = rich.len() / (n * n);
    let Head { template, labels, n_columns, .. } = head;
    template.check_columns(n_columns)?;
    let encoder = Encoder::of_attributes(template, labels, given.into_iter(), n_rich, n_columns);
    let encoder = encoder.ok_or_else(|| lines.fault("attributes that differ"))?;
    let (nodes, edges, rich) = imported;
    Ok(Imported { encoder, nodes, edges, rich })
}

impl<'a> Lines<'a> {
    fn fault(&self, expected: &'static str) -> Error {
        self.fault_at(self.number, expected)
    }

    fn fault_at(&self, line: u64, expected: &'static str) -> Error {
        Error::Text { name: self.name.to_owned(), line, expected }
    }

    fn next(&mut self, expected: &'static str) -> Result<&'a str> {
        self.number += 1;
        self.lines.next().ok_or_else(|| self.fault(expected))
    }

    /// Returns the lines up to a blank one, with their numbers.
    fn block(&mut self, expected: &'static str) -> Result<Vec<(u64, &'a str)>> {
        let mut block = Vec::new();
        loop {
            match self.next(expected)? {
                "" => return Ok(block),
                line => block.push((self.number, line)),
            }
        }
    }

    fn head(&mut self) -> Result<Head<'a>> {
        let about = "a name and a colon, or a blank line behind such lines";
        let (mut cost_factor, mut n_weights, mut n_columns) = (1.0, None, None);
        for (number, line) in self.block(about)? {
            let (key, value) = line.split_once(':').ok_or_else(|| self.fault_at(number, about))?;
            let value = value.trim();
            let unfit = || self.fault_at(number, "a number behind the colon");
            match key {
                "cost-factor" => {
                    let found = value.parse().ok().filter(|factor: &f64| factor.is_finite());
                    cost_factor = found.ok_or_else(unfit)?;
                }
                "maxid" => n_weights = Some(value.parse().map_err(|_| unfit())?),
                "xsize" => {
                    let found = value.parse().ok().and_then(|n: usize| n.checked_add(1));
                    n_columns = Some(found.ok_or_else(unfit)?);
                }
                _ => {}
            }
        }
        let (Some(n_weights), Some(n_columns)) = (n_weights, n_columns) else {
            return Err(self.fault("maxid: and xsize: before the first blank line"));
        };
        let block = self.block("labels, and a blank line behind them")?;
        let labels: Strings = block.iter().map(|&(_, label)| label).collect();
        let most = usize::from(UNKNOWN_LABEL);
        if labels.len() < block.len() || !(1..most).contains(&labels.len()) {
            return Err(self.fault("some labels that differ"));
        }
        let block = self.block("lines of the template, and a blank line behind them")?;
        let text: Vec<&str> = block.iter().map(|&(_, line)| line).collect();
        let template = Template::parse("crf++", &(text.join("\n") + "\n"))?;
        let block = self.block("attributes, and a blank line behind them")?;
        let attributes = block.into_iter().map(|(number, line)| {
            let found = line.split_once([' ', '\t']);
            let found = found.and_then(|(start, text)| Some((start.parse().ok()?, text)));
            let (start, text) = found.ok_or_else(|| {
                self.fault_at(number, "the place of a weight, a space and an attribute")
            })?;
            Ok((number, start, text))
        });
        let attributes = attributes.collect::<Result<Vec<_>>>()?;
        Ok(Head { cost_factor, n_weights, n_columns, labels, template, attributes })
    }

    /// Reads the weights, times the cost factor.
    #[allow(clippy::cast_possible_truncation, reason = "weights are f32")]
    fn weights(&mut self, head: &Head<'_>) -> Result<Vec<f32>> {
        let mut weights = Vec::new();
        while let Some(line) = self.lines.next() {
            self.number += 1;
            let weight = line.trim().parse().ok().map(|weight: f64| weight * head.cost_factor);
            let weight = weight.map(|weight| weight as f32).filter(|weight| weight.is_finite());
            weights.push(weight.ok_or_else(|| self.fault("a weight"))?);
        }
        if weights.len() == head.n_weights {
            return Ok(weights);
        }
        self.number += 1;
        Err(self.fault("as many weights as maxid: says"))
    }
}

/// Returns all cells that make `text` in a line of the template, or `None` if they are too many.
fn cuts<'t>(shape: &Shape, text: &'t str) -> Option<Vec<Vec<&'t str>>> {
    let Some(rest) = text.strip_prefix(shape.literals[0].as_str()) else {
        return Some(Vec::new());
    };
    // Cells so far, and what is left of the text.
    let mut begun = vec![(Vec::new(), rest)];
    for (at, literal) in shape.literals.iter().enumerate().skip(1) {
        let is_last = at + 1 == shape.literals.len();
        let mut longer = Vec::new();
        for (cells, rest) in begun {
            // A cell has at least one character.
            let ends = rest.char_indices().map(|(end, _)| end).chain([rest.len()]).skip(1);
            for end in ends {
                let Some(behind) = rest[end..].strip_prefix(literal.as_str()) else { continue };
                if is_last && !behind.is_empty() {
                    continue;
                }
                let mut cells = cells.clone();
                cells.push(&rest[..end]);
                longer.push((cells, behind));
                if longer.len() > MOST_CUTS {
                    return None;
                }
            }
        }
        begun = longer;
    }
    let is_whole = |(_, rest): &(Vec<&str>, &str)| rest.is_empty();
    Some(begun.into_iter().filter(is_whole).map(|(cells, _)| cells).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_into_cells_in_every_way() {
        let template = Template::parse("t", "U05:%x[-1,0]/%x[0,0]\nU9\nU%x[0,0]\n").unwrap();
        let cut = |shape: usize, text| cuts(&template.shapes()[shape], text).unwrap();
        assert_eq!(cut(0, "U05:a/b"), [["a", "b"]]);
        assert_eq!(cut(0, "U05:a/b/c"), [["a", "b/c"], ["a/b", "c"]]);
        assert_eq!(cut(0, "U05:///"), [["/", "/"]]);
        assert!(cut(0, "U05:a/").is_empty() && cut(0, "U06:a/b").is_empty());
        assert_eq!((cut(1, "U9").len(), cut(1, "U90").len()), (1, 0));
        assert_eq!(cut(2, "U05:a"), [["05:a"]]);
        assert!(cuts(&template.shapes()[0], &format!("U05:{}", "/".repeat(5000))).is_none());
    }
}
