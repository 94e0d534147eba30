//! Any text is a text model of CRF++ or an error, and what is read fits together.
//!
//! ```text
//! cargo +nightly fuzz run crfpp_model fuzz/corpus/crfpp_model crates/asyn-data/tests/fuzz_corpus/crfpp_model
//! ```

#![no_main]

use asyn_data::import_crfpp;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(model) = import_crfpp("fuzz", text) {
        let (n, n_rich) = (model.encoder.n_attributes(), model.encoder.n_rich());
        assert!(
            model
                .nodes
                .iter()
                .all(|&(attribute, _, _)| (n_rich..n).contains(&(attribute as usize)))
        );
        assert!(model.rich.iter().all(|&(attribute, _, _, _)| (attribute as usize) < n_rich));
    }
});
