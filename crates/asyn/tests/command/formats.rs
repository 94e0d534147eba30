//! Training on, and labelling of, formats beside columns.

use crate::place::{Place, assert_fails, errors};

const TRAIN: &str = "train crf -q -t 1 --strategy serial";

/// A folder with planted words and tags as columns, `train.txt`, and as CoNLL-U, `train.conllu`.
fn with_conllu() -> Place {
    let place = Place::with_corpus(60);
    let words = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ") + "\n";
    let text: String = place.text("train.txt").lines().map(words).collect();
    place.write("train.txt", text);
    place.succeed("convert train.txt -o plain.conllu");
    // Comments, a range and an empty node in every sentence.
    let sentences = place.text("plain.conllu");
    let mut text = "# newdoc\n".to_owned();
    for sentence in sentences.split_terminator("\n\n") {
        let fields = "\t_".repeat(8);
        text += &format!("# text = ...\n1-1\tit{fields}\n{sentence}\n");
        let n_words = sentence.lines().count();
        text += &format!("{n_words}.1\tø{fields}\n\n");
    }
    place.write("train.conllu", text);
    place
}

#[test]
fn a_tagger_learns_from_conllu_what_it_learns_from_columns() {
    let place = with_conllu();
    place.succeed(&format!("{TRAIN} --passes 2 train.txt -m columns.model"));
    place.succeed(&format!("{TRAIN} --passes 2 train.conllu -p word -m conllu.model"));
    let tagged = place.succeed("tag -q -m columns.model train.txt");
    assert!(place.succeed("tag -q -m conllu.model train.txt --format columns") == tagged);
    // Without the tags, as they would come from a tokeniser.
    let bare: String = place
        .text("train.conllu")
        .lines()
        .map(|line| {
            let mut fields: Vec<&str> = line.split('\t').collect();
            if let Some(upos) = fields.get_mut(3) {
                *upos = "_";
            }
            fields.join("\t") + "\n"
        })
        .collect();
    place.write("bare.conllu", &bare);
    let output = place.run("tag -m conllu.model bare.conllu -t 2");
    assert_eq!(errors(&output), "");
    let labelled = String::from_utf8(output.stdout).unwrap();
    place.write("labelled.conllu", &labelled);
    let predicted = place.succeed("convert labelled.conllu --to columns");
    let labels = |text: &str, blank: char| -> Vec<String> {
        text.lines().map(|line| line.rsplit(blank).next().unwrap().to_owned()).collect()
    };
    assert!(labels(&predicted, '\t') == labels(&tagged, ' '));
    // All else is as it was.
    let others = |text: &str| -> Vec<String> {
        let other = |line: &str| {
            let fields = line.split('\t').enumerate().filter(|&(field, _)| field != 3);
            fields.map(|(_, value)| value).collect::<Vec<_>>().join("\t")
        };
        text.lines().map(other).collect()
    };
    assert!(others(&labelled) == others(&bare));
    // Through a pipe, the format is that of the training file.
    let output = place.run_on("tag -q -m conllu.model", bare);
    assert!(String::from_utf8(output.stdout).unwrap() == labelled);
    // Without a template named, the one for parts of speech is used.
    place.succeed(&format!("{TRAIN} --passes 1 train.conllu -m pos.model"));
    assert!(place.succeed("info pos.model").contains("template    pos"));
}

