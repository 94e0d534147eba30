//! What a model says beside its best labels: valid sequences, n-best lists, constraints,
//! explanations, and its weights as text.

use std::collections::BTreeMap;

use asyn::data::ModelFile;

use crate::place::{Place, assert_fails};

/// A folder with a model of few passes, so that it is often in doubt, and a test set.
fn with_model() -> Place {
    let place = Place::with_corpus(60);
    place.succeed("train crf -q train.txt --strategy serial --passes 1 --rich-edges -m model");
    place.write("test.txt", asyn::data::planted::chunking(150, 8).text());
    place
}

/// The sentences of an answer, as lines.
fn sentences(text: &str) -> Vec<Vec<&str>> {
    text.trim_end().split("\n\n").map(|sentence| sentence.lines().collect()).collect()
}

fn last(line: &str) -> &str {
    line.rsplit(' ').next().unwrap()
}

/// Counts the labels `I-X` that stand behind neither `B-X` nor `I-X`.
fn n_invalid(text: &str) -> usize {
    let mut n_invalid = 0;
    for sentence in sentences(text) {
        let mut kind = "";
        for label in sentence.iter().map(|line| last(line)) {
            n_invalid += usize::from(label.strip_prefix("I-").is_some_and(|other| other != kind));
            kind = label.split_once('-').map_or("", |(_, kind)| kind);
        }
    }
    n_invalid
}

#[test]
fn valid_sequences_never_begin_a_chunk_inside() {
    let place = with_model();
    // A model that knows nothing of neighbours, and words from inside of chunks on their own.
    place.write("alone", "U0:%x[0,0]\n");
    place.succeed("train crf -q train.txt -p alone -m model --passes 3 --strategy serial");
    let train = place.text("train.txt");
    let inside = train.lines().filter(|line| last(line) == "I-NP");
    place.write("test.txt", inside.map(|line| format!("{line}\n\n")).collect::<String>());
    let free = place.succeed("tag -q -m model --valid=off test.txt");
    let valid = place.succeed("tag -q -m model test.txt");
    assert!(n_invalid(&free) > 0);
    assert_eq!(n_invalid(&valid), 0);
    assert_eq!(place.succeed("tag -q -m model --valid test.txt"), valid);
    assert_eq!(place.succeed("tag -q -m model --valid=iob2 test.txt"), valid);
    let marked = place.succeed("tag -q -m model --marginals test.txt");
    let labels: String = sentences(&marked)
        .iter()
        .map(|lines| {
            let cut = |line: &&str| format!("{}\n", line.rsplit_once(' ').unwrap().0);
            lines.iter().map(cut).collect::<String>() + "\n"
        })
        .collect();
    assert_eq!(labels, valid);
    // Where the free answer is valid, it is the best valid one.
    for (free, valid) in sentences(&free).iter().zip(sentences(&valid)) {
        let is_valid = n_invalid(&free.join("\n")) == 0;
        assert!(!is_valid || *free == valid, "{free:?}");
    }
}

#[test]
fn spans_have_probabilities_of_their_own() {
    let place = with_model();
    let by_label = place.succeed("tag -q -m model --marginals test.txt");
    let by_span = place.succeed("tag -q -m model --span-marginals test.txt");
    let mut n_below = 0;
    for (label, span) in by_label.lines().zip(by_span.lines()).filter(|(line, _)| !line.is_empty())
    {
        let (columns, label_probability) = label.rsplit_once(' ').unwrap();
        let (same, span_probability) = span.rsplit_once(' ').unwrap();
        assert_eq!(columns, same);
        let (label_probability, span_probability): (f64, f64) =
            (label_probability.parse().unwrap(), span_probability.parse().unwrap());
        // Outside of spans it is that of the label.
        if last(columns) == "O" {
            assert!((label_probability - span_probability).abs() < 2e-4, "{label} {span}");
        }
        n_below += usize::from(span_probability < label_probability - 1e-3);
    }
    assert!(n_below > 100, "{n_below}");
}

#[test]
fn n_best_sequences_fall_in_probability_and_differ() {
    let place = with_model();
    let best = place.succeed("tag -q -m model test.txt");
    let found = place.succeed("tag -q -m model --nbest 4 test.txt");
    let found = sentences(&found);
    let mut n_sentences = 0;
    for (sentence, best) in found.chunks(4).zip(sentences(&best)) {
        let headers: Vec<(usize, f64)> = sentence
            .iter()
            .map(|lines| {
                let mut words = lines[0].strip_prefix("# ").unwrap().split(' ');
                (words.next().unwrap().parse().unwrap(), words.next().unwrap().parse().unwrap())
            })
            .collect();
        assert!(headers.iter().map(|(rank, _)| *rank).eq(0..4));
        assert!(headers.is_sorted_by(|a, b| a.1 >= b.1), "{headers:?}");
        assert!(headers.iter().map(|(_, probability)| probability).sum::<f64>() <= 1.0 + 1e-5);
        assert_eq!(sentence[0][1..], best[..]);
        assert!((1..4).all(|rank| sentence[rank][1..] != sentence[rank - 1][1..]));
        n_sentences += 1;
    }
    assert_eq!(n_sentences, 150);
}

