//! Word scores as in the bake-offs of SIGHAN, with recall in and out of vocabulary.
//!
//! A word is a span of the text between blanks, and correct when the other side has a word with the
//! same first and last character. With counts of words, precision, recall and F1 are those of
//! [`Chunks`]. A gold word is out of vocabulary (OOV) when the training words do not have it
//! (Emerson, I05-3017). Of two texts that repeat a word, the original script, which aligns with
//! `diff`, can count another word as the correct one; spans cannot.

use std::fmt;

use crate::conlleval::{Chunks, percent, write_rates};
use crate::strings::{NONE, Strings};

/// Counts of words, to be added to sentence by sentence.
///
/// ```
/// use asyn_data::sighan::Counts;
///
/// let mut counts = Counts::new(Some("the cat"));
/// counts.add(&["the", "cat", "sat"], &["the", "cats", "at"]);
/// let score = counts.score();
/// assert_eq!((score.words.correct, score.words.predicted, score.words.gold), (1, 3, 3));
/// assert_eq!(score.unknown.map(|unknown| unknown.gold), Some(1));
/// ```
#[derive(Debug, Clone)]
pub struct Counts {
    training_words: Option<Strings>,
    score: Score,
}

/// What the counts come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Score {
    /// All words.
    pub words: Chunks,
    /// The gold words that the training words do not have, and those of them that were found; its
    /// `predicted` is 0. Nothing where the training words are not known.
    pub unknown: Option<Chunks>,
}

impl Counts {
    /// Starts counting; `training_words` are words between blanks and line ends, each any number of
    /// times: a segmented text or a list.
    pub fn new(training_words: Option<&str>) -> Self {
        let words = training_words.map(|text| text.split_whitespace().collect::<Strings>());
        let unknown = words.as_ref().map(|_| Chunks::default());
        Self { training_words: words, score: Score { unknown, ..Score::default() } }
    }

    /// Adds a sentence, and returns its own words; nothing is added, and nothing returned, where the
    /// two sides are not the same text.
    pub fn add<S: AsRef<str>>(&mut self, gold: &[S], predicted: &[S]) -> Option<Chunks> {
        let text = |words: &[S]| words.iter().map(AsRef::as_ref).collect::<String>();
        if text(gold) != text(predicted) {
            return None;
        }
        let mut words =
            Chunks { gold: gold.len() as u64, predicted: predicted.len() as u64, correct: 0 };
        // The ends of the last words: the next ones are the same if these are, and their lengths.
        let (mut start, mut predicted_end) = (0, 0);
        let mut predicted = predicted.iter();
        for word in gold.iter().map(AsRef::as_ref) {
            let mut predicted_start = predicted_end;
            let end = start + word.len();
            while predicted_end < end {
                let Some(next) = predicted.next() else { break };
                predicted_start = predicted_end;
                predicted_end += next.as_ref().len();
            }
            let is_correct = (predicted_start, predicted_end) == (start, end);
            words.correct += u64::from(is_correct);
            if let (Some(known), Some(unknown)) = (&self.training_words, &mut self.score.unknown)
                && known.find(word) == NONE
            {
                unknown.gold += 1;
                unknown.correct += u64::from(is_correct);
            }
            start = end;
        }
        self.score.words.add(words);
        Some(words)
    }

    /// Returns the score of all that was added.
    pub fn score(&self) -> Score {
        self.score
    }
}

impl Score {
    /// Returns the share of gold words that are out of vocabulary, and the recall of these and of the
    /// other words, in percent; nothing where the training words are not known.
    pub fn vocabulary(&self) -> Option<[f64; 3]> {
        let unknown = self.unknown?;
        let known = self.words.gold - unknown.gold;
        Some([
            percent(unknown.gold, self.words.gold),
            unknown.recall(),
            percent(self.words.correct - unknown.correct, known),
        ])
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Chunks { gold, predicted, correct } = self.words;
        writeln!(f, "processed {gold} words; found: {predicted} words; correct: {correct}.")?;
        write_rates(f, &self.words)?;
        writeln!(f)?;
        if let Some([rate, recall, known_recall]) = self.vocabulary() {
            writeln!(
                f,
                "OOV rate: {rate:6.2}%; OOV recall: {recall:6.2}%; IV recall: {known_recall:6.2}%"
            )?;
        }
        Ok(())
    }
}

/// Returns the words of a sentence of characters with tags; nothing where a tag is none of `B`, `M`,
/// `I`, `E` and `S`, with its place.
///
/// A word begins at `B` and `S`, behind `E` and `S`, and where the sentence does.
///
/// # Errors
///
/// The number of the first token with another tag.
pub fn words<'a>(
    tokens: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<String>, usize> {
    let mut words: Vec<String> = Vec::new();
    let mut goes_on = false;
    for (token, (character, tag)) in tokens.into_iter().enumerate() {
        if !matches!(tag, "B" | "M" | "I" | "E" | "S") {
            return Err(token);
        }
        match words.last_mut() {
            Some(word) if goes_on && !matches!(tag, "B" | "S") => word.push_str(character),
            _ => words.push(character.to_owned()),
        }
        goes_on = !matches!(tag, "E" | "S");
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_correct_where_both_its_ends_are() {
        let mut counts = Counts::new(Some("共同 创造\n美好"));
        let gold = ["共同", "创造", "美好", "的", "新", "世纪"];
        let predicted = ["共同", "创", "造美好", "的", "新世纪"];
        assert_eq!(
            counts.add(&gold, &predicted),
            Some(Chunks { gold: 6, predicted: 5, correct: 2 })
        );
        // 的 was found, 新 and 世纪 were not; of the known words, one of three.
        let [rate, recall, known_recall] = counts.score().vocabulary().unwrap();
        assert_eq!((rate, known_recall), (50.0, 100.0 / 3.0));
        assert_eq!(recall, 100.0 / 3.0);
        assert_eq!(counts.add(&["a", "b"], &["ab", "c"]), None);
        assert_eq!(counts.score().words.gold, 6);
        assert_eq!(
            counts.score().to_string(),
            "processed 6 words; found: 5 words; correct: 2.\n\
             precision:  40.00%; recall:  33.33%; FB1:  36.36\n\
             OOV rate:  50.00%; OOV recall:  33.33%; IV recall:  33.33%\n"
        );
    }

    #[test]
    fn a_word_can_have_the_length_of_another_elsewhere() {
        let mut counts = Counts::new(None);
        let found = counts.add(&["ab", "ab", "c"], &["a", "ba", "bc"]).unwrap();
        assert_eq!(found.correct, 0);
        assert_eq!(counts.score().vocabulary(), None);
    }

    #[test]
    fn tags_become_words() {
        let tagged = |tags: &'static str| {
            words(tags.char_indices().map(|(at, _)| (&"abcdefgh"[at..=at], &tags[at..=at])))
        };
        assert_eq!(tagged("BMESBE").unwrap(), ["abc", "d", "ef"]);
        assert_eq!(tagged("BIIBBI").unwrap(), ["abc", "d", "ef"]);
        assert_eq!(tagged("MESEMM").unwrap(), ["ab", "c", "d", "ef"]);
        assert_eq!(tagged("BOE"), Err(1));
    }
}
