//! Tag schemes: chunks survive every conversion, and repairs say where labels do not follow their
//! scheme.

#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]

use asyn_data::spans::{Span, spans};
use asyn_data::{Scheme, read_columns};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// Chunks of up to four tokens, with gaps of up to two between them, and the number of tokens.
fn chunks() -> impl Strategy<Value = (Vec<Span<'static>>, usize)> {
    let kind = prop_oneof![Just("NP"), Just("VP"), Just(""), Just("B-C")];
    vec((0_usize..3, 1_usize..5, kind), 0..8).prop_map(|chunks| {
        let mut end = 0;
        let mut placed = Vec::new();
        for (gap, length, kind) in chunks {
            let start = end + gap;
            end = start + length;
            placed.push(Span { start, end, kind });
        }
        (placed, end + 1)
    })
}

/// Labels of any scheme in any order, some of them of no type.
fn any_labels() -> impl Strategy<Value = Vec<String>> {
    let label = prop_oneof![Just("O".to_owned()), "[BIESLUM](-[XY])?"];
    vec(label, 1..9)
}

fn config() -> ProptestConfig {
    ProptestConfig {
        rng_seed: RngSeed::Fixed(23),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn allows_all(scheme: Scheme, labels: &[String]) -> bool {
    let mut ends = vec![None];
    ends.extend(labels.iter().map(|label| Some(label.as_str())));
    ends.push(None);
    ends.windows(2).all(|pair| scheme.allows(pair[0], pair[1]))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn valid_labels_come_back_from_every_scheme((chunks, n_tokens) in chunks()) {
        for from in Scheme::ALL {
            let labels = from.labels(chunks.iter().copied(), n_tokens);
            prop_assert_eq!(spans(labels.iter().map(String::as_str)), chunks.clone());
            prop_assert!(allows_all(from, &labels), "{from:?} {labels:?}");
            for to in Scheme::ALL {
                let there = to.respell(&labels).unwrap();
                prop_assert_eq!(&there, &to.labels(chunks.iter().copied(), n_tokens));
                prop_assert_eq!(&from.respell(&there).unwrap(), &labels);
            }
        }
    }

    #[test]
    fn a_scheme_allows_exactly_what_it_would_spell_itself(labels in any_labels()) {
        for scheme in Scheme::ALL {
            let is_spelt = scheme.respell(&labels).unwrap() == labels;
            prop_assert_eq!(allows_all(scheme, &labels), is_spelt, "{:?} {:?}", scheme, labels);
        }
    }

    #[test]
    fn repairs_are_the_labels_that_change(labels in any_labels()) {
        let text: String = labels.iter().map(|label| format!("w {label}\n")).collect();
        let corpus = read_columns("file", text.as_bytes()).unwrap();
        for scheme in Scheme::ALL {
            let spelt = scheme.respell(&labels).unwrap();
            let changed: Vec<u64> =
                (0..labels.len()).filter(|&i| spelt[i] != labels[i]).map(|i| i as u64 + 1).collect();
            let repairs = scheme.repairs(&corpus).unwrap();
            prop_assert_eq!(repairs.iter().map(|repair| repair.line).collect::<Vec<_>>(), changed);
        }
    }
}

#[test]
fn chunks_begin_and_end_where_the_classic_scorer_says() {
    // An I behind O or another type begins a chunk.
    let spelt = Scheme::Iob2.respell(&["I-NP", "I-NP", "I-VP", "O", "I-NP"]).unwrap();
    assert_eq!(spelt, ["B-NP", "I-NP", "B-VP", "O", "B-NP"]);
    let spelt = Scheme::Iob1.respell(&["B-NP", "B-NP", "B-VP", "O", "B-NP"]).unwrap();
    assert_eq!(spelt, ["I-NP", "B-NP", "I-VP", "O", "I-NP"]);
    assert_eq!(Scheme::Bmes.respell(&["B", "I", "I", "B"]).unwrap(), ["B", "M", "E", "S"]);
    assert_eq!(Scheme::Iob2.respell(&["NN"]), None);
}

#[test]
fn a_scheme_is_guessed_from_its_labels() {
    for (labels, scheme) in [
        (&["O", "B-NP", "I-NP", "B-VP"][..], Some(Scheme::Iob2)),
        (&["O", "I-NP", "I-VP", "B-VP"], Some(Scheme::Iob1)),
        (&["B-NP", "I-NP", "E-NP", "S-NP", "O"], Some(Scheme::Iobes)),
        (&["B-NP", "L-NP", "U-NP"], Some(Scheme::Bilou)),
        (&["B", "M", "E", "S"], Some(Scheme::Bmes)),
        (&["B", "I"], Some(Scheme::Iob2)),
        (&["B-NP", "M-NP", "I-NP"], None),
        (&["NN", "VB"], None),
        (&["B-NP", "NN"], None),
    ] {
        assert_eq!(Scheme::guess(labels), scheme, "{labels:?}");
    }
}

#[test]
fn the_order_of_labels_tells_iob1_from_iob2() {
    let of = |text: &str| Scheme::of_corpus(&read_columns("file", text.as_bytes()).unwrap());
    assert_eq!(of("a B-NP\nb I-NP\nc B-NP\n"), Some(Scheme::Iob2));
    assert_eq!(of("a I-NP\nb I-NP\nc B-NP\n"), Some(Scheme::Iob1));
    assert_eq!(of("a I-NP\nb E-NP\nc B-NP\nd E-NP\n"), Some(Scheme::Iobes));
    assert_eq!(of("a O\n"), Some(Scheme::Iob2));
    assert_eq!(of("a NN\n"), None);
}

#[test]
fn a_label_of_no_scheme_is_refused_with_its_line() {
    let mut corpus = read_columns("file", "a B-NP\n\nb O\nc NN\n".as_bytes()).unwrap();
    let expected =
        "file:4: expected O or a letter of a tag scheme with a type, such as B-NP, found NN";
    assert_eq!(Scheme::Iob2.repairs(&corpus).unwrap_err().to_string(), expected);
    assert_eq!(Scheme::Iob2.convert(&mut corpus).unwrap_err().to_string(), expected);
}

#[test]
fn real_corpora_come_back_from_every_scheme() {
    let Some(data) = std::env::var_os("ASYN_DATA") else {
        println!("skipped: ASYN_DATA is not set");
        return;
    };
    let data = std::path::Path::new(&data);
    // One name of the second corpus begins with I.
    for (file, lines) in [("conll2000/test.txt", vec![]), ("conll2002-esp/esp.testa", vec![30_882])]
    {
        let mut corpus = asyn_data::open_columns(data.join(file)).unwrap();
        assert_eq!(Scheme::of_corpus(&corpus), Some(Scheme::Iob2));
        let repairs = Scheme::Iob2.repairs(&corpus).unwrap();
        assert_eq!(repairs.iter().map(|repair| repair.line).collect::<Vec<_>>(), lines);
        Scheme::Iob2.convert(&mut corpus).unwrap();
        let labels = |corpus: &asyn_data::Corpus| -> Vec<String> {
            corpus.sentences().flat_map(|s| s.labels()).map(str::to_owned).collect()
        };
        for scheme in Scheme::ALL {
            let mut there = corpus.clone();
            scheme.convert(&mut there).unwrap();
            assert_eq!(scheme.repairs(&there).unwrap(), []);
            Scheme::Iob2.convert(&mut there).unwrap();
            assert_eq!(labels(&there), labels(&corpus));
        }
    }
}
