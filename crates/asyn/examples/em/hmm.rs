//! A hidden Markov model over words, without labels.

use std::error::Error;
use std::path::PathBuf;
use std::thread;

use asyn::core::{Decode, Model, SharedWeights, StepSizes, Worker};
use asyn::data::{Clusters, Corpus, Words, open_columns};
use asyn::models::Hmm;

use crate::align::log_likelihood;
use crate::follow::{How, Moment, Trained};

/// Tagged text.
#[derive(Debug, clap::Args)]
pub(crate) struct Text {
    /// Columns, the word first and the tag last.
    file: PathBuf,
    /// States that words can come from.
    #[arg(long, default_value_t = 45)]
    states: usize,
    /// The seed of the counts that training starts from.
    #[arg(long, default_value_t = 1)]
    start_seed: u64,
}

/// Returns the number of sentences, that of tokens, and the moments.
pub(crate) fn run(text: &Text, how: &How) -> Result<(usize, u64, Vec<Moment>), Box<dyn Error>> {
    let corpus = open_columns(&text.file)?;
    let words = Words::new(
        corpus
            .sentences()
            .flat_map(|sentence| (0..sentence.len()).map(move |token| sentence.column(token, 0))),
    );
    let number = |word: &str| words.find(word).expect("it is one of the words");
    let sentences: Vec<Box<[u32]>> = corpus
        .sentences()
        .map(|sentence| {
            (0..sentence.len()).map(|token| number(sentence.column(token, 0))).collect()
        })
        .collect();
    let hmm = Hmm::new(text.states, words.len())?;
    let trained = Trained {
        model: &hmm,
        examples: &sentences,
        multinomials: hmm.multinomials(),
        sizes: StepSizes::default(),
        weights: hmm.initial_weights(text.start_seed),
    };
    let look = |weights: &SharedWeights| {
        let clusters = clusters(&corpus, &states(&hmm, &sentences, weights));
        Moment {
            passes: 0.0,
            seconds: 0.0,
            log_likelihood: log_likelihood(&hmm, &sentences, weights),
            score: Some(100.0 * clusters.many_to_one()),
            v_measure: Some(100.0 * clusters.v_measure()),
        }
    };
    let moments = how.follow(trained, look)?;
    Ok((sentences.len(), corpus.n_tokens() as u64, moments))
}

/// Returns the most probable state of each token, which as many threads as there are cores compute.
fn states(hmm: &Hmm, sentences: &[Box<[u32]>], weights: &SharedWeights) -> Vec<Vec<u16>> {
    let n_threads = thread::available_parallelism().map_or(1, usize::from);
    let part = |sentences: &[Box<[u32]>]| -> Vec<Vec<u16>> {
        let worker = Worker::reader(hmm.layout(), weights);
        let mut workspace = hmm.workspace();
        let mut all = vec![Vec::new(); sentences.len()];
        for (words, states) in sentences.iter().zip(&mut all) {
            hmm.decode(&worker, words, &mut workspace, states);
        }
        all
    };
    thread::scope(|scope| {
        let parts = sentences.chunks(sentences.len().div_ceil(n_threads).max(1));
        let threads: Vec<_> = parts.map(|sentences| scope.spawn(move || part(sentences))).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("decoding does not panic"))
            .collect()
    })
}

fn clusters(corpus: &Corpus, states: &[Vec<u16>]) -> Clusters {
    let mut clusters = Clusters::default();
    for (sentence, states) in corpus.sentences().zip(states) {
        for (token, state) in states.iter().enumerate() {
            let tag = sentence.column(token, corpus.n_columns() - 1);
            clusters.add(tag, &state.to_string());
        }
    }
    clusters
}
