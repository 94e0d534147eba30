//! `asyn eval`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Write, stdout};

use asyn::data::conlleval::Chunks;
use asyn::data::{Bootstrap, open_text};
use serde::Serialize;

use crate::agreement;
use crate::args::EvalArgs;
use crate::choice::ScorerChoice;
use crate::failure::Failure;
use crate::scored::{Score, Scored, Sides};

/// A score for machines, in percent; what the scorer does not know is left out.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Report<'a> {
    Chunks {
        tokens: u64,
        #[serde(flatten)]
        overall: Rates,
        accuracy: f64,
        by_type: BTreeMap<&'a str, Rates>,
    },
    Words {
        #[serde(flatten)]
        overall: Rates,
        #[serde(flatten)]
        vocabulary: Option<Vocabulary>,
    },
    Tokens {
        tokens: u64,
        correct: u64,
        accuracy: f64,
        sentences: usize,
        sentence_accuracy: f64,
    },
}

/// The rates of some chunks, in percent, and what they were computed from.
#[derive(Debug, Serialize)]
struct Rates {
    f1: f64,
    precision: f64,
    recall: f64,
    gold: u64,
    predicted: u64,
    correct: u64,
}

/// How many words training did not have, and the recall of them and of the others, in percent.
#[derive(Debug, Serialize)]
struct Vocabulary {
    oov_rate: f64,
    oov_recall: f64,
    iv_recall: f64,
}

/// A report, with the interval where it was asked for.
#[derive(Debug, Serialize)]
struct WithInterval<'a> {
    #[serde(flatten)]
    report: Report<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<[f64; 2]>,
}

/// A comparison for machines, in percent and points.
#[derive(Debug, Serialize)]
struct ComparisonReport {
    a: f64,
    b: f64,
    difference: f64,
    interval: [f64; 2],
    p: f64,
    samples: u32,
}

impl From<&Chunks> for Rates {
    fn from(chunks: &Chunks) -> Self {
        Self {
            f1: chunks.f1(),
            precision: chunks.precision(),
            recall: chunks.recall(),
            gold: chunks.gold,
            predicted: chunks.predicted,
            correct: chunks.correct,
        }
    }
}

/// Scores a file, or compares two, and asks for the least score.
pub(crate) fn run(args: &EvalArgs) -> Result<(), Failure> {
    check_flags(args)?;
    if args.compare.is_empty() {
        match args.scorer {
            ScorerChoice::Aer => return agreement::score_links(args),
            ScorerChoice::States => return agreement::score_states(args),
            _ => {}
        }
    }
    let training_words = args.train_words.as_deref().map(open_text).transpose()?;
    let sides = Sides {
        scorer: args.scorer,
        gold: args.gold.as_deref(),
        training_words: training_words.as_deref(),
    };
    let bootstrap = Bootstrap { seed: args.seed, ..Bootstrap::default() };
    if let [a, b] = &args.compare[..] {
        let (a, b) = (sides.score(a)?, sides.score(b)?);
        a.check_gold(&b)?;
        return print(&compare(&a, &b, bootstrap, args.json));
    }
    let scored = sides.score(&args.file)?;
    let interval = args.ci.then(|| bootstrap.interval(&scored.sentences));
    let interval = interval.map(|interval| [interval.low, interval.high]);
    if args.json {
        print(&line(&WithInterval { report: report(&scored), interval }))?;
    } else {
        let mut text = in_words(&scored);
        if let Some([low, high]) = interval {
            let (name, samples) = (scored.score.name(), bootstrap.samples);
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{name}: {low:.2} to {high:.2} with a confidence of 95 %, from {samples} samples of sentences"
            );
        }
        print(&text)?;
    }
    let (name, actual) = (scored.score.name(), scored.score.f1());
    match args.min_f1 {
        Some(least) if actual < least => Err(Failure::Score { name, actual, least }),
        _ => Ok(()),
    }
}

