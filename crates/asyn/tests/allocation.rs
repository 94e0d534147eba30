//! A tagger is shared by threads, and labelling allocates nothing once the scratch memory is warm.

#![allow(unsafe_code, reason = "an allocator that counts is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use asyn::core::{Adf, Trainer};
use asyn::data::{Encoder, Grammar, Scheme, Template, TokenEncoder, VocabularyOptions, planted};
use asyn::models::{BiLstmSpec, Characters, Constraints, Initial, OutputLayer};
use asyn::{SequenceModel, Tagger};

thread_local! {
    static N_ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, which counts for each thread what it is asked for.
struct Counting;

// SAFETY: every call is passed on to the system's allocator as it came; counting beside it touches
// memory of the thread alone, and allocates nothing, since the counter needs no initialisation.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the promises of this same function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the promises of this same function.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the promises of this same function.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Counts an allocation of this thread.
fn count() {
    // A thread that ends may free and allocate when its counter is gone.
    let _ = N_ALLOCATIONS.try_with(|counter| counter.set(counter.get() + 1));
}

/// Returns how often `work` allocates on this thread.
fn n_allocations(work: impl FnOnce()) -> usize {
    let before = N_ALLOCATIONS.get();
    work();
    N_ALLOCATIONS.get() - before
}

/// A Bi-LSTM of planted chunks, untrained.
fn network(output: OutputLayer) -> Tagger {
    let train = planted::chunking(100, 3).corpus();
    let template = Template::builtin("words-tags").unwrap();
    let (encoder, _) = Encoder::build(&train, template, &VocabularyOptions::default()).unwrap();
    let columns = TokenEncoder::new(&encoder, &train, true);
    let spec = BiLstmSpec {
        columns: Vec::new(),
        characters: Some(Characters { rows: 0, width: 6, hidden: 5 }),
        hidden: 16,
        layers: 2,
        labels: 0,
        output,
        dropout: 0.3,
        unknown: 0.5,
        initial: Initial::Orthogonal,
    };
    let model = SequenceModel::bilstm_of(&encoder, columns, &[16, 8, 4], spec).unwrap();
    Tagger::new(encoder, model, 1)
}

#[test]
fn a_network_allocates_nothing_behind_the_longest_sentence() {
    let test = planted::chunking(60, 9).corpus();
    for output in [OutputLayer::Softmax, OutputLayer::Crf] {
        let tagger = shared(network(output));
        let mut labeller = tagger.labeller();
        let mut label_all = || {
            for sentence in test.sentences() {
                assert_eq!(labeller.label(&sentence).len(), sentence.len());
            }
        };
        assert!(n_allocations(&mut label_all) > 0);
        assert_eq!(n_allocations(&mut label_all), 0, "{output:?}");
    }
}

fn shared<T: Send + Sync>(value: T) -> T {
    value
}

/// A tagger of planted chunks.
fn tagger(rich_edges: bool) -> Tagger {
    let train = planted::chunking(100, 3).corpus();
    let template = Template::builtin("chunking").unwrap();
    let options = VocabularyOptions { rich_edges, ..VocabularyOptions::default() };
    let (encoder, examples) = Encoder::build(&train, template, &options).unwrap();
    let mut tagger = Tagger::untrained(encoder).unwrap();
    let trainer = Trainer::builder().update(Adf::default()).passes(1).build().unwrap();
    tagger.fit(&trainer, &examples, &mut ()).unwrap();
    tagger
}

#[test]
fn labelling_allocates_nothing_behind_the_longest_sentence() {
    let test = planted::chunking(60, 9).corpus();
    for rich_edges in [false, true] {
        let tagger = shared(tagger(rich_edges));
        let grammar = Grammar::of_scheme(Scheme::Iob2, tagger.encoder().labels());
        let valid = Constraints { grammar: Some(&grammar), ..Constraints::default() };
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut labeller = tagger.labeller();
                    let mut label_all = || {
                        for sentence in test.sentences() {
                            let n_labels = labeller.label(&sentence).len();
                            assert_eq!(n_labels, sentence.len());
                            let found = labeller.label_with_confidence(&sentence, valid);
                            let (_, confidences) = found.unwrap();
                            assert!(confidences.iter().all(|p| *p > 0.0));
                            assert!(labeller.label_within(&sentence, valid).is_some());
                            assert!(labeller.lattice(&sentence, valid).is_possible());
                        }
                    };
                    assert!(n_allocations(&mut label_all) > 0);
                    assert_eq!(n_allocations(&mut label_all), 0);
                });
            }
        });
    }
}