#[test]
fn a_segmenter_learns_from_segmented_text() {
    let place = Place::new();
    // Words are told by their characters: each begins with a capital.
    let words = ["Ab", "Cde", "F", "Gh", "Ihcb", "Dc"];
    let sentence = |first: usize| {
        (0..8)
            .map(|i| words[(first * i + i * i + first) % words.len()])
            .collect::<Vec<_>>()
            .join(" ")
    };
    let text: String = (0..60).map(|first| sentence(first) + "\n").collect();
    place.write("train.seg", &text);
    place.succeed(&format!("{TRAIN} --format segmented train.seg --passes 8 -m words.model"));
    let raw = text.replace(' ', "");
    let segmented = |input: &str, threads: usize| {
        let output = place.run_on(&format!("segment -m words.model -t {threads}"), input);
        assert_eq!(errors(&output), "");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(segmented(&raw, 1), text);
    assert_eq!(segmented(&raw.repeat(50), 3), text.repeat(50));
    // Lines stay lines, and white space that is there keeps words apart.
    let first = text.lines().next().unwrap();
    let spaced = first.replacen(' ', "\u{3000}", 1).replacen(' ', "", 3);
    let input = format!("\u{feff}\n {spaced}\r\n \t\nA b");
    assert_eq!(segmented(&input, 2), format!("\n{first}\n\nA b\n"));
    assert_eq!(segmented("", 2), "");
    let tagged = place.succeed("tag -q -m words.model train.seg");
    assert_eq!(tagged.lines().next(), Some("A B B"));
}

#[test]
fn attributes_of_crfsuite_are_learnt_as_if_a_template_had_made_them() {
    let place = Place::with_corpus(60);
    place.write("t", "U0:%x[0,0]\nU1:%x[-1,1]\nU2:%suffix[0,0,2]\nB\n");
    place.succeed("convert train.txt --to crfsuite -p t -o train.crfsuite");
    place.succeed(&format!("{TRAIN} --passes 3 train.txt -p t -m columns.model"));
    place.succeed(&format!("{TRAIN} --passes 3 train.crfsuite -m crfsuite.model"));
    let last = |text: String| -> Vec<String> {
        text.lines().map(|line| line.rsplit([' ', '\t']).next().unwrap().to_owned()).collect()
    };
    let columns = place.succeed("tag -q -m columns.model train.txt");
    let labelled = place.succeed("tag -q -m crfsuite.model train.crfsuite");
    assert_eq!(labelled.lines().next().unwrap().split('\t').count(), 2);
    assert!(last(labelled) == last(columns));
}

#[test]
fn plain_text_is_tagged_word_by_word() {
    let place = with_conllu();
    place.succeed(&format!("{TRAIN} --passes 1 train.txt -m words.model"));
    let output = place.run_on("tag -q -m words.model --format text", "a b\n\nc\n");
    let tagged = String::from_utf8(output.stdout).unwrap();
    let words: Vec<&str> = tagged.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(words, ["a", "b", "", "c", ""]);
}

#[test]
fn formats_that_do_not_fit_are_refused() {
    let place = with_conllu();
    place.succeed(&format!("{TRAIN} --passes 1 train.conllu -m good.model"));
    place.write("range.conllu", place.text("train.conllu").replacen("1-1", "1-900", 1));
    place.write("a.crfsuite", "O\ta\nX\tb\n");
    place.write("value.crfsuite", "O\ta\nX\tb:2\n");
    place.write("wide.crfsuite", "O\ta\tb\n");
    place.succeed(&format!("{TRAIN} --passes 1 a.crfsuite -m a.model"));
    place.write("latin1", b"a b\n\xe9\n");
    let before = place.names();
    let train = format!("{TRAIN} -m new.model");
    for (line, status, cause) in [
        (format!("{train} range.conllu"), 65, "range.conllu:3: the range ends at word 900"),
        ("tag -q -m good.model range.conllu".to_owned(), 65, "range.conllu:3: the range ends"),
        (format!("{train} train.txt --format conllu"), 65, "train.txt:1: expected 10 fields"),
        (format!("{train} train.txt --format text"), 65, "expected 2 columns, found 1"),
        (format!("{train} train.conllu --columns FORM"), 65, "expected 2 columns, found 1"),
        (format!("{train} latin1 --format segmented"), 65, "latin1:2: expected UTF-8"),
        (format!("{train} train.txt --format xml"), 2, "--format"),
        (format!("{train} train.conllu --columns WORD"), 2, "WORD is not one of FORM"),
        (format!("{train} value.crfsuite"), 65, "value.crfsuite:2: expected attributes without"),
        (format!("{train} a.crfsuite -p word"), 2, "have their attributes already"),
        (format!("{train} a.crfsuite -d wide.crfsuite"), 65, "wide.crfsuite:1: expected at most 1"),
        ("tag -q -m good.model a.crfsuite".to_owned(), 2, "models of attributes"),
        ("tag -q -m a.model train.txt --format columns".to_owned(), 2, "models of attributes"),
        ("tag -q -m a.model wide.crfsuite".to_owned(), 65, "wide.crfsuite:1: expected at most 1"),
        ("tag -q -m good.model train.conllu --columns FORM,XPOS,UPOS".to_owned(), 2, "3 fields"),
        ("tag -q -m good.model train.conllu --marginals".to_owned(), 2, "--marginals"),
        ("segment -q -m good.model train.txt".to_owned(), 2, "not one of segmented text"),
        ("segment -q -m none train.txt".to_owned(), 66, "none"),
        ("segment -q -m train.txt train.txt".to_owned(), 65, "header"),
    ] {
        assert_fails(&place.run(&line), status, cause);
        assert_eq!(place.names(), before);
    }
    place.write("words.seg", "Ab Cd\nCd\n");
    place.succeed(&format!("{TRAIN} --format segmented words.seg --passes 1 -m words.model"));
    assert_fails(&place.run("segment -q -m words.model latin1"), 65, "latin1:2: expected UTF-8");
    assert_fails(&place.run("segment -q -m words.model absent"), 66, "absent");
}

#[test]
fn sentences_and_label_sets_of_any_size_are_taken_or_refused() {
    let place = Place::new();
    let word = |i: usize| format!("{}\tw{}\t_\tT{}\t_\t_\t_\t_\t_\t_\n", i + 1, i % 977, i % 13);
    let long = (0..100_000).map(word).collect::<String>() + "\n";
    place.write("long.conllu", &long);
    place.succeed(&format!("{TRAIN} long.conllu -p word --passes 1 -m long.model"));
    let labelled = place.succeed("tag -q -m long.model long.conllu");
    assert_eq!(labelled.lines().count(), 100_001);
    assert!(place.succeed("convert -q long.conllu") == long);
    let line = "ab c ".repeat(40_000);
    place.write("long.seg", &line);
    let back = place.succeed("convert -q long.seg --from segmented --to segmented");
    assert!(back == line.trim_end().to_owned() + "\n");
    let chunk = |i: usize| format!("a B-T{0}\nb I-T{0}\n\n", i % 500);
    let text: String = (0..2000).map(chunk).collect();
    place.write("labels.txt", &text);
    place.succeed("convert -q labels.txt --scheme iobes -o iobes.txt");
    assert!(place.succeed("convert -q iobes.txt --scheme bio") == text);
    // One token of very many attributes would make all others as wide.
    let attributes: String = (0..100_000).map(|i| format!("\ta{i}")).collect();
    place.write("wide.crfsuite", format!("O{attributes}\n{}", "O\tb\n".repeat(20_000)));
    let output = place.run("train crf -q wide.crfsuite -m wide.model");
    assert_fails(&output, 65, "expected at most 1073741824 cells");
}
