//! Conversion between formats and between tag schemes.

use crate::place::{Place, assert_fails, errors};

const CONLLU: &str = "# text = Go now\n\
1-2\tGonow\t_\t_\t_\t_\t_\t_\t_\t_\n\
1\tGo\tgo\tVERB\tVB\t_\t0\troot\t_\t_\n\
2\tnow\tnow\tADV\tRB\t_\t1\tadvmod\t_\t_\n\
2.1\tø\t_\t_\t_\t_\t_\t_\t_\t_\n\n";

#[test]
fn chunks_are_spelt_in_another_scheme_and_back() {
    let place = Place::new();
    let text = "a DT B-NP\nb NN I-NP\nc VB B-VP\n\nd NN B-NP\ne NN B-NP\nf IN O\n\n";
    place.write("in.txt", text);
    let output = place.run("convert in.txt --scheme iobes");
    let spelt = "a DT B-NP\nb NN E-NP\nc VB S-VP\n\nd NN S-NP\ne NN S-NP\nf IN O\n\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), spelt);
    assert_eq!(errors(&output), "in.txt: iob2 to iobes, 0 repairs\n");
    for scheme in ["iob1", "bioes", "bilou", "bmes"] {
        place.succeed(&format!("convert -q in.txt --scheme {scheme} -o there.txt"));
        assert_eq!(place.succeed("convert -q there.txt --scheme bio"), text, "{scheme}");
    }
}

#[test]
fn repairs_are_counted_and_the_first_are_shown() {
    let place = Place::new();
    place.write("broken.txt", format!("a B-NP\n\n{}", "b I-NP\nc O\n".repeat(6)));
    let output = place.run("convert broken.txt --from-scheme iob2");
    let repaired = format!("a B-NP\n\n{}\n", "b B-NP\nc O\n".repeat(6));
    assert_eq!(String::from_utf8_lossy(&output.stdout), repaired);
    let said = errors(&output);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 6, "{said}");
    assert_eq!(lines[0], "broken.txt:3: I-NP is read as B-NP");
    assert_eq!(lines[4], "broken.txt:11: I-NP is read as B-NP");
    assert_eq!(lines[5], "broken.txt: iob2 to iob2, 6 repairs, the first 5 above");
    // Two schemes in one file: the one that fits better is meant.
    let mixed = "a B-NP\nb I-NP\nc B-NP\nd I-NP\ne S-NP\n";
    let output = place.run_on("convert --scheme iob2", mixed);
    assert!(errors(&output).contains("standard input:5: S-NP is read as B-NP"), "{output:?}");
}

#[test]
fn conllu_goes_to_columns_and_back() {
    let place = Place::new();
    place.write("in.conllu", CONLLU);
    assert_eq!(place.succeed("convert in.conllu"), CONLLU);
    assert_eq!(place.succeed("convert in.conllu --to columns"), "Go\tVERB\nnow\tADV\n\n");
    assert_eq!(place.succeed("convert in.conllu --to text"), "Go now\n");
    assert_eq!(place.succeed("convert in.conllu --to segmented"), "Go now\n");
    let line = "convert in.conllu --to columns --columns form,XPOS,upos -o out.txt";
    assert_eq!(place.succeed(line), "");
    assert_eq!(place.text("out.txt"), "Go\tVB\tVERB\nnow\tRB\tADV\n\n");
    place.succeed("convert out.txt -o again.conllu --columns FORM,XPOS,UPOS");
    assert_eq!(
        place.text("again.conllu"),
        "1\tGo\t_\tVERB\tVB\t_\t_\t_\t_\t_\n2\tnow\t_\tADV\tRB\t_\t_\t_\t_\t_\n\n"
    );
}

#[test]
fn segmented_text_goes_to_characters_and_back() {
    let place = Place::new();
    place.write("in.seg", "春风 拂面\n\nab c\n");
    let columns = place.succeed("convert in.seg --from segmented --to columns");
    assert_eq!(columns, "春 B\n风 E\n拂 B\n面 E\n\na B\nb E\nc S\n\n");
    let output = place.run_on("convert -q --to segmented", &columns);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "春风 拂面\nab c\n");
    let line = "convert in.seg --from segmented --to columns --scheme bio";
    assert_eq!(place.succeed(line), "春 B\n风 I\n拂 B\n面 I\n\na B\nb I\nc B\n\n");
    let words = place.succeed("convert in.seg --from text --to columns");
    assert_eq!(words, "春风\n拂面\n\nab\nc\n\n");
    let conllu = place.succeed("convert in.seg --from segmented --to conllu");
    assert!(conllu.starts_with("1\t春风\t_\t_\t"), "{conllu}");
}

