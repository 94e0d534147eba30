//! Sentences with gold labels that are scored while and after a model is trained.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::thread;

use asyn_core::{SharedWeights, Worker};
use asyn_data::conlleval::{Chunks, Counts, Score};
use asyn_data::{Corpus, Encoder, Spelling, UNKNOWN_LABEL};

use crate::error::Result;
use crate::sequence_model::{Examples, SequenceModel};

/// How many sentences a thread takes at a time: enough for some of similar length to be labelled
/// together, and always the same ones, however many threads there are.
const SENTENCES_AT_A_TIME: usize = 64;

/// Encoded sentences whose gold labels may be ones that training never saw.
#[derive(Debug)]
pub struct HeldOut {
    sentences: Examples,
    /// The gold labels of each sentence. Invariant: every one is an index of `labels`.
    gold: Vec<Vec<u16>>,
    /// The labels of the model as the files have them, then the unknown ones, as chunks.
    labels: Vec<String>,
    unknown_labels: BTreeMap<String, u64>,
    spelling: Option<Spelling>,
}

impl HeldOut {
    /// Encodes a corpus whose last column is the gold label for a model and its encoder, on `threads`
    /// threads.
    ///
    /// # Errors
    ///
    /// [`Error::Data`](crate::Error::Data) if the corpus has other columns than the training corpus.
    pub fn new(
        encoder: &Encoder,
        model: &SequenceModel,
        corpus: &Corpus,
        threads: usize,
    ) -> Result<Self> {
        let sentences = model.encode(encoder, corpus, threads)?;
        let mut gold = Vec::with_capacity(sentences.len());
        let mut labels = encoder.written_labels().to_vec();
        let mut unknown_labels = BTreeMap::new();
        // The scorer has to know the types of unknown labels, so they get numbers too.
        let mut numbers = BTreeMap::new();
        for sentence in corpus.sentences() {
            let mut ids = Vec::with_capacity(sentence.len());
            for label in sentence.labels() {
                let mut number = encoder.written_id(label);
                if number == UNKNOWN_LABEL {
                    *unknown_labels.entry(label.to_owned()).or_default() += 1;
                    number = *numbers.entry(label).or_insert_with(|| {
                        labels.push(label.to_owned());
                        u16::try_from(labels.len() - 1).unwrap_or(UNKNOWN_LABEL)
                    });
                }
                ids.push(number);
            }
            gold.push(ids);
        }
        let spelling = encoder.spelling().cloned();
        Ok(Self { sentences, gold, labels: as_chunks(labels), unknown_labels, spelling })
    }

    /// Returns how often each label occurs that the training corpus does not have.
    pub fn unknown_labels(&self) -> &BTreeMap<String, u64> {
        &self.unknown_labels
    }

