//! The encoder against an oracle that builds, counts and sorts the strings of CRF++.

#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]

use std::collections::BTreeMap;
use std::path::Path;

use asyn_data::{
    Corpus, EncodeScratch, Encoded, Encoder, Error, ModelFile, Scheme, Template, UNKNOWN_LABEL,
    VocabularyOptions, open_columns, planted, read_columns,
};

/// Expands a line of a template at a token, character by character.
fn expand(corpus: &Corpus, line: &str, sentence_idx: usize, token: usize) -> String {
    let sentence = corpus.sentence(sentence_idx);
    let mut text = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("%x[") {
        text += &rest[..at];
        let end = at + rest[at..].find(']').unwrap();
        let (row, column) = rest[at + 3..end].split_once(',').unwrap();
        let position = i64::try_from(token).unwrap() + row.parse::<i64>().unwrap();
        let length = i64::try_from(sentence.len()).unwrap();
        if position < 0 {
            text += &format!("_B{position}");
        } else if position >= length {
            text += &format!("_B+{}", position - length + 1);
        } else {
            let token = usize::try_from(position).unwrap();
            text += sentence.column(token, column.parse().unwrap());
        }
        rest = &rest[end + 1..];
    }
    text + rest
}

/// Returns the attributes of every token, in the order of the template.
fn strings(corpus: &Corpus, template: &str) -> Vec<Vec<Vec<String>>> {
    let lines: Vec<&str> = template
        .lines()
        .filter(|line| line.starts_with('U') || line.starts_with('B') && line.contains('%'))
        .collect();
    (0..corpus.n_sentences())
        .map(|sentence| {
            let tokens = 0..corpus.sentence(sentence).len();
            let expand_all =
                |token| lines.iter().map(|line| expand(corpus, line, sentence, token)).collect();
            tokens.map(expand_all).collect()
        })
        .collect()
}

/// Returns the attributes that are kept, in the order of their ids, and the number of rich ones.
fn vocabulary(
    sentences: &[Vec<Vec<String>>],
    options: &VocabularyOptions<'_>,
) -> (Vec<String>, usize) {
    let mut counts: BTreeMap<&str, (u32, usize)> = BTreeMap::new();
    for (position, attribute) in sentences.iter().flatten().flatten().enumerate() {
        counts.entry(attribute).or_insert((0, position)).0 += 1;
    }
    let mut kept: Vec<(bool, i64, usize, &str)> = counts
        .into_iter()
        .filter(|&(_, (count, _))| count >= options.min_freq)
        .map(|(attribute, (count, first))| {
            let is_frequent = options.rich_edges && count >= options.edge_min_freq;
            let is_rich = attribute.starts_with('B') || is_frequent;
            (!is_rich, -i64::from(count), first, attribute)
        })
        .collect();
    kept.sort_unstable();
    let n_rich = kept.iter().filter(|(is_plain, ..)| !is_plain).count();
    (kept.into_iter().map(|(.., attribute)| attribute.to_owned()).collect(), n_rich)
}

#[track_caller]
fn check(corpus: &Corpus, test: &Corpus, template: &str, options: &VocabularyOptions<'_>) {
    let strings_of_train = strings(corpus, template);
    let (expected, n_rich) = vocabulary(&strings_of_train, options);
    let parsed = Template::parse("template", template).unwrap();
    let (encoder, examples) = Encoder::build(corpus, parsed, options).unwrap();
    let n_attributes = u32::try_from(encoder.n_attributes()).unwrap();
    let actual: Vec<String> = (0..n_attributes).map(|id| encoder.attribute(id)).collect();
    assert_eq!(actual, expected);
    assert_eq!(encoder.n_rich(), n_rich);

    let ids: BTreeMap<&str, u32> = expected.iter().map(String::as_str).zip(0..).collect();
    let check_ids = |encoded: &[Encoded], strings: &[Vec<Vec<String>>]| {
        assert_eq!(encoded.len(), strings.len());
        for (encoded, tokens) in encoded.iter().zip(strings) {
            assert_eq!(encoded.n_tokens(), tokens.len());
            for (token, attributes) in tokens.iter().enumerate() {
                let found = attributes.iter().filter_map(|text| ids.get(text.as_str()).copied());
                let mut expected: Vec<u32> = found.collect();
                expected.sort_unstable();
                assert_eq!(encoded.attributes_of(token), expected);
            }
        }
    };
    check_ids(&examples, &strings_of_train);
    assert_eq!(encoder.encode(corpus, 2).unwrap().sentences, examples);
    let encoded = encoder.encode(test, options.threads).unwrap().sentences;
    check_ids(&encoded, &strings(test, template));

    let mut model = ModelFile::new("test");
    encoder.to_tensors(&mut model);
    let loaded = Encoder::from_tensors(&model, 2).unwrap();
    assert_eq!(loaded.encode(test, 1).unwrap().sentences, encoded);
    assert_eq!(loaded.labels(), encoder.labels());
    assert_eq!(loaded.scheme(), encoder.scheme());
    assert_eq!(loaded.written_labels(), encoder.written_labels());
    assert_eq!(
        (loaded.n_attributes(), loaded.n_rich(), loaded.n_columns()),
        (encoder.n_attributes(), encoder.n_rich(), encoder.n_columns())
    );
    let mut again = ModelFile::new("test");
    loaded.to_tensors(&mut again);
    assert_eq!(again, model);
}

