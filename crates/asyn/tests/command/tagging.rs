//! Tagging and scoring.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;

use asyn::Tagger;
use asyn::core::{Adf, Trainer};
use asyn::data::{Encoder, Template, VocabularyOptions, open_columns, planted};

use crate::place::Place;

/// A folder with a model that the library trained, and `test.txt` with what it says of it.
fn with_model() -> (Place, String) {
    let place = Place::with_corpus(120);
    let corpus = open_columns(place.path("train.txt")).unwrap();
    let options = VocabularyOptions { rich_edges: true, ..VocabularyOptions::default() };
    let template = Template::builtin("chunking").unwrap();
    let (encoder, examples) = Encoder::build(&corpus, template, &options).unwrap();
    let mut tagger = Tagger::untrained(encoder).unwrap();
    let trainer = Trainer::builder().update(Adf::default()).passes(3).build().unwrap();
    tagger.fit(&trainer, &examples, &mut ()).unwrap();
    tagger.save(place.path("model"), BTreeMap::new()).unwrap();

    let test = planted::chunking(200, 8);
    place.write("test.txt", test.text());
    let mut expected = String::new();
    let mut labeller = tagger.labeller();
    for sentence in test.corpus().sentences() {
        let labels = labeller.label(&sentence);
        for (token, &label) in labels.iter().enumerate() {
            let cells: Vec<&str> = sentence.token(token).collect();
            let label = &tagger.encoder().labels()[usize::from(label)];
            expected.push_str(&format!("{} {label}\n", cells.join(" ")));
        }
        expected.push('\n');
    }
    (place, expected)
}

#[test]
fn a_saved_model_tags_as_the_one_in_memory_did() {
    let (place, expected) = with_model();
    for threads in [1, 2, 5] {
        assert_eq!(place.succeed(&format!("tag -q -m model -t {threads} test.txt")), expected);
    }
    let output = place.run_on("tag -q -m model", place.read("test.txt"));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}

#[test]
fn a_long_input_keeps_its_order() {
    let (place, expected) = with_model();
    // Some blocks for each of the workers.
    let times = 20;
    place.write("long.txt", place.text("test.txt").repeat(times));
    assert!(place.succeed("tag -q -m model -t 3 long.txt") == expected.repeat(times));
}

#[test]
fn the_label_column_is_not_needed() {
    let (place, expected) = with_model();
    let words = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ") + "\n";
    place.write("bare.txt", place.text("test.txt").lines().map(words).collect::<String>());
    let tagged = place.succeed("tag -q -m model bare.txt");
    let label = |line: &str| line.rsplit(' ').next().unwrap().to_owned();
    assert!(tagged.lines().map(label).eq(expected.lines().map(label)));
}

#[test]
fn confidence_is_a_probability_and_mostly_high() {
    let (place, expected) = with_model();
    let tagged = place.succeed("tag -q -m model --marginals test.txt");
    let mut sum = 0.0;
    let mut n_tokens = 0.0;
    for (line, plain) in tagged.lines().zip(expected.lines()).filter(|(line, _)| !line.is_empty()) {
        let (columns, confidence) = line.rsplit_once(' ').unwrap();
        assert_eq!(columns, plain);
        let confidence: f64 = confidence.parse().unwrap();
        assert!((0.0..=1.0).contains(&confidence), "{line}");
        sum += confidence;
        n_tokens += 1.0;
    }
    assert!(sum / n_tokens > 0.8 && sum / n_tokens < 1.0, "{}", sum / n_tokens);
}

#[test]
fn a_sentence_is_answered_before_the_next_one_comes() {
    let (place, _) = with_model();
    let mut command = place.command("tag -q -m model");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..3 {
        input.write_all(b"the DT\ncat NN\n\n").unwrap();
        let answer: Vec<String> = output.by_ref().take(3).map(Result::unwrap).collect();
        assert!(answer[0].starts_with("the DT ") && answer[2].is_empty(), "{answer:?}");
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[test]
fn scores_print_as_the_classic_scorer_does() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../asyn-data/tests/golden/conlleval");
    let place = Place::new();
    let mut n_cases = 0;
    for entry in fs::read_dir(golden).unwrap() {
        let path = entry.unwrap().path();
        let input = fs::read(&path).unwrap();
        if path.extension().is_none_or(|extension| extension != "in") || input.is_empty() {
            continue;
        }
        let output = place.run_on("eval", input);
        // The classic scorer takes a file of blank lines for one with no tokens.
        if output.status.code() == Some(65) {
            continue;
        }
        assert_eq!(output.stdout, fs::read(path.with_extension("out")).unwrap(), "{path:?}");
        n_cases += 1;
    }
    assert!(n_cases > 20, "{n_cases} cases");
}

#[test]
fn a_score_below_the_least_one_is_a_status() {
    let place = Place::new();
    let half = "a B-NP B-NP\nb B-VP B-NP\n";
    let output = place.run_on("eval --min-f1 50.1 --json", half);
    assert_eq!(output.status.code(), Some(3));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["f1"], &report["tokens"]), (&50.0.into(), &2.into()));
    assert_eq!(place.run_on("eval --min-f1 50", half).status.code(), Some(0));
}
