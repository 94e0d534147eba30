//! Any bytes are a model of CRFsuite or an error, and what is read fits together.
//!
//! ```text
//! cargo +nightly fuzz run crfsuite_model fuzz/corpus/crfsuite_model crates/asyn-data/tests/fuzz_corpus/crfsuite_model
//! ```

#![no_main]

use asyn_data::import_crfsuite;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(model) = import_crfsuite("fuzz", bytes, 4) {
        let (n_labels, n) = (model.encoder.labels().len(), model.encoder.n_attributes());
        assert!(model.edges.iter().all(|&(previous, _, _)| usize::from(previous) < n_labels));
        assert!(model.nodes.iter().all(|&(attribute, _, _)| (attribute as usize) < n));
    }
});