#[test]
fn attributes_are_those_of_the_strings() {
    let train = planted::chunking(60, 1).corpus();
    let test = planted::chunking(20, 2).corpus();
    let templates = [
        Template::builtin("chunking").unwrap().text().to_owned(),
        // Shared weights, a line twice, none and four references, edges, far rows.
        "U:%x[0,0]\nU:%x[-1,1]\nU:%x[0,1]\nU:%x[0,0]\nUbias\nB1:%x[0,1]\nB\n\
         U9:%x[-3,0]%x[4,1]%x[0,0]|%x[0,1]\nB2:%x[0,0]/%x[-1,0]\n"
            .to_owned(),
        "B\n".to_owned(),
    ];
    for template in &templates {
        for (min_freq, rich_edges, threads) in [(0, false, 1), (2, true, 2), (3, false, 3)] {
            let options = VocabularyOptions {
                min_freq,
                rich_edges,
                edge_min_freq: 4,
                lexicon: "",
                scheme: None,
                threads,
            };
            check(&train, &test, template, &options);
        }
    }
}

#[test]
fn labels_are_numbered_by_first_occurrence_and_unknown_ones_are_counted() {
    let train = read_columns("train", "a B-X\nb O\nc B-X\n\nd I-X\n".as_bytes()).unwrap();
    let template = Template::builtin("word").unwrap();
    let (encoder, examples) =
        Encoder::build(&train, template, &VocabularyOptions::default()).unwrap();
    assert_eq!(encoder.labels(), ["B-X", "O", "I-X"]);
    assert_eq!(examples[0].labels, [0, 1, 0]);
    assert_eq!(examples[1].labels, [2]);
    let test = read_columns("test", "a NEW\nb O\n\nq NEW\n".as_bytes()).unwrap();
    let encoded = encoder.encode(&test, 2).unwrap();
    assert_eq!(encoded.sentences[0].labels, [UNKNOWN_LABEL, 1]);
    assert_eq!(encoded.unknown_labels, BTreeMap::from([("NEW".to_owned(), 2)]));
}

#[test]
fn a_sentence_without_labels_can_be_encoded() {
    let train = planted::chunking(5, 1).corpus();
    let template = Template::builtin("word").unwrap();
    let (encoder, examples) =
        Encoder::build(&train, template, &VocabularyOptions::default()).unwrap();
    let words: String = train.sentences().next().unwrap().labels().map(|_| "x\n").collect();
    let words = read_columns("words", words.as_bytes()).unwrap();
    encoder.check_columns(&words).unwrap();
    let mut scratch = EncodeScratch::default();
    let mut encoded = Encoded::default();
    encoder.encode_sentence(&words.sentence(0), &mut scratch, &mut encoded);
    assert_eq!(encoded.n_tokens(), examples[0].n_tokens());
    assert!(encoded.labels.is_empty());
    assert!(matches!(
        encoder.encode(&words, 1),
        Err(Error::Columns { expected: 3, actual: 1, .. })
    ));
}

#[test]
fn data_and_template_must_fit() {
    let narrow = read_columns("narrow", "a\nb\n".as_bytes()).unwrap();
    let options = VocabularyOptions::default();
    let error = Encoder::build(&narrow, Template::builtin("word").unwrap(), &options).unwrap_err();
    assert_eq!(error.to_string(), "narrow: expected 2 columns, found 1");
    let pairs = read_columns("pairs", "a O\nb O\n".as_bytes()).unwrap();
    let chunking = Template::builtin("chunking").unwrap();
    let error = Encoder::build(&pairs, chunking, &options).unwrap_err();
    assert!(matches!(error, Error::Template { .. }), "{error}");
}

#[test]
fn a_model_file_with_a_damaged_encoder_is_refused() {
    let train = planted::chunking(5, 1).corpus();
    let template = Template::builtin("word").unwrap();
    let (encoder, _) = Encoder::build(&train, template, &VocabularyOptions::default()).unwrap();
    let mut whole = ModelFile::new("test");
    encoder.to_tensors(&mut whole);
    let names: Vec<String> = whole.blobs.keys().chain(whole.metadata.keys()).cloned().collect();
    // Files of earlier versions have no scheme.
    let names = names.into_iter().filter(|name| name != "encoder.scheme");
    let names: Vec<String> = names.collect();
    assert_eq!(names.len(), 7);
    for name in names {
        let mut model = whole.clone();
        model.blobs.remove(&name);
        model.metadata.remove(&name);
        assert!(Encoder::from_tensors(&model, 1).is_err(), "without {name}");
        let mut model = whole.clone();
        if name != "encoder.template_name" {
            model.blobs.entry(name.clone()).and_modify(|bytes| bytes.extend(b"\xff\xff\xff\xff"));
            model.metadata.entry(name.clone()).and_modify(|text| *text = "1000000000000x".into());
            assert!(Encoder::from_tensors(&model, 1).is_err(), "with more of {name}");
        }
    }
}