#[test]
fn attributes_go_to_crfsuite() {
    let place = Place::new();
    place.write("t", "U:%x[0,0]\nU1:%x[-1,0]\nB\n");
    place.write("in.txt", "a:b X\nc\\ Y\n");
    let written = place.succeed("convert in.txt --to crfsuite -p t -o out.crfsuite");
    assert_eq!(written, "");
    let expected = "X\tU\\:a\\:b\tU1\\:_B-1\nY\tU\\:c\\\\\tU1\\:a\\:b\n\n";
    assert_eq!(place.text("out.crfsuite"), expected);
    assert_eq!(place.succeed("convert out.crfsuite"), expected);
    assert_eq!(
        place.succeed("convert out.crfsuite --to columns"),
        "U:a:b\tU1:_B-1\tX\nU:c\\\tU1:a:b\tY\n\n"
    );
}

/// Checks that a conversion fails and writes nothing.
#[track_caller]
fn refused(place: &Place, line: &str, status: i32, cause: &str) {
    let before = place.names();
    assert_fails(&place.run(&format!("convert {line}")), status, cause);
    assert_eq!(place.names(), before);
}

#[test]
fn what_cannot_be_converted_is_refused() {
    let place = Place::new();
    place.write("in.txt", "a X\nb Y\n");
    place.write("wide.txt", "a b c d e\n");
    place.write("range.conllu", CONLLU.replace("1-2", "1-3"));
    place.write("short.conllu", "1\ta\n");
    place.write("empty.conllu", "# nothing\n\n");
    place.write("space.conllu", CONLLU.replace("Go\tgo", "1 000\tgo"));
    place.write("value.crfsuite", "O\ta\nO\tb:0.5\n");
    place.write("ragged.crfsuite", "O\ta\nO\tb\tc\n");
    place.write("latin1.conllu", b"# a\n\xe9\n");
    place.write("cut.conllu.gz", [0x1f, 0x8b, 8, 0]);
    for (line, cause) in [
        ("in.txt --scheme iobes -o out", "in.txt:1: expected O or a letter of a tag scheme"),
        ("in.txt --to segmented -o out", "in.txt:1: expected O or a letter of a tag scheme"),
        ("range.conllu -o out", "range.conllu:2: the range ends at word 3, and its sentence has 2"),
        ("short.conllu -o out", "short.conllu:1: expected 10 fields"),
        ("empty.conllu -o out", "empty.conllu: expected lines of columns, found no token"),
        ("latin1.conllu -o out", "latin1.conllu:2: expected UTF-8"),
        ("cut.conllu.gz -o out", "cut.conllu.gz: expected gzip data that are whole"),
        (
            "space.conllu --to columns -o out",
            "space.conllu:3: expected a cell with text and without",
        ),
        ("space.conllu --to text -o out", "found \"1 000\""),
        ("value.crfsuite -o out", "value.crfsuite:2: expected attributes without a value"),
        ("ragged.crfsuite --to columns -o out", "ragged.crfsuite:1: expected a cell with text"),
        ("in.txt --from text --to crfsuite -o out", "in.txt: expected 2 columns, found 1"),
    ] {
        refused(&place, line, 65, cause);
    }
    for (line, cause) in [
        ("in.txt --to gold", "--to"),
        ("in.txt --scheme bix", "--scheme"),
        ("in.txt --columns FORM", "--columns is for CoNLL-U"),
        ("range.conllu --columns FORM,POS", "POS is not one of FORM, LEMMA, UPOS"),
        ("range.conllu --columns FORM,FORM", "FORM is named twice"),
        ("in.txt --to conllu --columns FORM", "--columns FORM: in.txt has 2 columns"),
        ("wide.txt --to conllu", "--columns is needed"),
        ("in.txt --from text --scheme bio", "--scheme and --from-scheme are for labels"),
        ("in.txt --from segmented --from-scheme bio", "--from-scheme is for labels"),
        ("value.crfsuite --to text", "attributes and no words"),
        ("in.txt -p word", "--template is for attributes"),
    ] {
        refused(&place, line, 2, cause);
    }
    refused(&place, "none.txt", 66, "none.txt");
    refused(&place, "in.txt -o none/out", 74, "none/out");
    refused(&place, "in.txt -o .", 74, "not a plain file");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_device_is_a_status() {
    let place = Place::new();
    place.write("in.txt", "a X\n");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = place.command("convert in.txt").stdout(full).output().unwrap();
    assert_fails(&output, 74, "cannot write standard output");
}

#[test]
fn a_corpus_is_cut_into_a_first_part_and_the_rest() {
    let place = Place::new();
    place.write("all.txt", "一 二\n三\n四 五\n六\n七\n");
    let line = "convert --from segmented all.txt --first 60% -o train.seg --rest test.seg";
    assert_eq!(place.succeed(line), "");
    assert_eq!(place.text("train.seg"), "一 二\n三\n四 五\n");
    assert_eq!(place.text("test.seg"), "六\n七\n");
    assert_eq!(place.succeed("convert --from segmented all.txt --first 20%"), "一 二\n");
    let failed = place.run("convert --from segmented all.txt --first 5% -o none --rest r");
    assert_fails(&failed, 2, "--first 5% leaves nothing of 5 sentences");
    assert_fails(&place.run("convert all.txt --first 60"), 2, "expected a share such as 60%");
    assert_fails(&place.run("convert all.txt --rest r"), 2, "--first");
    place.write("in.conllu", CONLLU);
    assert_fails(&place.run("convert in.conllu --first 50%"), 2, "--first is for other formats");
    assert!(!place.names().iter().any(|name| name == "none" || name == "r"));
}

#[test]
fn trees_become_words_with_their_parts_of_speech() {
    let place = Place::new();
    let trees = "( (S\n    (NP-SBJ-1 (DT The) (NN cat) )\n    (VP (VBZ sits)\n\n      \
(S (-NONE- *-1) ))\n    (. .) ))\n( (NP (-LRB- -LRB-) (NN dog)))\n";
    place.write("wsj.mrg", trees);
    let columns = "The\tDT\ncat\tNN\nsits\tVBZ\n.\t.\n\n-LRB-\t-LRB-\ndog\tNN\n\n";
    assert_eq!(place.succeed("convert wsj.mrg --to columns"), columns);
    assert_eq!(place.succeed("convert wsj.mrg --to text"), "The cat sits .\n-LRB- dog\n");
    place.succeed("train crf -q wsj.mrg -p pos -f 1 --passes 3 -m m");
    let tagged = place.succeed("tag -q -m m wsj.mrg");
    assert_eq!(tagged.lines().next(), Some("The\tDT\tDT"));
    assert_fails(&place.run("convert wsj.mrg -o out.mrg"), 2, "trees can be read, but not written");
    for (text, cause) in [
        ("(S (NN a)", "bad.mrg:1: expected ) where a tree ends"),
        ("(S\n(NN a b))", "bad.mrg:2: expected (TAG WORD)"),
        ("(S (NN a))\nb", "bad.mrg:2: expected ( where a tree begins"),
        ("(S (NN a)))", "bad.mrg:1: expected ( where a tree begins"),
        ("(S ())", "bad.mrg:1: expected (TAG WORD)"),
        ("(S (-NONE- *))", "bad.mrg: expected"),
    ] {
        place.write("bad.mrg", text);
        assert_fails(&place.run("convert bad.mrg --to columns"), 65, cause);
    }
}

#[test]
fn lines_between_documents_are_no_tokens() {
    let place = Place::new();
    let text = "-DOCSTART- -X- O O\n\nEU NNP I-NP I-ORG\n\n-DOCSTART- -X- O O\nHe PRP I-NP O\n";
    place.write("eng.train", text);
    let kept = "EU NNP I-NP I-ORG\n\nHe PRP I-NP O\n\n";
    assert_eq!(place.succeed("convert eng.train"), kept);
    place.succeed("train crf -q eng.train -p ner -f 1 --passes 1 -m m");
    let labels = place.succeed("info m --json");
    assert!(labels.contains("\"scheme\":\"iob1\""), "{labels}");
    let tagged = place.succeed("tag -q -m m eng.train");
    assert_eq!(tagged.lines().filter(|line| !line.is_empty()).count(), 2);
    // The classic scorer counts them, and so does asyn eval.
    let score = place.succeed("eval eng.train");
    assert!(score.starts_with("processed 4 tokens"), "{score}");
}
