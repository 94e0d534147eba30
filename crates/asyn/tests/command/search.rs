//! Many trainings at once: cross-validation and the search for settings.

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
