//! The model and the training set of the benches of whole passes.
//!
//! The corpus is a planted one, or the training part of CoNLL-2000 where `ASYN_DATA` names the
//! folder of the corpora.

use std::path::Path;

use asyn_data::{Corpus, Encoded, Encoder, Template, VocabularyOptions, open_columns, planted};
use asyn_models::{Crf, CrfShape};

/// The sentences of a planted corpus, about 24 tokens each.
const PLANTED: usize = 2000;

/// A chunker and its training set.
pub(crate) struct Chunker {
    pub(crate) corpus: Corpus,
    pub(crate) encoder: Encoder,
    pub(crate) crf: Crf,
    pub(crate) examples: Vec<Encoded>,
}

impl Chunker {
    pub(crate) fn new() -> Self {
        let corpus = corpus();
        let template = Template::builtin("chunking").expect("it comes with the crate");
        let options = VocabularyOptions { min_freq: 2, ..VocabularyOptions::default() };
        let (encoder, examples) =
            Encoder::build(&corpus, template, &options).expect("the corpus has three columns");
        let crf = Crf::new(CrfShape {
            n_labels: encoder.labels().len(),
            n_attributes: encoder.n_attributes(),
            n_rich: 0,
            transitions: true,
        });
        let crf = crf.expect("there are few labels");
        Self { corpus, encoder, crf, examples }
    }
}

pub(crate) fn n_tokens(examples: &[Encoded]) -> u64 {
    examples.iter().map(|sentence| sentence.n_tokens() as u64).sum()
}

fn corpus() -> Corpus {
    match std::env::var_os("ASYN_DATA") {
        Some(data) => {
            let path = Path::new(&data).join("conll2000/train.txt.gz");
            open_columns(path).expect("ASYN_DATA names a folder with conll2000 in it")
        }
        None => planted::chunking(PLANTED, 17).corpus(),
    }
}
