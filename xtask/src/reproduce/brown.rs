//! The Brown corpus at the size of the Penn Treebank, with as few tags.
//!
//! The corpus has 472 tags. They are reduced by three rules:
//!
//! 1. the marks of foreign words (`FW-`), titles (`-TL`), headlines (`-HL`) and cited words
//!    (`-NC`) are dropped;
//! 2. of tags that are joined by `+`, as those of contractions, the first is kept, and `*`, for a
//!    negation that was contracted, is dropped;
//! 3. the 49 most frequent tags remain. Another one becomes the one of them with which it has
//!    the longest start in common, the most frequent of several; or `X` where there is none.
//!
//! Every tenth sentence is for the test, so that all kinds of text are in both parts.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::corpus;
use crate::error::{Error, Result};

/// The tags that remain, but for `X`.
const N_TAGS: usize = 49;
/// One sentence in so many is for the test.
const TEST: usize = 10;

/// Writes the training part and the test of the corpus in `file` as columns, word and tag, and
/// returns where they are.
pub(super) fn prepare(file: &Path, folder: &Path) -> Result<(PathBuf, PathBuf)> {
    let [train, test] = split(&corpus::read(file)?);
    let paths = [("brown-train.txt", train), ("brown-test.txt", test)].map(|(name, text)| {
        let path = folder.join(name);
        fs::write(&path, text).map_err(Error::file("write", &path))?;
        Ok(path)
    });
    let [train, test] = paths;
    Ok((train?, test?))
}

/// Returns the columns of both parts.
fn split(text: &str) -> [String; 2] {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for tag in text.lines().filter_map(|line| line.split_once('\t')).map(|(_, tag)| plain(tag)) {
        *counts.entry(tag).or_default() += 1;
    }
    let mut frequent: Vec<(&str, usize)> = counts.iter().map(|(&tag, &n)| (tag, n)).collect();
    frequent.sort_by_key(|&(_, n)| std::cmp::Reverse(n));
    frequent.truncate(N_TAGS);
    let reduced: BTreeMap<&str, &str> =
        counts.keys().map(|&tag| (tag, nearest(tag, &frequent))).collect();

    let mut parts = [String::new(), String::new()];
    for (i, sentence) in text.split("\n\n").filter(|it| !it.trim().is_empty()).enumerate() {
        let part = &mut parts[usize::from(i % TEST == TEST - 1)];
        for (word, tag) in sentence.lines().filter_map(|line| line.split_once('\t')) {
            *part += &format!("{word}\t{}\n", reduced[plain(tag)]);
        }
        part.push('\n');
    }
    parts
}

/// Applies the first two rules.
fn plain(tag: &str) -> &str {
    let first = tag.strip_prefix("FW-").unwrap_or(tag).split('+').next().unwrap_or(tag);
    let bare = ["-TL", "-HL", "-NC"]
        .into_iter()
        .fold(first, |tag, mark| tag.split(mark).next().unwrap_or(tag));
    match bare.trim_end_matches('*') {
        "" => bare,
        tag => tag,
    }
}

/// Applies the third rule; `frequent` is sorted by falling frequency.
fn nearest<'t>(tag: &'t str, frequent: &[(&'t str, usize)]) -> &'t str {
    let common = |other: &str| tag.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    // Of several that are equally near, `max_by_key` would take the last.
    let best = frequent.iter().rev().max_by_key(|(other, _)| (common(other), *other == tag));
    best.filter(|(other, _)| common(other) > 0).map_or("X", |&(other, _)| other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_joints_and_negations_are_dropped() {
        let tags = ["NN-TL", "FW-IN+AT-TL", "PPSS+BER", "DO*", "*", "--", "NP$-HL", "NN-TL-HL"];
        assert_eq!(tags.map(plain), ["NN", "IN", "PPSS", "DO", "*", "--", "NP$", "NN"]);
    }

    #[test]
    fn rare_tags_become_the_nearest_frequent_one() {
        let frequent = [("NN", 9), ("NNS", 8), ("BE", 7), ("BED", 6)];
        let tags = ["NNS$", "NNX", "BEDZ", "NN", "BE", "QL"];
        assert_eq!(tags.map(|tag| nearest(tag, &frequent)), ["NNS", "NN", "BED", "NN", "BE", "X"]);
    }

    #[test]
    fn every_tenth_sentence_is_for_the_test() {
        let [train, test] = split(&"a\tAT\nb\tNN-TL\n\n".repeat(20));
        assert_eq!(train, "a\tAT\nb\tNN\n\n".repeat(18));
        assert_eq!(test, "a\tAT\nb\tNN\n\n".repeat(2));
    }
}
