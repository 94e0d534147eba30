//! What is compared: strategies at two kinds of settings.
//!
//! | Settings | What they are                                                        |
//! | -------- | -------------------------------------------------------------------- |
//! | plain    | those of the source (Sun 2016) for chunking: SGD from step size 0.05, one example a step, every row written when its gradient is known |
//! | tuned    | the defaults of `asyn`, chosen on a held-out part of training data   |
//! | SR       | these and sentences cut into pieces: structure regularisation (Sun 2014) |
//!
//! All use the same kernels; the plain ones differ in the strategy alone, so
//! they say what coordination costs. The tuned ones say what a user gets, and
//! serial training is given its best settings too.

use serde::Serialize;

/// The flags of the plain settings. The decay is not in the source; it is
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

/// One strategy at one kind of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Contender {
    /// What tables call it.
    pub(super) name: &'static str,
    /// What `--strategy` calls it.
    pub(super) strategy: &'static str,
    /// Whether it runs at the tuned settings.
    pub(super) is_tuned: bool,
    /// Flags beside those of its settings.
    pub(super) extra: &'static [&'static str],
    /// The number of its colour.
    pub(super) colour: usize,
}

/// The contenders, in the order in which a round runs and a table lists them.
pub(super) const CONTENDERS: &[Contender] = &[
    Contender { name: "serial", strategy: "serial", is_tuned: false, extra: &[], colour: 0 },
    Contender {
        name: "round-robin",
        strategy: "round-robin",
        is_tuned: false,
        extra: &[],
        colour: 3,
    },
    Contender { name: "locked", strategy: "locked", is_tuned: false, extra: &[], colour: 4 },
    Contender { name: "mini-batch", strategy: "minibatch", is_tuned: false, extra: &[], colour: 2 },
    Contender { name: "AsynGrad", strategy: "asyngrad", is_tuned: false, extra: &[], colour: 1 },
    Contender { name: "serial, tuned", strategy: "serial", is_tuned: true, extra: &[], colour: 0 },
    Contender {
        name: "AsynGrad, tuned",
        strategy: "asyngrad",
        is_tuned: true,
        extra: &[],
        colour: 1,
    },
    Contender { name: "AsynGrad, SR", strategy: "asyngrad", is_tuned: true, extra: SR, colour: 5 },
];

impl Contender {
    /// Returns the flags of its strategy and settings.
    pub(super) fn flags(&self) -> Vec<String> {
        let settings = if self.is_tuned { &[] } else { PLAIN };
        let strategy = ["--strategy", self.strategy];
        strategy.iter().chain(settings).chain(self.extra).map(|&flag| flag.to_owned()).collect()
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
        for contender in CONTENDERS {
            let serial =
                |other: &&Contender| other.is_serial() && other.is_tuned == contender.is_tuned;
            assert_eq!(CONTENDERS.iter().filter(serial).count(), 1);
        }
    }

    #[test]
    fn serial_training_has_one_thread() {
        assert_eq!(CONTENDERS[0].threads(&[1, 2, 8]), [1]);
        assert_eq!(CONTENDERS[4].threads(&[1, 2, 8]), [1, 2, 8]);
    }
}
