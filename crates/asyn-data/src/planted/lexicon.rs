//! The words of a planted language.
//!
//! A tag has a list of words. Word `k` of the list has the weight `1 / (k + 3)`,
//! the law of Zipf with the offset of Mandelbrot. Each of the first words
//! prefers one of the states of its tag, in which its weight is multiplied, so
//! that a word says something about its chunk, as `that` and `of` do.

use rustc_hash::FxHashMap;

use super::grammar::Words;
use crate::random::Random;
use crate::strings::Strings;

/// The weight of a word in the state that it prefers, against 1 in the others.
const PREFERENCE: u64 = 24;
/// How many words of a tag prefer a state: the frequent ones, of which a corpus shows enough.
const N_WITH_PREFERENCE: usize = 400;
/// The weight of a word at rank 0, times the offset.
const SCALE: u64 = 1 << 32;
const OFFSET: u64 = 3;

const CONSONANTS: [char; 14] =
    ['b', 'd', 'f', 'g', 'k', 'l', 'm', 'n', 'p', 'r', 's', 't', 'v', 'z'];
const VOWELS: [char; 5] = ['a', 'e', 'i', 'o', 'u'];

/// The words of each tag, and how probable they are in each state.
#[derive(Debug, Clone)]
pub(super) struct Lexicon {
    spellings: Strings,
    /// For each tag: the spellings of its words, by rank.
    words: Vec<Vec<u32>>,
    /// From (tag, spelling) to rank.
    ranks: FxHashMap<(usize, u32), usize>,
    /// For each tag and each of its states: cumulative weights by rank.
    cumulative: Vec<Vec<Vec<u64>>>,
}

impl Lexicon {
    /// Makes the words for tags of which tag `i` has `n_states[i]` states.
    pub(super) fn new(tags: &[Words], n_states: &[usize]) -> Self {
        let mut lexicon = Self {
            spellings: Strings::default(),
            words: vec![Vec::new(); tags.len()],
            ranks: FxHashMap::default(),
            cumulative: Vec::new(),
        };
        let longest = tags.iter().map(|tag| tag.n_words).max().unwrap_or(0);
        let mut n_spelled = 0;
        // Rank by rank, so that frequent words are short.
        for rank in 0..longest {
            for (tag_idx, tag) in tags.iter().enumerate().filter(|(_, tag)| rank < tag.n_words) {
                let shared = tag.shared.as_ref().filter(|(every, _)| rank % every == 0);
                let other = shared.and_then(|(_, other)| {
                    let other = tags[..tag_idx].iter().position(|tag| tag.tag == *other)?;
                    lexicon.words[other].get(rank).copied()
                });
                let word = other.unwrap_or_else(|| {
                    n_spelled += 1;
                    lexicon.spellings.intern(&spelling(&tag.tag, rank, n_spelled))
                });
                lexicon.words[tag_idx].push(word);
                lexicon.ranks.insert((tag_idx, word), rank);
            }
        }
        lexicon.cumulative = lexicon
            .words
            .iter()
            .zip(n_states)
            .enumerate()
            .map(|(tag_idx, (words, &n_states))| {
                (0..n_states)
                    .map(|state| cumulative(tag_idx, state, n_states, words.len()))
                    .collect()
            })
            .collect();
        lexicon
    }

    /// Draws a word of a tag in one of the states of the tag.
    pub(super) fn draw(&self, tag: usize, state: usize, random: &mut Random) -> &str {
        let cumulative = &self.cumulative[tag][state];
        let drawn = random.below(cumulative[cumulative.len() - 1]);
        let rank = cumulative.partition_point(|&upto| upto <= drawn);
        self.spellings.get(self.words[tag][rank])
    }

    /// Returns the log of the probability of a word in a state, or `None` if the tag lacks it.
    pub(super) fn log_probability(&self, tag: usize, state: usize, word: &str) -> Option<f64> {
        let word = self.spellings.find(word);
        let rank = *self.ranks.get(&(tag, word))?;
        let cumulative = &self.cumulative[tag][state];
        let below = if rank == 0 { 0 } else { cumulative[rank - 1] };
        let (weight, total) = (cumulative[rank] - below, cumulative[cumulative.len() - 1]);
        Some((weight as f64).ln() - (total as f64).ln())
    }
}

fn cumulative(tag: usize, state: usize, n_states: usize, n_words: usize) -> Vec<u64> {
    let mut sum = 0;
    (0..n_words)
        .map(|rank| {
            let preferred = Random::new(((tag as u64) << 32) + rank as u64).below(n_states as u64);
            let is_preferred = rank < N_WITH_PREFERENCE && preferred == state as u64;
            let factor = if is_preferred { PREFERENCE } else { 1 };
            sum += factor * (SCALE / (rank as u64 + OFFSET));
            sum
        })
        .collect()
}

/// Spells the `number`-th word, counted from 1.
fn spelling(tag: &str, rank: usize, number: usize) -> String {
    match tag {
        "," | ":" | "." if rank == 0 => tag.to_owned(),
        "CD" => (rank + 1).to_string(),
        // Syllables of two letters are the digits of the number, so no two words are alike.
        _ => {
            let mut word = String::new();
            let mut rest = number;
            while rest > 0 {
                let digit = rest % (CONSONANTS.len() * VOWELS.len());
                rest /= CONSONANTS.len() * VOWELS.len();
                word.push(CONSONANTS[digit / VOWELS.len()]);
                word.push(VOWELS[digit % VOWELS.len()]);
            }
            if tag == "NNP" {
                word[..1].make_ascii_uppercase();
            }
            word
        }
    }
}
