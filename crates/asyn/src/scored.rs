//! A file with gold and predicted sides, scored in one of the ways that `asyn eval` knows.

use std::path::Path;

use asyn::data::conlleval::{self, Chunks};
use asyn::data::{Corpus, Error, Sentence, open_scored, open_text, sighan, spans};

use crate::choice::ScorerChoice;
use crate::failure::Failure;

/// What a file comes to, as a whole and sentence by sentence.
#[derive(Debug)]
pub(crate) struct Scored {
    pub(crate) name: String,
    pub(crate) score: Score,
    /// For each sentence its chunks, words or tokens.
    pub(crate) sentences: Vec<Chunks>,
    /// For each sentence its gold side, in blanks.
    gold: Vec<String>,
}

/// The score of a whole file.
#[derive(Debug)]
pub(crate) enum Score {
    Chunks(conlleval::Score),
    Words(sighan::Score),
    /// Each token counts as gold and as predicted.
    Tokens(Chunks),
}

/// What is counted from sentence to sentence.
#[derive(Debug)]
enum Counter {
    Conlleval(conlleval::Counts),
    Spans(spans::Counts),
    Words(sighan::Counts),
    Tokens(Chunks),
}

/// Where the two sides are, and what else is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sides<'a> {
    pub(crate) scorer: ScorerChoice,
    /// Segmented text; without it, both sides are in columns of one file.
    pub(crate) gold: Option<&'a Path>,
    /// The words that the training data have.
    pub(crate) training_words: Option<&'a str>,
}

impl Sides<'_> {
    /// Scores a file.
    pub(crate) fn score(&self, file: &Path) -> Result<Scored, Failure> {
        let counter = match self.scorer {
            ScorerChoice::Conlleval => Counter::Conlleval(conlleval::Counts::default()),
            ScorerChoice::Spans => Counter::Spans(spans::Counts::default()),
            ScorerChoice::Sighan => Counter::Words(sighan::Counts::new(self.training_words)),
            ScorerChoice::Accuracy => Counter::Tokens(Chunks::default()),
            ScorerChoice::Aer | ScorerChoice::States => {
                let problem = "--compare is for scorers of chunks, words and tokens";
                return Err(Failure::Usage(problem.to_owned()));
            }
        };
        match (self.gold, counter) {
            (Some(gold), Counter::Words(counts)) => score_text(gold, file, counts),
            (_, counter) => score_columns(&open_scored(file)?, counter),
        }
    }
}

impl Scored {
    /// Checks that another file has the same gold side.
    pub(crate) fn check_gold(&self, other: &Self) -> Result<(), Failure> {
        let (here, there) = (self.gold.len(), other.gold.len());
        if here != there {
            let name = &other.name;
            return Err(Failure::Data(format!(
                "{name}: expected {here} sentences as in {}, found {there}",
                self.name
            )));
        }
        match self.gold.iter().zip(&other.gold).position(|(here, there)| here != there) {
            None => Ok(()),
            Some(sentence_idx) => Err(Failure::Data(format!(
                "{}: the gold side of sentence {} is not that of {}",
                other.name,
                sentence_idx + 1,
                self.name
            ))),
        }
    }

    /// Returns the number of sentences in which everything is correct.
    pub(crate) fn n_correct_sentences(&self) -> usize {
        self.sentences.iter().filter(|chunks| chunks.correct == chunks.gold).count()
    }
}

impl Score {
    /// Returns F1 in percent; for tokens it is accuracy.
    pub(crate) fn f1(&self) -> f64 {
        match self {
            Self::Chunks(score) => score.f1(),
            Self::Words(score) => score.words.f1(),
            Self::Tokens(tokens) => tokens.f1(),
        }
    }

    /// Returns what [`f1`](Self::f1) is called.
    pub(crate) fn name(&self) -> &'static str {
        if matches!(self, Self::Tokens(_)) { "accuracy" } else { "F1" }
    }
}

