//! Many trainings at once: cross-validation and the search for settings.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::place::{Place, assert_fails, errors};

#[test]
fn every_sentence_is_validated_once_and_a_seed_repeats_the_scores() {
    let place = Place::with_corpus(90);
    let cv = "cv crf train.txt --folds 4 --passes 2 --strategy serial";
    let table = place.succeed(cv);
    assert_eq!(place.succeed(cv), table);
    assert_ne!(place.succeed(&format!("{cv} --seed 9")), table);
    let report: Value = serde_json::from_str(&place.succeed(&format!("{cv} --json"))).unwrap();
    let folds = report["folds"].as_array().unwrap();
    let sum = |key: &str| folds.iter().map(|fold| fold[key].as_f64().unwrap()).sum::<f64>();
    let n_tokens = place.text("train.txt").lines().filter(|line| !line.is_empty()).count();
    assert_eq!([sum("sentences"), sum("tokens")], [90.0, n_tokens as f64]);
    let number = |key: &str| report[key].as_f64().unwrap();
    assert!((sum("f1") / 4.0 - number("mean")).abs() < 1e-9);
    let interval: Vec<f64> =
        report["interval"].as_array().unwrap().iter().map(|end| end.as_f64().unwrap()).collect();
    assert!(interval[0] < number("pooled") && number("pooled") < interval[1], "{report}");
    assert!(number("pooled") > 60.0 && number("deviation") < 15.0, "{report}");
    assert_eq!(place.names(), ["train.txt"]);
}

#[test]
fn a_fold_is_scored_as_a_model_of_the_others_would_score_it() {
    let place = Place::new();
    // Words that decide their labels, one of them in one sentence alone.
    place.write("train.txt", format!("{}c B-X\nd O\n\n", "a B-NP\nb O\n\n".repeat(11)));
    let report =
        place.succeed("cv crf -q train.txt -f 1 --folds 12 --passes 5 --strategy serial --json");
    let report: Value = serde_json::from_str(&report).unwrap();
    let scores =
        report["folds"].as_array().unwrap().iter().map(|fold| fold["f1"].as_f64().unwrap());
    assert_eq!(scores.filter(|score| *score == 100.0).count(), 11, "{report}");
}

#[test]
fn cross_validation_refuses_what_it_cannot_do() {
    let place = Place::with_corpus(10);
    for (flags, cause) in [
        ("--folds 1", "--folds 1: expected from 2 to the 10 sentences of train.txt"),
        ("--folds 11", "--folds 11"),
        ("-m model", "--model is not for cv"),
        ("--run r", "--run is not for cv"),
        ("--f16", "--f16 is not for cv"),
        ("--dev 10%", "--dev is not for cv"),
        ("--patience 2", "--patience needs --dev"),
    ] {
        let output = place.run(&format!("cv crf -q train.txt {flags}"));
        assert_fails(&output, 2, cause);
    }
    assert_fails(&place.run("cv crf -q none"), 66, "none");
    assert_eq!(place.names(), ["train.txt"]);
    let said = errors(&place.run("cv crf train.txt --folds 2 --passes 1"));
    assert!(said.contains("fold 1/2: F1 "), "{said}");
}

#[test]
fn the_best_settings_can_be_typed_and_score_what_the_table_says() {
    let place = Place::with_corpus(120);
    let tune = "tune crf train.txt -d 25% --strategy serial --trials 6 --max-passes 4";
    let found = place.succeed(&format!("{tune} --templates chunking,word --rich-edges"));
    assert_eq!(place.succeed(&format!("{tune} --templates chunking,word --rich-edges")), found);
    let lines: Vec<&str> = found.lines().collect();
    assert_eq!(lines.len(), 1 + 6 + 1 + 1, "{found}");
    let column = |line: &str, column: usize| {
        line.split_whitespace().nth(column).unwrap().parse::<f64>().unwrap()
    };
    let scores: Vec<f64> = lines[1..7].iter().map(|line| column(line, 0)).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b), "{found}");
    let mut passes: Vec<f64> = lines[1..7].iter().map(|line| column(line, 3)).collect();
    assert_eq!(passes[0], 4.0);
    passes.sort_by(f64::total_cmp);
    assert_eq!(passes, [1.0, 1.0, 1.0, 2.0, 4.0, 4.0]);
    let best = lines[8].strip_prefix("asyn ").unwrap();
    assert!(best.starts_with("train crf train.txt ") && best.contains("--passes 4"), "{best}");
    let said = errors(&place.run(best));
    let score = lines[1].split_whitespace().next().unwrap();
    assert!(said.contains(&format!("dev F1 {score}")), "{said} has no {score}");
}

#[test]
fn what_is_typed_is_not_searched() {
    let place = Place::with_corpus(40);
    let tune = "tune crf -q train.txt -d 25% --trials 4 --max-passes 1 --strategy serial";
    let found = place.succeed(&format!("{tune} --rate 0.15 --l2 0.7 -f 2 -p word"));
    let rows: Vec<&str> = found.lines().skip(1).take(4).collect();
    for row in rows {
        assert!(row.ends_with("0.15       0.7         2              -  word"), "{row}");
    }
}

#[test]
#[cfg(unix)]
fn an_interrupted_search_prints_what_it_found() {
    let place = Place::with_corpus(60);
    let mut command = place.command("tune crf train.txt -d 25% --trials 500 --max-passes 1000");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    while !lines.next().unwrap().unwrap().starts_with("trial ") {}
    assert!(
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success()
    );
    let end = lines.last().unwrap().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{end}");
    assert!(end.starts_with("asyn: stopped after "), "{end}");
    let found = String::from_utf8(output.stdout).unwrap();
    assert!(found.lines().last().unwrap().starts_with("asyn train crf train.txt "), "{found}");
}

#[test]
fn a_search_refuses_what_it_cannot_do() {
    let place = Place::with_corpus(10);
    for (flags, cause) in [
        ("", "tune needs --dev"),
        ("-d 20% --passes 3", "--passes is not for tune"),
        ("-d 20% --init m", "--init is not for tune"),
        ("-d 20% -m model", "--model is not for tune"),
        ("-d 20% --trials 0", "--trials"),
        ("-d 20% --max-passes 0", "--max-passes"),
        ("-d 20% --templates word -p word", "cannot be used with"),
    ] {
        assert_fails(&place.run(&format!("tune crf -q train.txt {flags}")), 2, cause);
    }
    assert_fails(&place.run("tune crf -q train.txt -d 20% --templates none"), 66, "none");
    assert_eq!(place.names(), ["train.txt"]);
}
