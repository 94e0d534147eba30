//! What the macros of templates read, in training and afterwards, and what a model file keeps of it.

use asyn_data::{
    Corpus, EncodeScratch, Encoded, Encoder, ModelFile, Template, VocabularyOptions, read_columns,
};

fn corpus(text: &str) -> Corpus {
    read_columns("test", text.as_bytes()).unwrap()
}

fn build(corpus: &Corpus, template: &str, lexicon: &str) -> (Encoder, Vec<Encoded>) {
    let template = Template::parse("test", template).unwrap();
    let options = VocabularyOptions { lexicon, ..VocabularyOptions::default() };
    Encoder::build(corpus, template, &options).unwrap()
}

/// Returns the attributes of every token of the first sentence, from the counting pass, after it
/// has checked that the encoder makes the same of it on its own and out of a model file.
fn attributes(corpus: &Corpus, template: &str, lexicon: &str) -> Vec<Vec<String>> {
    let (encoder, examples) = build(corpus, template, lexicon);
    assert_eq!(encoder.encode(corpus, 1).unwrap().sentences, examples);
    let mut model = ModelFile::new("test");
    encoder.to_tensors(&mut model);
    let bytes = model.to_bytes().unwrap();
    let model = ModelFile::from_bytes("memory", &bytes, "test").unwrap();
    let loaded = Encoder::from_tensors(&model, 2).unwrap();
    assert_eq!(loaded.encode(corpus, 2).unwrap().sentences, examples);
    texts(&encoder, &examples[0])
}

fn texts(encoder: &Encoder, sentence: &Encoded) -> Vec<Vec<String>> {
    (0..sentence.n_tokens())
        .map(|token| {
            let ids = sentence.attributes_of(token).iter();
            let mut texts: Vec<String> = ids.map(|&id| encoder.attribute(id)).collect();
            texts.sort_unstable();
            texts
        })
        .collect()
}

/// Returns what one macro reads at each of some words, and `-` where it reads nothing.
fn read(macro_text: &str, words: &str) -> Vec<String> {
    let text: String = words.split(' ').map(|word| format!("{word} O\n")).collect();
    let tokens = attributes(&corpus(&text), &format!("U:{macro_text}\n"), "");
    let read = |texts: Vec<String>| texts.first().map_or("-".to_owned(), |text| text[2..].into());
    tokens.into_iter().map(read).collect()
}

#[test]
fn affixes_are_cut_between_characters() {
    assert_eq!(
        read("%prefix[0,0,2]", "Ärzte élan 中国人 x naïve"),
        ["Är", "él", "中国", "x", "na"]
    );
    assert_eq!(read("%suffix[0,0,2]", "Büß élan 中国人 x café"), ["üß", "an", "国人", "x", "fé"]);
    assert_eq!(read("%suffix[0,0,64]", "größer"), ["größer"]);
}

#[test]
fn shapes_and_cases_are_those_of_unicode() {
    let words = "Ärzte-KAMMER 3,5% ΣΊΣΥΦΟΣ 中国1998 ǅ";
    assert_eq!(read("%shape[0,0]", words), ["Aaaaa-AAAAAA", "0,0%", "AAAAAAA", "xx0000", "x"]);
    assert_eq!(read("%short[0,0]", words), ["Aa-A", "0,0%", "A", "x0", "x"]);
    assert_eq!(read("%lower[0,0]", words), ["ärzte-kammer", "3,5%", "σίσυφοσ", "中国1998", "ǆ"]);
}

#[test]
fn a_property_makes_an_attribute_where_a_word_has_it() {
    let words = "Übergröße USA iPhone A4 x‑y 中、国 ५";
    let has = |property: &str| read(&format!("%has[0,0,{property}]"), words).join(" ");
    assert_eq!(has("digit"), "- - - digit - - digit");
    assert_eq!(has("hyphen"), "- - - - hyphen - -");
    assert_eq!(has("punctuation"), "- - - - punctuation punctuation -");
    assert_eq!(has("upper"), "upper upper upper upper - - -");
    assert_eq!(has("capital"), "capital capital - capital - - -");
    assert_eq!(has("caps"), "- caps - caps - - -");
}

#[test]
fn characters_have_classes() {
    assert_eq!(
        read("%type[0,0]", "中 々 7 7 九 x é ẞ X 。 - ひ д 😀 𠀀"),
        "han han digit digit han latin latin latin latin punctuation punctuation other other \
         punctuation han"
            .split(' ')
            .collect::<Vec<_>>()
    );
}

#[test]
fn repetition_holds_inside_of_the_sentence_only() {
    assert_eq!(read("%same[0,1,0]", "高 高 兴 兴"), ["same", "-", "same", "-"]);
    assert_eq!(read("%same[-1,1,0]", "é é é a é"), ["-", "same", "-", "same", "-"]);
    assert_eq!(read("%same[-3,-2,0]", "a a"), ["-", "-"]);
    assert_eq!(read("%same[2,64,0]", "a a"), ["-", "-"]);
}

