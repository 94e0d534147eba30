//! Scores of spans, words and tokens, how sure they are, and how two systems differ.

use serde_json::Value;

use crate::place::{Place, assert_fails};

const GOLD: &str = "共同 创造 美好 的 新 世纪\n\n二○○一年\n";
const SEGMENTED: &str = "共同 创 造美好 的 新世纪\n\n二○○一年\n";

fn json(place: &Place, line: &str) -> Value {
    serde_json::from_str(&place.succeed(line)).unwrap()
}

/// Labels in which every `n`-th token is wrong.
fn tagged(n_sentences: usize, n: usize) -> String {
    let mut text = String::new();
    for sentence in 0..n_sentences {
        for token in 0..5 {
            let predicted = if (5 * sentence + token).is_multiple_of(n) { "O" } else { "B-X" };
            text.push_str(&format!("w{token} B-X {predicted}\n"));
        }
        text.push('\n');
    }
    text
}

#[test]
fn spans_know_all_schemes() {
    let place = Place::new();
    place.write("bioes", "a S-X S-X\nb S-X B-X\nc O E-X\nd B-Y B-Y\ne E-Y E-Y\n");
    let report = json(&place, "eval --scorer spans --json bioes");
    assert_eq!(
        (&report["gold"], &report["predicted"], &report["correct"]),
        (&3.into(), &3.into(), &2.into())
    );
    assert_eq!(report["by_type"]["Y"]["f1"], 100.0);
    let text = place.succeed("eval --scorer spans bioes");
    assert!(text.contains("processed 5 tokens with 3 phrases"), "{text}");
}

#[test]
fn words_are_scored_in_columns_and_in_text() {
    let place = Place::new();
    place.write("gold", GOLD);
    place.write("segmented", SEGMENTED);
    place.write("words", "共同 创造\n美好\n二○○一年\n");
    let text = place.succeed("eval --scorer sighan --gold gold --train-words words segmented");
    assert_eq!(
        text,
        "processed 7 words; found: 6 words; correct: 3.\n\
         precision:  50.00%; recall:  42.86%; FB1:  46.15\n\
         OOV rate:  42.86%; OOV recall:  33.33%; IV recall:  50.00%\n"
    );
    let tags = |text: &str| -> String {
        let words = text.split_whitespace().map(|word| match word.chars().count() {
            1 => "S".to_owned(),
            n => format!("B{}E", "M".repeat(n - 2)),
        });
        words.collect()
    };
    let characters: String = GOLD.split_whitespace().collect();
    let (gold, found) = (tags(GOLD), tags(SEGMENTED));
    let rows = characters.chars().zip(gold.chars().zip(found.chars()));
    let columns: String =
        rows.map(|(c, (gold, found))| format!("{c}\t{gold}\t{found}\n")).collect();
    place.write("columns", columns);
    let by_tags = json(&place, "eval --scorer sighan --train-words words --json columns");
    let by_text =
        json(&place, "eval --scorer sighan --train-words words --json --gold gold segmented");
    assert_eq!(by_tags, by_text);
}

#[test]
fn accuracy_counts_tokens_and_whole_sentences() {
    let place = Place::new();
    place.write("tagged", tagged(10, 10));
    let report = json(&place, "eval --scorer accuracy --json tagged");
    assert_eq!((&report["accuracy"], &report["sentence_accuracy"]), (&90.0.into(), &50.0.into()));
    let failed = place.run("eval --scorer accuracy --min-f1 91 tagged");
    assert_eq!(failed.status.code(), Some(3));
    let errors = String::from_utf8(failed.stderr).unwrap();
    assert_eq!(errors, "asyn: accuracy is 90.00, at least 91.00 was asked for\n");
}

#[test]
fn an_interval_holds_the_score() {
    let place = Place::new();
    place.write("tagged", tagged(200, 7));
    for scorer in ["conlleval", "spans", "accuracy"] {
        let report = json(&place, &format!("eval --scorer {scorer} --ci --json tagged"));
        let score = report.get("f1").unwrap_or(&report["accuracy"]).as_f64().unwrap();
        let (low, high) = (&report["interval"][0], &report["interval"][1]);
        assert!(low.as_f64().unwrap() < score && score < high.as_f64().unwrap(), "{report}");
    }
    let text = place.succeed("eval --ci tagged");
    assert!(text.starts_with(&place.succeed("eval tagged")), "{text}");
    assert!(
        text.ends_with("with a confidence of 95 %, from 1000 samples of sentences\n"),
        "{text}"
    );
}

#[test]
fn two_systems_are_compared_on_the_same_sentences() {
    let place = Place::new();
    place.write("bad", tagged(200, 5));
    place.write("good", tagged(200, 11));
    let report = json(&place, "eval --scorer accuracy --compare bad good --json");
    assert!(report["difference"].as_f64().unwrap() > 10.0, "{report}");
    assert!(report["p"].as_f64().unwrap() < 0.01, "{report}");
    let same = json(&place, "eval --compare bad bad --json");
    assert_eq!((&same["difference"], &same["p"]), (&0.0.into(), &1.0.into()));
    let text = place.succeed("eval --compare bad good");
    assert!(text.lines().count() == 3 && text.contains("\ndifference  F1 "), "{text}");
}

#[test]
fn sides_that_do_not_fit_are_refused() {
    let place = Place::new();
    place.write("gold", GOLD);
    place.write("other", "共同 创造\n\n二○○一年\n");
    place.write("short", "共同 创造 美好 的 新 世纪\n");
    place.write("blank", "\n\n\n");
    place.write("latin1", b"a\nb\xe9\n");
    place.write("chunks", "a B-X B-X\n\nb O O\n");
    place.write("relabelled", "a B-X B-X\n\nb B-X O\n");
    place.write("longer", "a B-X B-X\n\nb O O\n\nc O O\n");
    for (line, status, cause) in [
        ("--scorer sighan --gold gold other", 65, "other:1: expected the text of gold"),
        ("--scorer sighan --gold gold short", 65, "short: expected 3 lines as in gold, found 1"),
        ("--scorer sighan --gold blank blank", 65, "blank: expected"),
        ("--scorer sighan --gold gold latin1", 65, "latin1:2: expected UTF-8"),
        ("--scorer sighan --gold missing gold", 66, "missing"),
        ("--scorer sighan chunks", 65, "sentence 1, token 1: expected one of the tags"),
        ("--gold gold gold", 2, "--gold is for --scorer sighan and aer"),
        ("--train-words gold chunks", 2, "--train-words is for --scorer sighan"),
        ("--compare chunks relabelled", 65, "relabelled: the gold side of sentence 2"),
        ("--compare chunks longer", 65, "longer: expected 2 sentences as in chunks, found 3"),
    ] {
        assert_fails(&place.run(&format!("eval {line}")), status, cause);
    }
}
