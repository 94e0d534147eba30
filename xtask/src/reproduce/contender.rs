//! What is compared: strategies at two kinds of settings.
//!
//! | Model   | Settings | What they are                                                        |
//! | ------- | -------- | -------------------------------------------------------------------- |
//! | CRF     | plain    | those of the source (Sun 2016) for chunking: SGD from step size 0.05, one example a step, every row written when its gradient is known |
//! | CRF     | tuned    | the defaults of `asyn`, chosen on a held-out part of training data   |
//! | CRF     | SR       | these and sentences cut into pieces: structure regularisation (Sun 2014) |
//! | Bi-LSTM | plain    | Adam with the numbers of the source, one sentence a step, all weights and moments written in place |
//! | Bi-LSTM | copies   | the defaults of `asyn`: the same with copies of the matrices by worker |
//! | Bi-LSTM | tuned    | the same with eight sentences a step                                 |
//!
//! All use the same kernels; the plain ones differ in the strategy alone, so
//! they say what coordination costs. The tuned ones say what a user gets, and
//! serial training is given its best settings too.

use serde::Serialize;

use super::experiment::Model;

/// The flags of the plain settings of a CRF. The decay is not in the source; it is
/// that of Sun's own toolkit for models of this kind.
const PLAIN: &[&str] = &[
    "--update",
    "sgd",
    "--rate",
    "0.05",
    "--decay",
    "0.94",
    "--l2",
    "0.5",
    "--accumulate",
    "1",
    "--sums-every",
    "1",
    "--sparse-threshold",
    "0",
    "--replicas",
    "off",
];

/// The flags of structure regularisation.
const SR: &[&str] = &["--sr-length", "10"];

/// The flags of writing everything in place.
const IN_PLACE: &[&str] = &["--replicas", "off"];

/// The flags of eight sentences a step.
const EIGHT: &[&str] = &["--accumulate", "8"];

/// One strategy at one kind of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Contender {
    /// What tables call it.
    pub(super) name: &'static str,
    /// What `--strategy` calls it.
    pub(super) strategy: &'static str,
    /// Whether it runs at the tuned settings.
    pub(super) is_tuned: bool,
    /// The flags of its settings.
    pub(super) flags: &'static [&'static str],
    /// The most seeds that it runs with.
    pub(super) most_seeds: u32,
    /// The number of its colour.
    pub(super) colour: usize,
}

/// The contenders of CRFs, in the order in which a round runs and a table lists them.
const OF_CRF: &[Contender] = &[
    Contender::new("serial", "serial", 0).plain(PLAIN),
    Contender::new("round-robin", "round-robin", 3).plain(PLAIN),
    Contender::new("locked", "locked", 4).plain(PLAIN),
    Contender::new("mini-batch", "minibatch", 2).plain(PLAIN),
    Contender::new("AsynGrad", "asyngrad", 1).plain(PLAIN),
    Contender::new("serial, tuned", "serial", 0),
    Contender::new("AsynGrad, tuned", "asyngrad", 1),
    Contender::new("AsynGrad, SR", "asyngrad", 5).tuned(SR),
];

/// Those of Bi-LSTMs. Round-robin, the baseline of the source, is there for its speed, which one
/// seed tells.
const OF_BILSTM: &[Contender] = &[
    Contender::new("serial", "serial", 0).plain(&[]),
    Contender::new("round-robin", "round-robin", 3).plain(&[]).seeds(1),
    Contender::new("AsynGrad", "asyngrad", 1).plain(IN_PLACE),
    Contender::new("AsynGrad, copies", "asyngrad", 5).plain(&[]),
    Contender::new("serial, 8 a step", "serial", 0).tuned(EIGHT),
    Contender::new("AsynGrad, 8 a step", "asyngrad", 1).tuned(EIGHT),
];

/// Returns the contenders of a model.
pub(super) fn contenders(model: Model) -> &'static [Contender] {
    match model {
        Model::Crf => OF_CRF,
        Model::BiLstm => OF_BILSTM,
    }
}

impl Contender {
    /// A contender at the defaults of `asyn`, with all seeds.
    const fn new(name: &'static str, strategy: &'static str, colour: usize) -> Self {
        Self { name, strategy, is_tuned: true, flags: &[], most_seeds: u32::MAX, colour }
    }

    const fn plain(self, flags: &'static [&'static str]) -> Self {
        Self { is_tuned: false, flags, ..self }
    }

    const fn tuned(self, flags: &'static [&'static str]) -> Self {
        Self { flags, ..self }
    }

    const fn seeds(self, most_seeds: u32) -> Self {
        Self { most_seeds, ..self }
    }

    /// Returns the flags of its strategy and settings.
    pub(super) fn arguments(&self) -> Vec<String> {
        let strategy = ["--strategy", self.strategy];
        strategy.iter().chain(self.flags).map(|&flag| flag.to_owned()).collect()
    }

    /// Returns the numbers of threads that it runs with, out of those asked for.
    pub(super) fn threads(&self, asked: &[u32]) -> Vec<u32> {
        if self.is_serial() { vec![1] } else { asked.to_vec() }
    }

    /// Says whether it has one worker by nature.
    pub(super) fn is_serial(&self) -> bool {
        self.strategy == "serial"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_contender_has_a_serial_one_at_its_settings() {
        for all in [OF_CRF, OF_BILSTM] {
            for contender in all {
                let serial =
                    |other: &&Contender| other.is_serial() && other.is_tuned == contender.is_tuned;
                assert_eq!(all.iter().filter(serial).count(), 1);
            }
        }
    }

    #[test]
    fn serial_training_has_one_thread() {
        assert_eq!(OF_CRF[0].threads(&[1, 2, 8]), [1]);
        assert_eq!(OF_CRF[4].threads(&[1, 2, 8]), [1, 2, 8]);
    }
}
