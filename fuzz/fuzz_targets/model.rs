//! Any bytes are a model file or an error, and so is the encoder in it.
//!
//! ```text
//! cargo +nightly fuzz run model fuzz/corpus/model crates/asyn-data/tests/fuzz_corpus/model
//! ```

#![no_main]

use asyn_data::{Encoder, ModelFile};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(model) = ModelFile::from_bytes("fuzz", bytes, "crf") {
        let _ = Encoder::from_tensors(&model, 1);
    }
});