/// Refuses flags that the scorer has no use for.
fn check_flags(args: &EvalArgs) -> Result<(), Failure> {
    let is_words = args.scorer == ScorerChoice::Sighan;
    let is_links = args.scorer == ScorerChoice::Aer;
    let has_f1 = !is_links && args.scorer != ScorerChoice::States;
    let problem = if !(is_words || is_links) && args.gold.is_some() {
        "--gold is for --scorer sighan and aer"
    } else if !is_words && args.train_words.is_some() {
        "--train-words is for --scorer sighan"
    } else if !is_links && !args.text.is_empty() {
        "--text is for --scorer aer"
    } else if !has_f1 && (args.ci || args.min_f1.is_some()) {
        "--ci and --min-f1 are for scorers of chunks, words and tokens"
    } else {
        return Ok(());
    };
    Err(Failure::Usage(problem.to_owned()))
}

/// Compares two files on the same sentences.
fn compare(a: &Scored, b: &Scored, bootstrap: Bootstrap, json: bool) -> String {
    let found = bootstrap.compare(&a.sentences, &b.sentences);
    let (low, high) = (found.interval.low, found.interval.high);
    let samples = bootstrap.samples;
    if json {
        return line(&ComparisonReport {
            a: a.score.f1(),
            b: b.score.f1(),
            difference: found.difference,
            interval: [low, high],
            p: found.p,
            samples,
        });
    }
    let (name, width) = (a.score.name(), a.name.len().max(b.name.len()).max("difference".len()));
    format!(
        "{:width$}  {name} {:6.2}\n{:width$}  {name} {:6.2}\n\
         {:width$}  {name} {:+6.2}, {low:+.2} to {high:+.2} with a confidence of 95 %, p = {:.3} \
         from {samples} samples of sentences\n",
        a.name,
        a.score.f1(),
        b.name,
        b.score.f1(),
        "difference",
        found.difference,
        found.p,
    )
}

fn in_words(scored: &Scored) -> String {
    match &scored.score {
        Score::Chunks(score) => score.to_string(),
        Score::Words(score) => score.to_string(),
        Score::Tokens(tokens) => format!(
            "processed {} tokens; correct: {}.\naccuracy: {:6.2}%; whole sentences: {:6.2}%\n",
            tokens.gold,
            tokens.correct,
            tokens.f1(),
            sentence_accuracy(scored),
        ),
    }
}

fn report(scored: &Scored) -> Report<'_> {
    match &scored.score {
        Score::Chunks(score) => Report::Chunks {
            tokens: score.n_tokens,
            overall: Rates::from(&score.overall),
            accuracy: score.accuracy(),
            by_type: score
                .by_type
                .iter()
                .map(|(kind, chunks)| (kind.as_str(), chunks.into()))
                .collect(),
        },
        Score::Words(score) => {
            Report::Words {
                overall: Rates::from(&score.words),
                vocabulary: score.vocabulary().map(|[oov_rate, oov_recall, iv_recall]| {
                    Vocabulary { oov_rate, oov_recall, iv_recall }
                }),
            }
        }
        Score::Tokens(tokens) => Report::Tokens {
            tokens: tokens.gold,
            correct: tokens.correct,
            accuracy: tokens.f1(),
            sentences: scored.sentences.len(),
            sentence_accuracy: sentence_accuracy(scored),
        },
    }
}

/// Returns the share of sentences in which everything is correct, in percent.
fn sentence_accuracy(scored: &Scored) -> f64 {
    100.0 * scored.n_correct_sentences() as f64 / scored.sentences.len() as f64
}

fn line(report: &impl Serialize) -> String {
    let mut text = serde_json::to_string(report).expect("numbers and strings are JSON");
    text.push('\n');
    text
}

fn print(text: &str) -> Result<(), Failure> {
    stdout().write_all(text.as_bytes()).map_err(|source| Failure::Output { source })
}
