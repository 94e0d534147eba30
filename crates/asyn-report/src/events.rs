//! The events of a run, as `asyn train` writes them: one JSON object a line.
//!
//! | Event   | When                  | What it says                            |
//! | ------- | --------------------- | --------------------------------------- |
//! | `start` | once, before training | model, settings, data, machine          |
//! | `pass`  | after each pass       | loss, clocks, speed, score if there is one |
//! | `end`   | once, at the end      | whole times, peak memory                |
//!
//! Events and keys that are not known here are passed over, so that a newer
//! command can be read by an older report.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::races::{RunRaces, Simulation};

/// One run: what was run, its passes, and how it ended if it did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// What was run.
    pub start: Start,
    /// The passes, in order.
    pub passes: Vec<Pass>,
    /// How it ended; `None` for a run that was killed or still goes on.
    pub end: Option<End>,
}

/// What was run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// The kind of model.
    pub model: String,
    /// How the workers share the weights.
    pub strategy: String,
    /// The number of workers.
    pub threads: u64,
    /// The seed of the order of examples.
    pub seed: u64,
    /// The update rule with its numbers.
    pub update: String,
    /// All settings, resolved, by the names of their flags.
    #[serde(default)]
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// The instruction set of the kernels.
    pub kernels: String,
    /// The version of the command.
    pub version: String,
    /// The training data.
    pub data: Data,
    /// Where it ran.
    pub machine: Machine,
}

/// The training data of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Data {
    /// The name of the training file.
    pub train: String,
    /// The number of sentences.
    pub sentences: u64,
    /// The number of tokens.
    pub tokens: u64,
    /// The number of attributes.
    pub attributes: u64,
    /// How many of them look at pairs of labels.
    pub rich: u64,
    /// The number of labels.
    pub labels: u64,
    /// The number of weights.
    pub weights: u64,
    /// The time of reading the file.
    pub read_seconds: f64,
    /// The time of making examples of it.
    pub encode_seconds: f64,
}

/// Where a run took place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The name of the processor, where the system tells.
    #[serde(default)]
    pub cpu: Option<String>,
    /// The number of cores that the system offers.
    pub cores: u64,
}

/// What one pass over the training data did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pass {
    /// The number of the pass, from 1.
    pub pass: u64,
    /// The sum of the losses; `None` where it was not a number.
    pub loss: Option<f64>,
    /// The number of examples seen.
    pub examples: u64,
    /// The number of updates made.
    pub steps: u64,
    /// The time of training in this pass.
    pub train_seconds: f64,
    /// The time of training up to the end of this pass.
    pub total_train_seconds: f64,
    /// The time of evaluation and writing up to here, outside the training clock.
    pub total_observe_seconds: f64,
    /// The speed of training in this pass.
    pub tokens_per_second: f64,
    /// The score on held-out data.
    #[serde(default)]
    pub dev: Option<Score>,
    /// What races did to the gradients, if instruments were on.
    #[serde(default)]
    pub races: Option<RunRaces>,
    /// What was counted, if the run was simulated.
    #[serde(default)]
    pub simulation: Option<Simulation>,
}

/// A chunking score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The harmonic mean of precision and recall.
    pub f1: f64,
    /// The share of predicted chunks that are right.
    pub precision: f64,
    /// The share of true chunks that were found.
    pub recall: f64,
    /// The share of tokens with the right label.
    pub accuracy: f64,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// The number of passes made.
    pub passes: u64,
    /// Whether it was stopped before its last pass.
    pub stopped: bool,
    /// The pass whose weights were kept, where a score chose one.
    #[serde(default)]
    pub best_pass: Option<u64>,
    /// The score of the weights that were kept.
    #[serde(default)]
    pub dev_f1: Option<f64>,
    /// The time of training.
    pub total_train_seconds: f64,
    /// The time from the start of the program to the end.
    pub wall_seconds: f64,
    /// The most memory that the program held.
    #[serde(default)]
    pub peak_memory_bytes: Option<u64>,
    /// What races did to the gradients of all passes, if instruments were on.
    #[serde(default)]
    pub races: Option<RunRaces>,
    /// What was counted in all passes, if the run was simulated.
    #[serde(default)]
    pub simulation: Option<Simulation>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event {
    Start(Box<Start>),
    Pass(Pass),
    End(End),
    #[serde(other)]
    Other,
}

impl Run {
    /// Reads the events of one run directory.
    ///
    /// A run that was resumed has several starts: the last one counts, and a
    /// pass that was made twice counts as it was made last.
    ///
    /// # Errors
    ///
    /// [`Error::Event`] where a line is not an event, [`Error::NoStart`] where
    /// none says what was run.
    pub fn parse(metrics_jsonl: &str) -> Result<Self> {
        let (mut start, mut passes, mut end) = (None, Vec::<Pass>::new(), None);
        for (at, line) in metrics_jsonl.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let event = serde_json::from_str(line)
                .map_err(|source| Error::Event { line: at + 1, source })?;
            match event {
                Event::Start(found) => (start, end) = (Some(*found), None),
                Event::Pass(found) => {
                    passes.retain(|pass| pass.pass < found.pass);
                    passes.push(found);
                }
                Event::End(found) => end = Some(found),
                Event::Other => {}
            }
        }
        Ok(Self { start: start.ok_or(Error::NoStart)?, passes, end })
    }

    /// Returns the score after each pass against the time of training.
    #[must_use]
    pub fn score_by_time(&self) -> Vec<(f64, f64)> {
        let scored = |pass: &Pass| Some((pass.total_train_seconds, pass.dev?.f1));
        self.passes.iter().filter_map(scored).collect()
    }

    /// Returns the score after the last pass, which is not the best one.
    #[must_use]
    pub fn last_score(&self) -> Option<f64> {
        Some(self.passes.last()?.dev?.f1)
    }

    /// Returns the speed of the median pass.
    #[must_use]
    pub fn tokens_per_second(&self) -> Option<f64> {
        let speeds: Vec<f64> = self.passes.iter().map(|pass| pass.tokens_per_second).collect();
        crate::statistics::median(&speeds)
    }

    /// Returns the time of the median pass.
    #[must_use]
    pub fn seconds_a_pass(&self) -> Option<f64> {
        let times: Vec<f64> = self.passes.iter().map(|pass| pass.train_seconds).collect();
        crate::statistics::median(&times)
    }
}
