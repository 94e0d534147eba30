//! The scorer against the output of the classic script.

#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]

use std::fs;
use std::path::Path;

use asyn_data::conlleval::Counts;
use asyn_data::{Corpus, open_columns};

/// Scores a file whose last two columns are gold and predicted tags.
fn score(corpus: &Corpus) -> String {
    let column = corpus.n_columns() - 2;
    let mut counts = Counts::default();
    for sentence in corpus.sentences() {
        let gold = (0..sentence.len()).map(|token| sentence.column(token, column));
        counts.add(gold, sentence.labels());
    }
    counts.score().to_string()
}

#[test]
fn the_output_is_that_of_the_classic_script() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/conlleval");
    let mut n_cases = 0;
    for entry in fs::read_dir(&golden).unwrap() {
        let input = entry.unwrap().path();
        if input.extension().is_some_and(|extension| extension == "in") {
            let expected = fs::read_to_string(input.with_extension("out")).unwrap();
            let actual = score(&open_columns(&input).unwrap());
            assert_eq!(actual, expected, "{}", input.display());
            n_cases += 1;
        }
    }
    assert_eq!(n_cases, 29);
}

#[test]
fn an_empty_count_scores_zero() {
    let score = Counts::default().score();
    assert_eq!((score.f1(), score.accuracy()), (0.0, 0.0));
    assert_eq!(
        score.to_string(),
        "processed 0 tokens with 0 phrases; found: 0 phrases; correct: 0.\n"
    );
}

#[test]
fn the_conll_2000_test_set_has_the_published_counts() {
    let Some(data) = std::env::var_os("ASYN_DATA") else {
        println!("skipped: ASYN_DATA is not set");
        return;
    };
    let corpus = open_columns(Path::new(&data).join("conll2000/test.txt")).unwrap();
    let mut counts = Counts::default();
    for sentence in corpus.sentences() {
        counts.add(sentence.labels(), sentence.labels());
    }
    let score = counts.score();
    assert_eq!((score.n_tokens, score.overall.gold), (47_377, 23_852));
    assert_eq!(score.by_type["NP"].gold, 12_422);
    assert_eq!(score.f1(), 100.0);
}
