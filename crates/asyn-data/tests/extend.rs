//! Encoders made from others.

use std::collections::BTreeSet;

use asyn_data::{Corpus, Encoded, Encoder, Template, VocabularyOptions, planted, read_columns};

fn build(corpus: &Corpus, template: &str, rich_edges: bool) -> (Encoder, Vec<Encoded>) {
    let template = Template::parse("test", template).unwrap();
    let options =
        VocabularyOptions { rich_edges, edge_min_freq: 3, ..VocabularyOptions::default() };
    Encoder::build(corpus, template, &options).unwrap()
}

fn texts(encoder: &Encoder, ids: impl IntoIterator<Item = u32>) -> BTreeSet<String> {
    ids.into_iter().map(|id| encoder.attribute(id)).collect()
}

fn all(encoder: &Encoder) -> std::ops::Range<u32> {
    0..u32::try_from(encoder.n_attributes()).unwrap()
}

fn rich(encoder: &Encoder) -> std::ops::Range<u32> {
    0..u32::try_from(encoder.n_rich()).unwrap()
}

const TEMPLATE: &str = "U0:%x[0,0]\nU1:%x[-1,0]/%x[0,1]\nU2:%x[2,1]\nB\n";

#[test]
fn a_joined_encoder_has_what_both_have() {
    for (rich_here, rich_there) in [(true, true), (true, false), (false, true), (false, false)] {
        let here = planted::chunking(40, 1).corpus();
        let there = planted::chunking(60, 2).corpus();
        let (a, examples) = build(&here, TEMPLATE, rich_here);
        let (b, _) = build(&there, TEMPLATE, rich_there);
        let (joined, places) = a.join(&b, 1).unwrap();

        let both = &texts(&a, all(&a)) | &texts(&b, all(&b));
        assert_eq!(
            (texts(&joined, all(&joined)), joined.n_attributes()),
            (both.clone(), both.len())
        );
        let both_rich = &texts(&a, rich(&a)) | &texts(&b, rich(&b));
        assert_eq!(texts(&joined, rich(&joined)), both_rich);
        for (encoder, ids) in [(&a, &places.attributes), (&b, &places.other_attributes)] {
            assert_eq!(ids.len(), encoder.n_attributes());
            for (id, &place) in (0..).zip(ids) {
                assert_eq!(joined.attribute(place), encoder.attribute(id));
            }
        }
        assert_eq!(&joined.labels()[..a.labels().len()], a.labels());
        for (label, &id) in b.labels().iter().zip(&places.other_labels) {
            assert_eq!(&joined.labels()[usize::from(id)], label);
        }
        // Sentences that were encoded before are what the joined encoder makes of them, but for
        // attributes that only the other encoder has.
        let encoded = joined.encode(&here, 1).unwrap().sentences;
        let known: BTreeSet<u32> = places.attributes.iter().copied().collect();
        for (mut example, expected) in examples.into_iter().zip(encoded) {
            places.renumber(&mut example);
            assert_eq!(example.labels, expected.labels);
            for token in 0..example.n_tokens() {
                let expected = expected.attributes_of(token).iter().copied();
                let expected: Vec<u32> = expected.filter(|id| known.contains(id)).collect();
                assert_eq!(example.attributes_of(token), expected);
            }
        }
    }
}

#[test]
fn an_encoder_joined_with_itself_is_the_same() {
    let corpus = planted::chunking(40, 1).corpus();
    let (encoder, examples) = build(&corpus, TEMPLATE, true);
    let (joined, places) = encoder.join(&encoder, 2).unwrap();
    assert_eq!(places.attributes, places.other_attributes);
    assert_eq!(joined.encode(&corpus, 1).unwrap().sentences, examples);
}

#[test]
fn labels_and_padding_that_only_the_other_has_are_kept() {
    let here = read_columns("here", "a X\nb X\n".as_bytes()).unwrap();
    let there = read_columns("there", "c Y\n\nd X\n".as_bytes()).unwrap();
    let (a, _) = build(&here, "U0:%x[0,0]\n", false);
    let (b, _) = build(&there, "U0:%x[0,0]\n", false);
    let (joined, places) = a.join(&b, 1).unwrap();
    assert_eq!(
        (joined.labels(), places.other_labels.as_slice()),
        (["X".to_owned(), "Y".to_owned()].as_slice(), [1, 0].as_slice())
    );
    let encoded = joined.encode(&there, 1).unwrap();
    assert!(encoded.unknown_labels.is_empty());
    assert_eq!(encoded.sentences[0].attributes, places.other_attributes[..1]);
}

#[test]
fn a_selection_keeps_the_order_and_drops_the_rest() {
    let corpus = planted::chunking(40, 1).corpus();
    let (encoder, _) = build(&corpus, TEMPLATE, true);
    let ids: Vec<u32> = all(&encoder).filter(|id| id % 3 != 1).collect();
    let selected = encoder.select(&ids, 1);
    assert_eq!(selected.n_attributes(), ids.len());
    assert_eq!(selected.n_rich(), ids.iter().filter(|&&id| rich(&encoder).contains(&id)).count());
    for (place, &id) in (0..).zip(&ids) {
        assert_eq!(selected.attribute(place), encoder.attribute(id));
    }
    let encoded = selected.encode(&corpus, 1).unwrap().sentences;
    let whole = encoder.encode(&corpus, 1).unwrap().sentences;
    for (encoded, whole) in encoded.iter().zip(&whole) {
        let kept = whole.attributes.iter().filter_map(|id| ids.binary_search(id).ok());
        let kept: Vec<u32> = kept.map(|place| u32::try_from(place).unwrap()).collect();
        assert_eq!(encoded.attributes, kept);
    }
}
