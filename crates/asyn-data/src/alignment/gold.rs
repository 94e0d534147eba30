//! Gold alignments: sure links, and possible ones around them.
//!
//! Two formats are read. In one, a line is a pair, with `i-j` for a sure and `i?j` for a possible
//! link. In the other, that of the shared task of HLT-NAACL 2003 (Mihalcea and Pedersen, "An
//! Evaluation Exercise for Word Alignment"), a line is a link: the number of the pair, that of
//! the word on the right, that of the word on the left, all counted from 1, and `S`, which may be
//! left out, or `P`; 0 for a word is no word, and such links are passed over.

use std::path::Path;

use super::bitext::Bitext;
use super::links::{Link, Links};
use crate::error::{Error, Result};
use crate::reader::open_text;

/// The gold links of a pair.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GoldLinks {
    /// The links that must be there.
    pub sure: Links,
    /// The links that may be there, the sure ones among them.
    pub possible: Links,
}

/// A link as it was read, with its line and whether it is sure.
struct Read {
    pair: usize,
    link: Link,
    line: u64,
    is_sure: bool,
}

/// Reads gold alignments, of the pairs of `bitext` where it is given.
///
/// # Errors
///
/// [`Error::Io`], [`Error::Gzip`] and [`Error::Utf8`]; [`Error::Text`] for what is no link;
/// [`Error::Link`] for a link from or to a word that the pair does not have, and
/// [`Error::Unpaired`] where there are more or fewer lines than pairs.
pub fn read_gold(path: impl AsRef<Path>, bitext: Option<&Bitext>) -> Result<Vec<GoldLinks>> {
    let name = path.as_ref().display().to_string();
    parse(&name, &open_text(path)?, bitext)
}

fn parse(name: &str, text: &str, bitext: Option<&Bitext>) -> Result<Vec<GoldLinks>> {
    let by_link = text.lines().find(|line| !line.trim().is_empty()).is_some_and(is_of_one_link);
    let (n_pairs, links) = if by_link {
        let links = links_by_line(name, text)?;
        let last = links.iter().map(|read| read.pair + 1).max().unwrap_or(0);
        (bitext.map_or(last, Bitext::n_pairs), links)
    } else {
        (text.lines().count(), pairs_by_line(name, text)?)
    };
    if let Some(bitext) = bitext {
        let expected = bitext.n_pairs();
        if n_pairs != expected {
            let (line, n_lines) = (n_pairs.min(expected) as u64 + 1, expected as u64);
            let (name, other) = (name.to_owned(), "the text".to_owned());
            return Err(Error::Unpaired { name, line, other, n_lines });
        }
        check(name, &links, bitext)?;
    }
    let mut pairs = vec![(Vec::new(), Vec::new()); n_pairs];
    for read in links {
        let (sure, possible) = &mut pairs[read.pair];
        possible.push(read.link);
        if read.is_sure {
            sure.push(read.link);
        }
    }
    let pair =
        |(sure, possible)| GoldLinks { sure: Links::new(sure), possible: Links::new(possible) };
    Ok(pairs.into_iter().map(pair).collect())
}

/// Refuses links from or to words that are not there.
fn check(name: &str, links: &[Read], bitext: &Bitext) -> Result<()> {
    for read in links {
        let lengths = if read.pair < bitext.n_pairs() { bitext.lengths(read.pair) } else { (0, 0) };
        let (left, right) = read.link;
        if left as usize >= lengths.0 || right as usize >= lengths.1 {
            return Err(Error::Link {
                name: name.to_owned(),
                line: read.line,
                link: format!("{left}-{right}"),
                lengths,
            });
        }
    }
    Ok(())
}

fn is_of_one_link(line: &str) -> bool {
    let mut fields = line.split_whitespace();
    fields.by_ref().take(3).filter(|field| field.parse::<u32>().is_ok()).count() == 3
}

fn pairs_by_line(name: &str, text: &str) -> Result<Vec<Read>> {
    let mut links = Vec::new();
    for (pair, line) in text.lines().enumerate() {
        let number = pair as u64 + 1;
        for item in line.split_whitespace() {
            let is_sure = !item.contains('?');
            let ends = item.split_once(if is_sure { '-' } else { '?' });
            let link =
                ends.and_then(|(left, right)| Some((left.parse().ok()?, right.parse().ok()?)));
            let expected = "links such as 0-1, or 0?1 for a possible one";
            let link = link.ok_or(Error::Text { name: name.to_owned(), line: number, expected })?;
            links.push(Read { pair, link, line: number, is_sure });
        }
    }
    Ok(links)
}

fn links_by_line(name: &str, text: &str) -> Result<Vec<Read>> {
    let mut links = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if fields.is_empty() {
            continue;
        }
        let numbers: Option<Vec<u32>> = fields.iter().take(3).map(|it| it.parse().ok()).collect();
        let is_sure = match fields.get(3) {
            None | Some(&"S") => Some(true),
            Some(&"P") => Some(false),
            Some(_) => None,
        };
        let (Some(&[pair @ 1..=u32::MAX, right, left]), Some(is_sure), 3..=4) =
            (numbers.as_deref(), is_sure, fields.len())
        else {
            let expected = "a pair, a word on the right and one on the left, and S or P";
            return Err(Error::Text { name: name.to_owned(), line: number, expected });
        };
        if left > 0 && right > 0 {
            let (pair, link) = (pair as usize - 1, (left - 1, right - 1));
            links.push(Read { pair, link, line: number, is_sure });
        }
    }
    Ok(links)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bitext() -> Bitext {
        Bitext::read_lines("t", "a b ||| x y z\nc ||| w\n").unwrap()
    }

    #[test]
    fn both_formats_say_the_same() {
        let lines = parse("g", "0-0 1?2\n0-0\n", Some(&bitext())).unwrap();
        let naacl = "0001 1 1 S\n0001 3 2 P\n0002 1 1\n0002 0 1 S\n";
        assert_eq!(parse("g", naacl, Some(&bitext())).unwrap(), lines);
        assert_eq!(lines[0].sure, Links::new([(0, 0)]));
        assert_eq!(lines[0].possible, Links::new([(0, 0), (1, 2)]));
    }

    #[test]
    fn links_out_of_range_are_told_with_their_line() {
        let fault = |text| parse("g", text, Some(&bitext())).unwrap_err().to_string();
        assert_eq!(
            fault("0-0\n0-1\n"),
            "g:2: expected links of a pair of 1 and 1 words, found 0-1"
        );
        assert_eq!(
            fault("1 1 1\n3 1 1\n"),
            "g:2: expected links of a pair of 0 and 0 words, found 0-0"
        );
        assert_eq!(
            fault("0-0\n"),
            "g:2: expected as many lines as in the text, which ends after 2"
        );
        assert_eq!(
            fault("0-0\n0:0\n"),
            "g:2: expected links such as 0-1, or 0?1 for a possible one"
        );
        assert_eq!(
            fault("1 1 1 X\n"),
            "g:1: expected a pair, a word on the right and one on the left, and S or P"
        );
    }
}