#[test]
fn constraints_of_tokens_hold_and_carry_over_to_their_neighbours() {
    let place = with_model();
    place.write("asked", "mu POS * B-VP|O\ngi NN * I-VP\nmadi VBZ * *\n");
    let answer = place.succeed("tag -q -m model --constraints --valid asked");
    let labels: Vec<&str> = answer.lines().filter(|line| !line.is_empty()).map(last).collect();
    assert_eq!(labels[..2], ["B-VP", "I-VP"]);
    assert!(answer.starts_with("mu POS * B-VP|O B-VP\n"), "{answer}");
    let sure = place.succeed("tag -q -m model --constraints --valid --marginals asked");
    assert!(sure.lines().take(2).all(|line| last(line) == "1.0000"), "{sure}");

    place.write("unknown", "\n\nmu POS O *\ngi NN O B-VP|QQ\n");
    let failed = place.run("tag -q -m model --constraints unknown");
    assert_fails(&failed, 65, "unknown:4: the constraint \"B-VP|QQ\" names \"QQ\"");
    place.write("impossible", "a NN O O\n\nmu POS O O\ngi NN O I-VP\n");
    // What stands before has been answered already.
    let failed = place.run("tag -q -m model --constraints --valid impossible");
    assert_eq!(failed.status.code(), Some(65));
    let errors = String::from_utf8(failed.stderr).unwrap();
    assert_eq!(errors, "asyn: impossible:3: no sequence of labels is allowed for this sentence\n");
    place.write("narrow", "mu *\n");
    let failed = place.run("tag -q -m model --constraints narrow");
    assert_fails(&failed, 65, "narrow: expected");
}

#[test]
fn explanations_add_up_to_the_score() {
    let place = with_model();
    let plain = place.succeed("tag -q -m model test.txt");
    let explained = place.succeed("tag -q -m model --explain test.txt");
    for (sentence, plain) in sentences(&explained).iter().zip(sentences(&plain)) {
        let header = sentence[0].strip_prefix("# score ").unwrap();
        let score: f64 = header.split(',').next().unwrap().parse().unwrap();
        let weights = sentence[1..].iter().filter_map(|line| line.strip_prefix("# "));
        let sum: f64 =
            weights.map(|line| line.split(' ').next().unwrap().parse::<f64>().unwrap()).sum();
        assert!((sum - score).abs() < 1e-3, "{sum} {score}");
        let tokens: Vec<&str> =
            sentence.iter().copied().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(tokens, plain);
    }
    assert!(explained.contains(" B-NP I-NP\n"));
}

#[test]
fn models_that_do_not_know_their_scheme_answer_with_any_sequence() {
    let place = with_model();
    let free = place.succeed("tag -q -m model --valid=off test.txt");
    // As a file of an earlier version.
    let mut file = ModelFile::load(place.path("model"), asyn::KIND).unwrap();
    assert_eq!(file.metadata.remove("encoder.scheme").as_deref(), Some("iob2"));
    file.save(place.path("old")).unwrap();
    assert_eq!(place.succeed("tag -q -m old test.txt"), free);
    let valid = place.succeed("tag -q -m old --valid test.txt");
    assert_eq!(valid, place.succeed("tag -q -m model test.txt"));

    // One label is wrong, so not all sequences of training are valid.
    let text = place.text("train.txt").replacen("B-NP", "I-NP", 1);
    place.write("wrong.txt", text);
    place.succeed("train crf -q wrong.txt --strategy serial --passes 1 -m wrong");
    let file = ModelFile::load(place.path("wrong"), asyn::KIND).unwrap();
    assert_eq!(file.metadata.get("encoder.scheme"), None);
}

#[test]
fn the_scheme_of_a_model_gives_way_where_it_allows_nothing() {
    let place = Place::new();
    place.write("train.seg", "春风 拂面\n拂面 春风\n");
    place.succeed("train crf -q --format segmented train.seg -f 1 --passes 2 -m model");
    // There is no label for a word of one character.
    place.write("raw", "春\n春风\n");
    assert_eq!(place.succeed("segment -q -m model raw"), "春\n春风\n");
    let tagged = place.succeed("tag -q -m model --format text --marginals raw");
    assert!(tagged.lines().count() >= 3, "{tagged}");
    place.write("one", "春\n");
    let failed = place.run("tag -q -m model --valid one --format columns");
    assert_fails(&failed, 65, "one:1: no sequence of labels is allowed");
}

#[test]
fn a_scheme_is_needed_for_valid_sequences() {
    let place = Place::new();
    place.write("train.txt", "a x NN\nb y VB\n\nb y VB\na x NN\n");
    place.succeed("train crf -q train.txt --passes 1 -m model --min-freq 1");
    let failed = place.run("tag -q -m model --valid train.txt");
    assert_fails(&failed, 2, "--valid: the labels of the model are of no tag scheme");
}

#[test]
fn weights_come_as_text_the_largest_first() {
    let place = with_model();
    let text = place.succeed("dump model");
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let weight = |line: &[&str]| line[0].parse::<f32>().unwrap().abs();
    assert!(lines.is_sorted_by(|a, b| weight(a) >= weight(b)));
    let mut n_lines = BTreeMap::new();
    for line in &lines {
        let [_, attribute, previous, _] = line[..] else { panic!("{line:?}") };
        *n_lines.entry((attribute == "*", previous == "*")).or_insert(0) += 1;
    }
    // Attributes, rich attributes and plain transitions.
    assert_eq!(
        n_lines.keys().collect::<Vec<_>>(),
        [&(false, false), &(false, true), &(true, false)]
    );

    let top = place.succeed("dump model --top 5");
    assert!(text.starts_with(&top) && top.lines().count() == 5, "{top}");
    let some = place.succeed("dump model --label B-NP --attribute DT");
    let asked = lines.iter().filter(|line| line[1].contains("DT") && line[3] == "B-NP").count();
    assert!(asked > 0);
    assert_eq!(some.lines().count(), asked);
    assert_fails(&place.run("dump model --label QQ"), 2, "--label QQ is no label of the model");
    assert_fails(&place.run("dump missing"), 66, "missing");
}
