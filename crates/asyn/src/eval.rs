//! `asyn eval`.

use std::collections::BTreeMap;
use std::io::{Write, stdout};

use asyn::data::conlleval::{Chunks, Counts, Score};
use asyn::data::{Error, open_columns};
use serde::Serialize;

use crate::args::EvalArgs;
use crate::failure::Failure;

/// A score for machines.
#[derive(Debug, Serialize)]
struct Report<'a> {
    tokens: u64,
    #[serde(flatten)]
    overall: Rates,
    accuracy: f64,
    by_type: BTreeMap<&'a str, Rates>,
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

/// Scores the last two columns of a file, and asks for the least F1.
pub(crate) fn run(args: &EvalArgs) -> Result<(), Failure> {
    let corpus = open_columns(&args.file)?;
    let n_columns = corpus.n_columns();
    if n_columns < 2 {
        let name = corpus.name().to_owned();
        return Err(Error::Columns { name, expected: 2, actual: n_columns }.into());
    }
    let mut counts = Counts::default();
    for sentence in corpus.sentences() {
        let gold = (0..sentence.len()).map(|token| sentence.column(token, n_columns - 2));
        counts.add(gold, sentence.labels());
    }
    let score = counts.score();
    let text = if args.json { json(&score) } else { score.to_string() };
    stdout().write_all(text.as_bytes()).map_err(|source| Failure::Output { source })?;
    match args.min_f1 {
        Some(least) if score.f1() < least => Err(Failure::Score { actual: score.f1(), least }),
        _ => Ok(()),
    }
}

fn json(score: &Score) -> String {
    let report = Report {
        tokens: score.n_tokens,
        overall: Rates::from(&score.overall),
        accuracy: score.accuracy(),
        by_type: score
            .by_type
            .iter()
            .map(|(kind, chunks)| (kind.as_str(), chunks.into()))
            .collect(),
    };
    let mut text = serde_json::to_string(&report).expect("numbers and strings are JSON");
    text.push('\n');
    text
}
