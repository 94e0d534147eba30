//! Parallel text whose links are known.
//!
//! Words on the left are drawn by Zipf's law. Each has up to three translations, of which the first
//! is drawn most often; one word in ten has none in its sentence, and one in ten on the right comes
//! from no word. Neighbours on the right change places now and then.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{fs, io};

use asyn::core::SplitMix64;

/// How much text is written, and where.
#[derive(Debug, clap::Args)]
pub(crate) struct Size {
    /// The folder, which is there.
    folder: PathBuf,
    /// The pairs.
    #[arg(long, default_value_t = 3000)]
    pairs: usize,
    /// The pairs, the first ones, whose links are written.
    #[arg(long, default_value_t = 500)]
    gold: usize,
    /// Where the randomness comes from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// The words on the left, and those on the right that come from no word.
const N_WORDS: u64 = 2000;
const N_EMPTY: u64 = 20;

/// Writes the text and its links.
pub(crate) fn write(size: &Size) -> io::Result<()> {
    let mut random = SplitMix64::new(size.seed);
    let (mut lefts, mut rights, mut golds) = (String::new(), String::new(), String::new());
    for pair in 0..size.pairs {
        let length = 5 + usize::try_from(random.below(21)).expect("it is small");
        let left: Vec<u64> = (0..length).map(|_| zipf(&mut random)).collect();
        // The words on the right, with the places that they come from.
        let mut right: Vec<(String, Option<usize>)> = Vec::new();
        for (place, &word) in left.iter().enumerate() {
            if random.unit() < 0.9 {
                right.push((translation(word, &mut random), Some(place)));
            }
            if random.unit() < 0.1 {
                right.push((format!("e{}", random.below(N_EMPTY)), None));
            }
        }
        if right.is_empty() {
            right.push((translation(left[0], &mut random), Some(0)));
        }
        for place in 1..right.len() {
            if random.unit() < 0.2 {
                right.swap(place - 1, place);
            }
        }
        let words: Vec<String> = left.iter().map(|word| format!("l{word}")).collect();
        let _ = writeln!(lefts, "{}", words.join(" "));
        let words: Vec<&str> = right.iter().map(|(word, _)| word.as_str()).collect();
        let _ = writeln!(rights, "{}", words.join(" "));
        if pair < size.gold {
            let links = right.iter().enumerate();
            let links = links.filter_map(|(at, (_, from))| Some(format!("{}-{at}", (*from)?)));
            let _ = writeln!(golds, "{}", links.collect::<Vec<_>>().join(" "));
        }
    }
    for (name, text) in
        [("planted.left", lefts), ("planted.right", rights), ("planted.links", golds)]
    {
        fs::write(size.folder.join(name), text)?;
    }
    Ok(())
}

/// Draws a word with a probability about inverse to its number.
fn zipf(random: &mut SplitMix64) -> u64 {
    let power = (N_WORDS as f64).powf(f64::from(random.unit()));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is in range")]
    let word = power as u64 - 1;
    word.min(N_WORDS - 1)
}

/// Draws one of the translations of a word; words share some of them.
fn translation(word: u64, random: &mut SplitMix64) -> String {
    let of_word = |n: u64| SplitMix64::new(word * 3 + n).below(N_WORDS);
    match random.unit() {
        chance if chance < 0.7 => format!("r{word}"),
        chance if chance < 0.9 => format!("r{}", of_word(1)),
        _ => format!("r{}", of_word(2)),
    }
}