    /// Returns the tokens of the longest sentence.
    pub fn longest(&self) -> usize {
        self.gold.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// Labels all sentences with `weights` on `threads` threads, and scores the chunks.
    ///
    /// Labels such as `B-NP` and `O` are scored as conlleval does. Where the labels are `B`, `M`,
    /// `E`, `S` and `I` alone the chunks are the words of a segmentation. Any other labels, such as
    /// parts of speech, are chunks of one token each, so that F1 is the accuracy.
    ///
    /// # Panics
    ///
    /// If the model is not one of the encoder that this was made with.
    pub fn score(&self, model: &SequenceModel, weights: &SharedWeights, threads: usize) -> Score {
        let threads = threads.clamp(1, self.gold.len().div_ceil(SENTENCES_AT_A_TIME).max(1));
        let counts = thread::scope(|scope| {
            let others: Vec<_> = (1..threads)
                .map(|first| scope.spawn(move || self.count(model, weights, first, threads)))
                .collect();
            let mut counts = self.count(model, weights, 0, threads);
            for other in others {
                match other.join() {
                    Ok(other) => counts.merge(&other),
                    Err(panic) => resume_unwind(panic),
                }
            }
            counts
        });
        counts.score()
    }

    /// Labels all sentences with `weights`, and returns what each of them adds to the
    /// [`score`](Self::score), for a [`Bootstrap`](asyn_data::Bootstrap).
    ///
    /// # Panics
    ///
    /// If the model is not one of the encoder that this was made with.
    pub fn chunks(&self, model: &SequenceModel, weights: &SharedWeights) -> Vec<Chunks> {
        let mut chunks = Vec::with_capacity(self.gold.len());
        self.label(model, weights, (0, 1), |counts, gold, labels| {
            chunks.push(counts.add_ids(gold, labels));
        });
        chunks
    }

    /// Counts every `step`-th group of sentences from `first` on.
    fn count(
        &self,
        model: &SequenceModel,
        weights: &SharedWeights,
        first: usize,
        step: usize,
    ) -> Counts {
        self.label(model, weights, (first, step), |counts, gold, labels| {
            counts.add_ids(gold, labels);
        })
    }

    /// Calls `add` with the gold and the predicted labels of every `step`-th group of
    /// sentences from `first` on, and returns the counts.
    fn label(
        &self,
        model: &SequenceModel,
        weights: &SharedWeights,
        (first, step): (usize, usize),
        mut add: impl FnMut(&mut Counts, &[u16], &[u16]),
    ) -> Counts {
        let worker = Worker::reader(model.layout(), weights);
        let mut workspace = model.workspace();
        let (mut labels, mut written) = (Vec::new(), Vec::new());
        let mut counts = Counts::with_labels(&self.labels);
        let starts = (0..self.gold.len()).step_by(SENTENCES_AT_A_TIME);
        for start in starts.skip(first).step_by(step) {
            let group = start..self.gold.len().min(start + SENTENCES_AT_A_TIME);
            model.label(&worker, &self.sentences, group.clone(), &mut workspace, &mut labels);
            for (gold, labels) in self.gold[group].iter().zip(&labels) {
                let labels = match &self.spelling {
                    None => labels,
                    Some(spelling) => {
                        spelling.spell(labels, &mut written);
                        &written
                    }
                };
                add(&mut counts, gold, labels);
            }
        }
        counts
    }
}

/// Returns labels of which the scorer makes the chunks that are meant.
fn as_chunks(labels: Vec<String>) -> Vec<String> {
    let is_of_chunk = |label: &String| {
        let (prefix, has_type) =
            label.split_once('-').map_or((label.as_str(), false), |it| (it.0, true));
        prefix == "O" || (has_type && ["B", "I", "E", "S", "L", "U", "M"].contains(&prefix))
    };
    let is_of_word = |label: &String| ["B", "M", "E", "S", "I"].contains(&label.as_str());
    if labels.iter().all(is_of_chunk) || labels.iter().any(|label| label == "O") {
        return labels;
    }
    let is_segmentation = labels.iter().all(is_of_word);
    let as_chunk = |label: String| match (is_segmentation, label.as_str()) {
        (true, "B" | "S") => "B-word".to_owned(),
        (true, _) => "I-word".to_owned(),
        (false, _) => format!("B-{label}"),
    };
    labels.into_iter().map(as_chunk).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks<const N: usize>(labels: [&str; N]) -> Vec<String> {
        as_chunks(labels.map(str::to_owned).to_vec())
    }

    #[test]
    fn labels_are_taken_for_what_they_look_like() {
        assert_eq!(chunks(["B-NP", "I-NP", "O"]), ["B-NP", "I-NP", "O"]);
        assert_eq!(chunks(["B", "I", "O"]), ["B", "I", "O"]);
        assert_eq!(chunks(["S", "B", "M", "E"]), ["B-word", "B-word", "I-word", "I-word"]);
        assert_eq!(chunks(["NN", "--", "B"]), ["B-NN", "B---", "B-B"]);
    }
}