#[test]
fn the_conll_2000_training_set_has_the_attributes_of_the_template() {
    let Some(data) = std::env::var_os("ASYN_DATA") else {
        println!("skipped: ASYN_DATA is not set");
        return;
    };
    let corpus = open_columns(Path::new(&data).join("conll2000/train.txt.gz")).unwrap();
    assert_eq!((corpus.n_sentences(), corpus.n_tokens()), (8_936, 211_727));
    let template = Template::builtin("chunking").unwrap();
    let options = VocabularyOptions { threads: 2, ..VocabularyOptions::default() };
    let (encoder, examples) = Encoder::build(&corpus, template, &options).unwrap();
    assert_eq!(encoder.n_attributes(), 338_551);
    assert_eq!(encoder.labels().len(), 22);
    let n_ids: usize = examples.iter().map(|example| example.attributes.len()).sum();
    assert_eq!(n_ids, 19 * corpus.n_tokens());
}

#[test]
fn the_scheme_of_the_corpus_is_known_where_all_its_sequences_keep_to_it() {
    let scheme = |labels: &str| {
        let text: String = labels.split(' ').map(|label| format!("w {label}\n")).collect();
        let corpus = read_columns("corpus", text.replace("w /", "").as_bytes()).unwrap();
        let template = Template::builtin("word").unwrap();
        let options = VocabularyOptions::default();
        Encoder::build(&corpus, template, &options).unwrap().0.scheme()
    };
    assert_eq!(scheme("B-X I-X O / B-X B-X"), Some(Scheme::Iob2));
    assert_eq!(scheme("I-X I-X O / I-X B-X"), Some(Scheme::Iob1));
    assert_eq!(scheme("I-X O / B-X I-X"), None);
    assert_eq!(scheme("B-X E-X / S-X O"), Some(Scheme::Iobes));
    assert_eq!(scheme("B-X I-X / S-X O"), None);
    assert_eq!(scheme("B M E / S"), Some(Scheme::Bmes));
    assert_eq!(scheme("NN VB / NN"), None);
}

#[test]
fn labels_are_learned_in_another_scheme_and_written_in_their_own() {
    let text = "a B-X\nb I-X\nc B-X\nd O\n\na O\nb B-Y\nc I-Y\nd I-Y\n";
    let corpus = read_columns("corpus", text.as_bytes()).unwrap();
    let template = || Template::builtin("word").unwrap();
    let options = VocabularyOptions { scheme: Some(Scheme::Iobes), ..Default::default() };
    let (encoder, examples) = Encoder::build(&corpus, template(), &options).unwrap();
    assert_eq!(encoder.labels(), ["B-X", "E-X", "S-X", "O", "B-Y", "I-Y", "E-Y"]);
    assert_eq!((encoder.scheme(), encoder.written_id("S-X")), (options.scheme, UNKNOWN_LABEL));
    assert_eq!(encoder.encode(&corpus, 1).unwrap().sentences, examples);
    for (sentence, example) in corpus.sentences().zip(&examples) {
        let mut written = Vec::new();
        encoder.spell(&example.labels, &mut written);
        let written = written.iter().map(|&id| encoder.written_labels()[usize::from(id)].as_str());
        assert!(written.eq(sentence.labels()));
    }

    let mut model = ModelFile::new("test");
    encoder.to_tensors(&mut model);
    let loaded = Encoder::from_tensors(&model, 1).unwrap();
    assert_eq!(loaded.written_labels(), ["B-X", "I-X", "O", "B-Y", "I-Y"]);
    model.metadata.insert("encoder.written".to_owned(), "iob7".to_owned());
    assert!(Encoder::from_tensors(&model, 1).is_err());

    let tags = read_columns("tags", "a NN\n".as_bytes()).unwrap();
    let refused = Encoder::build(&tags, template(), &options).unwrap_err();
    assert!(refused.to_string().starts_with("tags:1: expected O or a letter"), "{refused}");
}

#[test]
fn pieces_of_a_sentence_hold_what_it_holds() {
    let text = "a O\nb O\nc O\nd O\ne O\nf O\ng O\n";
    let corpus = read_columns("corpus", text.as_bytes()).unwrap();
    let template = Template::parse("template", "U:%x[0,0]\nU:%x[0,0]/%x[1,0]\nB\n").unwrap();
    let (_, mut examples) = Encoder::build(&corpus, template, &Default::default()).unwrap();
    let whole = examples.remove(0);
    assert_eq!(whole.clone().into_pieces(7), std::slice::from_ref(&whole));
    let pieces = whole.clone().into_pieces(3);
    assert_eq!(pieces.iter().map(Encoded::n_tokens).collect::<Vec<_>>(), [2, 2, 3]);
    let tokens =
        pieces.iter().flat_map(|piece| (0..piece.n_tokens()).map(|i| piece.attributes_of(i)));
    assert!(tokens.eq((0..7).map(|token| whole.attributes_of(token))));
    assert_eq!(pieces.iter().flat_map(|it| it.labels.clone()).collect::<Vec<_>>(), whole.labels);
}