/// Scores the last two columns.
fn score_columns(corpus: &Corpus, mut counter: Counter) -> Result<Scored, Failure> {
    let (n_columns, name) = (corpus.n_columns(), corpus.name().to_owned());
    // Words are made of the first column.
    let expected = if matches!(counter, Counter::Words(_)) { 3 } else { 2 };
    if n_columns < expected {
        return Err(Error::Columns { name, expected, actual: n_columns }.into());
    }
    let (mut sentences, mut gold_sides) = (Vec::new(), Vec::new());
    for (sentence, number) in corpus.sentences().zip(1..) {
        let column = |column| (0..sentence.len()).map(move |token| sentence.column(token, column));
        let (gold, predicted) = (column(n_columns - 2), column(n_columns - 1));
        let gold: Vec<&str> = gold.collect();
        gold_sides.push(gold.join(" "));
        sentences.push(match &mut counter {
            Counter::Conlleval(counts) => counts.add(gold, predicted),
            Counter::Spans(counts) => counts.add(&gold, &predicted.collect::<Vec<_>>()),
            Counter::Words(counts) => {
                let gold = words(&name, number, &sentence, n_columns - 2)?;
                let predicted = words(&name, number, &sentence, n_columns - 1)?;
                counts.add(&gold, &predicted).expect("both are made of the same characters")
            }
            Counter::Tokens(counts) => {
                let n_tokens = gold.len() as u64;
                let correct = gold.into_iter().zip(predicted).filter(|(g, p)| g == p).count();
                let correct = correct as u64;
                let tokens = Chunks { gold: n_tokens, predicted: n_tokens, correct };
                counts.add(tokens);
                tokens
            }
        });
    }
    Ok(Scored { name, score: counter.score(), sentences, gold: gold_sides })
}

/// Returns the words that a column of tags makes of the first one.
fn words(
    name: &str,
    number: usize,
    sentence: &Sentence<'_>,
    column: usize,
) -> Result<Vec<String>, Failure> {
    let tokens = (0..sentence.len())
        .map(|token| (sentence.column(token, 0), sentence.column(token, column)));
    sighan::words(tokens).map_err(|token| {
        let tag = sentence.column(token, column);
        Failure::Data(format!(
            "{name}: sentence {number}, token {}: expected one of the tags B, M, I, E and S, found {tag:?}",
            token + 1
        ))
    })
}

/// Scores segmented text, a sentence a line.
fn score_text(gold: &Path, file: &Path, mut counts: sighan::Counts) -> Result<Scored, Failure> {
    let (gold_text, text) = (open_text(gold)?, open_text(file)?);
    let (gold_lines, lines) = (gold_text.lines(), text.lines());
    let name = file.display().to_string();
    let (expected, actual) = (gold_lines.clone().count(), lines.clone().count());
    if expected != actual {
        return Err(Failure::Data(format!(
            "{name}: expected {expected} lines as in {}, found {actual}",
            gold.display()
        )));
    }
    let (mut sentences, mut gold_sides) = (Vec::new(), Vec::new());
    for ((gold_line, line), number) in gold_lines.zip(lines).zip(1..) {
        let gold_words: Vec<&str> = gold_line.split_whitespace().collect();
        let predicted: Vec<&str> = line.split_whitespace().collect();
        let Some(words) = counts.add(&gold_words, &predicted) else {
            return Err(Failure::Data(format!(
                "{name}:{number}: expected the text of {}, cut into words in another way at most",
                gold.display()
            )));
        };
        if words.gold > 0 {
            sentences.push(words);
            gold_sides.push(gold_words.join(" "));
        }
    }
    if sentences.is_empty() {
        return Err(Error::Empty { name }.into());
    }
    Ok(Scored { name, score: Score::Words(counts.score()), sentences, gold: gold_sides })
}

impl Counter {
    fn score(self) -> Score {
        match self {
            Self::Conlleval(counts) => Score::Chunks(counts.score()),
            Self::Spans(counts) => Score::Chunks(counts.score().clone()),
            Self::Words(counts) => Score::Words(counts.score()),
            Self::Tokens(tokens) => Score::Tokens(tokens),
        }
    }
}