#[test]
fn padding_is_that_of_crf_plus_plus_whatever_the_function() {
    for name in ["x", "lower", "shape", "short", "type"] {
        let before = read(&format!("%{name}[-2,0]"), "ä ö ü");
        assert_eq!(before[..2], ["_B-2", "_B-1"], "{name}");
        let behind = read(&format!("%{name}[2,0]"), "ä ö ü");
        assert_eq!(behind[1..], ["_B+1", "_B+2"], "{name}");
    }
    assert_eq!(read("%suffix[1,0,1]", "ä"), ["_B+1"]);
    assert_eq!(read("%has[1,0,upper]", "ä"), ["-"]);
}

#[test]
fn macros_join_with_others_and_share_weights_as_texts_do() {
    let corpus = corpus("Aß T O\nBß T O\n");
    let template = "U1:%suffix[0,0,1]/%x[0,1]/%prefix[-1,0,1]\nU:%x[0,1]\nU:%prefix[0,1,1]\n\
                    U2:%has[1,0,capital]+%x[0,0]\nB3:%lower[0,0]\nB\n";
    assert_eq!(
        attributes(&corpus, template, ""),
        [
            vec!["B3:aß", "U1:ß/T/_B-1", "U2:capital+Aß", "U:T", "U:T"],
            vec!["B3:bß", "U1:ß/T/A", "U:T", "U:T"],
        ]
    );
}

#[test]
fn words_are_frequent_chunks_of_the_training_labels_and_those_of_the_lexicon() {
    // 中国 is a word three times, 人民 twice, 国人 never.
    let text = "中 B\n国 E\n人 B\n民 E\n\n中 B\n国 E\n人 S\n\n中 B\n国 E\n人 B\n民 E\n\n";
    let corpus = corpus(text);
    let template = "U1:%word[-1,0]\nU2:%known[0,1]\nU3:%word[0,1]/%x[2,0]\nB\n";
    assert_eq!(
        attributes(&corpus, template, ""),
        [vec!["U2:known", "U3:中国/人"], vec!["U1:中国"], vec![], vec![]]
    );
    assert_eq!(
        attributes(&corpus, template, "国人\n\n 人 民 \r\n"),
        [
            vec!["U2:known", "U3:中国/人"],
            vec!["U1:中国", "U2:known", "U3:国人/民"],
            vec!["U1:国人", "U2:known", "U3:人民/_B+1"],
            vec!["U1:人民"]
        ]
    );
}

#[test]
fn a_loaded_model_looks_up_words_that_training_never_met_in_text() {
    let train = corpus("甲 B\n乙 E\n\n甲 B\n乙 E\n\n甲 B\n乙 E\n\n");
    let (encoder, _) = build(&train, "U:%known[0,1]\nB\n", "丙丁\n");
    let mut model = ModelFile::new("test");
    encoder.to_tensors(&mut model);
    let loaded = Encoder::from_tensors(&model, 1).unwrap();
    let test = corpus("丙\n丁\n丙\n");
    let mut encoded = Encoded::default();
    let mut scratch = EncodeScratch::default();
    for encoder in [&encoder, &loaded] {
        encoder.encode_sentence(&test.sentence(0), &mut scratch, &mut encoded);
        assert_eq!(texts(encoder, &encoded), [vec!["U:known"], vec![], vec![]]);
    }
    model.blobs.remove("encoder.dictionary");
    let error = Encoder::from_tensors(&model, 1).unwrap_err().to_string();
    assert!(error.contains("encoder.dictionary"), "{error}");
}

#[test]
fn a_template_of_crf_plus_plus_runs_as_it_is() {
    // The forms of its manual: comments, identifiers, several cells, a bag of words, a bare B.
    let template = "# Unigram\nU00:%x[-2,0]\nU05:%x[-1,0]/%x[0,0]\nU20:%x[-2,1]/%x[-1,1]/%x[0,1]\n\
                    U:%x[-1,0]\nU:%x[1,0]\nU\n\n# Bigram\nB\nB01:%x[0,1]\n";
    let corpus = corpus("He PRP B-NP\nreckons VBZ B-VP\nthe DT B-NP\n");
    assert!(Template::parse("test", template).unwrap().has_transitions());
    assert_eq!(
        attributes(&corpus, template, ""),
        [
            vec![
                "B01:PRP",
                "U",
                "U00:_B-2",
                "U05:_B-1/He",
                "U20:_B-2/_B-1/PRP",
                "U:_B-1",
                "U:reckons"
            ],
            vec!["B01:VBZ", "U", "U00:_B-1", "U05:He/reckons", "U20:_B-1/PRP/VBZ", "U:He", "U:the"],
            vec![
                "B01:DT",
                "U",
                "U00:He",
                "U05:reckons/the",
                "U20:PRP/VBZ/DT",
                "U:_B+1",
                "U:reckons"
            ],
        ]
    );
}
