//! `asyn doctor data`: what it finds in corpora that are odd on purpose.

use serde_json::Value;

use crate::place::{Place, assert_fails};

/// Checks that one line of the findings has both texts.
#[track_caller]
fn assert_says(findings: &str, start: &str, text: &str) {
    let says = |line: &str| line.starts_with(start) && line.contains(text);
    assert!(findings.lines().any(says), "{findings} does not say {start} … {text}");
}

#[test]
fn nothing_odd_is_found_in_a_good_corpus() {
    let place = Place::with_corpus(400);
    let findings = place.succeed("doctor data train.txt");
    assert_says(&findings, "train.txt: 400 sentences", "3 columns");
    assert_says(&findings, "Nothing odd was found.", "");
    assert_eq!(findings.lines().count(), 2, "{findings}");
}

#[test]
fn labels_and_schemes_that_are_odd_are_named_with_their_lines() {
    let place = Place::new();
    let iob2 = "a x B-NP\nb x I-NP\n\n".repeat(3);
    let iob1 = "c x I-NP\nd x O\n\n";
    let broken = "e x I-NP\nf x S-NP\n\n";
    let rare = "g x B-LST\n\n";
    place.write("train.txt", format!("{iob2}{iob1}{broken}{rare}"));
    let findings = place.succeed("doctor data train.txt");
    assert_says(&findings, "train.txt:10: ", "1 sentence is in iob1, the others in iob2");
    assert_says(&findings, "train.txt:13: ", "spelt as no tag scheme does");
    assert_says(
        &findings,
        "train.txt:11: 3 labels occur once",
        "O in line 11, S-NP in line 14, B-LST in line 16",
    );
    assert_says(&findings, "train.txt: column 1 is \"x\" throughout.", "");
    place.write("iobes.txt", "a S-NP\nb O\n\nc B-NP\nd E-NP\n\ne B-NP\nf I-NP\n\ng S-NP\n");
    let findings = place.succeed("doctor data iobes.txt");
    assert_says(&findings, "iobes.txt:7: 1 sentence is in iob2, the others in iobes", "");
    place.write("pos.txt", "a NN\nb VB\n\nb NN\na VB\n");
    let findings = place.succeed("doctor data pos.txt");
    assert_eq!(
        findings.lines().next(),
        Some("pos.txt: 2 sentences, 4 tokens, 2 columns, 2 labels.")
    );
}

#[test]
fn development_data_are_compared_with_all_training_files() {
    let place = Place::new();
    place.write("one.txt", "a B\nb I\n\nc O\nc O\n");
    place.write("two.txt", "d O\nd O\n\nd O\nd O\n\nd O\nd B\n");
    place.write("dev.txt", "a B\nb I\n\nd B\nd O\n\nz X-1\nz X-1\n\nz B\ny O\n");
    let findings = place.succeed("doctor data one.txt two.txt --dev dev.txt");
    assert_says(
        &findings,
        "dev.txt: 2 sentences are in the training data too (50.0 %)",
        "1 of them with the same labels",
    );
    assert_says(&findings, "dev.txt: 1 label is not in the training data", "X-1 (2)");
    assert_says(
        &findings,
        "two.txt: 1 sentence stands there before with the same labels (33.3 %)",
        "",
    );
    assert_says(&findings, "two.txt: 1 sentence stands there before with other labels", "");
    let json = place.succeed("doctor data one.txt two.txt --dev dev.txt --json");
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["dev"]["overlap"]["in_training"], 2);
    assert_eq!(json["files"][1]["repeated_sentences"], 1);
    assert_eq!(json["advice"].as_array().unwrap().len(), findings.lines().count());
}

#[test]
fn long_sentences_and_attributes_of_every_token_are_named() {
    let place = Place::new();
    let word = |i: usize| format!("w{} O\n", i % 7);
    let short: String = (0..40).map(|i| format!("{}{}\n", word(i), word(i + 1))).collect();
    let long: String = (0..300).map(word).collect();
    place.write("train.txt", format!("{short}{long}"));
    place.write("template", "U0:%x[0,0]\nU1:bias\nB\n");
    let findings = place.succeed("doctor data train.txt -p template");
    assert_says(&findings, "train.txt:121: 1 sentence is very long, up to 300 tokens", "");
    assert_says(&findings, "train.txt: 1 attribute is the same for every token: U1:bias.", "");
}

#[test]
fn formats_are_those_of_training() {
    let place = Place::new();
    let word = |n: u32, form: &str, tag: &str| format!("{n}\t{form}\t_\t{tag}\t_\t_\t_\t_\t_\t_\n");
    let sentence = format!("# text\n{}{}\n", word(1, "a", "DET"), word(2, "b", "NOUN"));
    place.write("train.conllu", sentence.repeat(2));
    let findings = place.succeed("doctor data train.conllu");
    assert_says(&findings, "train.conllu: 2 sentences, 4 tokens, 2 columns", "");
    let findings = place.succeed("doctor data train.conllu --columns FORM,XPOS,UPOS");
    assert_says(&findings, "train.conllu: column 1 is \"_\" throughout.", "");
    place.write("train.seg", "abcd c\n中abc ab\n");
    let findings = place.succeed("doctor data --format segmented train.seg");
    assert_says(&findings, "train.seg: 2 sentences, 11 tokens, 2 columns, 4 labels in bmes", "");
}

#[test]
fn files_that_cannot_be_read_are_refused_with_all_ragged_lines() {
    let place = Place::with_corpus(5);
    place.write("ragged.txt", "a DT O\nb NN\n\nc O\nd NN O\ne NN O O\n");
    let output = place.run("doctor data ragged.txt");
    let cause = "ragged.txt:2: 3 lines have not the 3 columns of the first line: 2 in line 2, 2 in line 4, 4 in line 6";
    assert_fails(&output, 65, cause);
    place.write("narrow.txt", "a O\n");
    assert_fails(
        &place.run("doctor data train.txt narrow.txt"),
        65,
        "narrow.txt: expected 3 columns",
    );
    assert_fails(
        &place.run("doctor data train.txt --dev narrow.txt"),
        65,
        "narrow.txt: expected 3",
    );
    place.write("words.txt", "a\n");
    assert_fails(&place.run("doctor data words.txt"), 65, "words.txt: expected 2 columns, found 1");
    assert_fails(&place.run("doctor data none.txt"), 66, "none.txt");
    assert_fails(&place.run("doctor data train.txt -p none"), 66, "none");
    assert_fails(&place.run("doctor data"), 2, "FILE");
}
