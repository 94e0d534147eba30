//! Links between the words of a pair, and the format of Pharaoh: `i-j`, a line a pair.

use std::fmt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::reader::open_text;

/// A link from a word on the left to one on the right, both counted from 0.
pub type Link = (u32, u32);

/// The links of one pair, ascending and each once.
///
/// ```
/// use asyn_data::Links;
///
/// let links = Links::new([(1, 0), (0, 2), (1, 0)]);
/// assert_eq!(links.to_string(), "0-2 1-0");
/// assert!(links.contains((1, 0)) && !links.contains((0, 0)));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links(Vec<Link>);

impl Links {
    /// Makes links in any order.
    pub fn new(links: impl IntoIterator<Item = Link>) -> Self {
        let mut links: Vec<Link> = links.into_iter().collect();
        links.sort_unstable();
        links.dedup();
        Self(links)
    }

    /// Returns the number of links.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if there are no links.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns true if `link` is among them.
    pub fn contains(&self, link: Link) -> bool {
        self.0.binary_search(&link).is_ok()
    }

    /// Iterates over the links, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Link> + '_ {
        self.0.iter().copied()
    }

    /// Returns the same links seen from the other side.
    #[must_use]
    pub fn flipped(&self) -> Self {
        Self::new(self.iter().map(|(left, right)| (right, left)))
    }
}

/// Prints the links in the format of Pharaoh.
impl fmt::Display for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (left, right)) in self.iter().enumerate() {
            write!(f, "{}{left}-{right}", if place == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

/// Reads alignments in the format of Pharaoh, a line a pair, from their path or standard input
/// where it is `-`.
///
/// A link may be followed by `:` and its probability, which is passed over.
///
/// # Errors
///
/// [`Error::Io`], [`Error::Gzip`] and [`Error::Utf8`], and [`Error::Text`] for what is no link.
pub fn read_links(path: impl AsRef<Path>) -> Result<Vec<Links>> {
    let name = path.as_ref().display().to_string();
    let text = open_text(path)?;
    let line = |(line, number): (&str, u64)| {
        let links: Option<Vec<Link>> = line.split_whitespace().map(parse).collect();
        let expected = "links of two word numbers, such as 0-1";
        links.map(Links::new).ok_or(Error::Text { name: name.clone(), line: number, expected })
    };
    text.lines().zip(1..).map(line).collect()
}

fn parse(text: &str) -> Option<Link> {
    let link = text.split_once(':').map_or(text, |(link, _)| link);
    let (left, right) = link.split_once('-')?;
    Some((left.parse().ok()?, right.parse().ok()?))
}
