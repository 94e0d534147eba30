//! What the doctor found, as numbers and as sentences.

use asyn::core::simulate::SimulationReport;
use serde::Serialize;

use super::fit::Costs;
use super::lab::Measured;

/// What doubling the workers has to gain to pay.
const PAYS: f64 = 1.25;
/// What a score may be below the serial one, in points, where seeds make less difference.
const POINTS: f64 = 0.3;
/// From which share on a bound is named as the one that is hit.
const BINDS: f64 = 0.2;

/// All that was found.
#[derive(Debug, Serialize)]
pub(crate) struct Findings {
    pub(crate) train: String,
    pub(crate) sentences: usize,
    pub(crate) cores: usize,
    /// How many programs wanted to run in the last minute, on average.
    pub(crate) load: Option<f64>,
    pub(crate) threads: usize,
    pub(crate) trials: Vec<Trial>,
    pub(crate) races: Races,
    /// Fitted costs of the simulator, in nanoseconds.
    pub(crate) compute: f64,
    pub(crate) miss: f64,
    pub(crate) miss_is_fitted: bool,
    pub(crate) predictions: Vec<Prediction>,
    #[serde(flatten)]
    pub(crate) ordered: Option<Ordered>,
    #[serde(skip)]
    pub(crate) is_network: bool,
    /// What one worker reads of the weights.
    pub(crate) read_bytes_a_second: f64,
    /// What the machine reads from memory on all threads.
    pub(crate) bandwidth: f64,
}

/// Seconds of eight simulated workers that keep an order.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Ordered {
    pub(crate) locked_at_8: f64,
    pub(crate) round_robin_at_8: f64,
}

/// Real runs of one strategy.
#[derive(Debug, Serialize)]
pub(crate) struct Trial {
    pub(crate) name: &'static str,
    pub(crate) threads: usize,
    pub(crate) seconds: f64,
    pub(crate) tokens_per_second: f64,
    /// On the held-out tenth, by seed, in percent.
    pub(crate) scores: Vec<f64>,
}

impl Trial {
    fn score(&self) -> f64 {
        self.scores.iter().sum::<f64>() / self.scores.len().max(1) as f64
    }

    fn spread(&self) -> f64 {
        let high = self.scores.iter().fold(f64::NEG_INFINITY, |high, score| high.max(*score));
        let low = self.scores.iter().fold(f64::INFINITY, |low, score| low.min(*score));
        high - low
    }
}

/// What the instruments saw.
#[derive(Debug, Serialize)]
pub(crate) struct Races {
    pub(crate) simulated: bool,
    pub(crate) overlapped_rate: f64,
    pub(crate) staleness_mean: f64,
    pub(crate) probes: usize,
    pub(crate) wrong_rate: f64,
    pub(crate) error_p99: f64,
    pub(crate) error_max: f64,
    pub(crate) cosine_mean: f64,
    pub(crate) score: f64,
}

impl Races {
    pub(crate) fn new(run: &Measured, simulated: bool) -> Self {
        let races = run.races.clone().unwrap_or_default();
        let error = races.relative_error(false);
        Self {
            simulated,
            overlapped_rate: races.staleness.rate(),
            staleness_mean: races.staleness.mean(),
            probes: races.probes.len(),
            wrong_rate: races.wrong_rate(),
            error_p99: error.p99,
            error_max: error.max,
            cosine_mean: races.cosine(),
            score: run.score,
        }
    }
}

/// A simulated run.
#[derive(Debug, Serialize)]
pub(crate) struct Prediction {
    pub(crate) workers: usize,
    pub(crate) seconds: f64,
    pub(crate) loads: u64,
    /// The share of the workers' time that goes into misses.
    pub(crate) miss_share: f64,
}

impl Prediction {
    pub(crate) fn new(workers: usize, counted: &SimulationReport, costs: &Costs) -> Self {
        let time = counted.seconds * workers as f64;
        let missed = 1e-9 * costs.miss * counted.misses as f64;
        let miss_share = missed / time.max(f64::MIN_POSITIVE);
        Self { workers, seconds: counted.seconds, loads: counted.loads, miss_share }
    }
}

impl Findings {
    pub(crate) fn json(&self) -> String {
        #[derive(Serialize)]
        struct Whole<'a> {
            #[serde(flatten)]
            findings: &'a Findings,
            advice: Vec<String>,
        }
        let whole = Whole { findings: self, advice: self.sentences() };
        serde_json::to_string(&whole).expect("numbers and strings are JSON")
    }

    /// Returns the findings in sentences, one a line.
    pub(crate) fn sentences(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "{}: {} sentences tried, 2 passes each, {} seeds, on {} cores.",
            self.train,
            self.sentences,
            super::SEEDS.len(),
            self.cores
        )];
        if let Some(load) = self.load.filter(|load| *load > 0.5 * self.cores as f64) {
            lines.push(format!(
                "Other programs kept the cores busy (load {load:.1} on {}): measured times, and \
                 what is fitted to them, mean little.",
                self.cores
            ));
        }
        if self.trials.len() == 1 {
            lines.push(
                "One worker or one core: no race can be measured here, all that follows about \
                 several workers is simulated."
                    .to_owned(),
            );
        }
        lines.push(self.safety());
        lines.push(self.races_in_words());
        lines.extend(self.trials.iter().map(|trial| self.trial_in_words(trial)));
        lines.push(self.prediction_in_words());
        lines.push(self.threads_that_pay());
        lines.push(self.bound());
        lines.extend(self.ordered.map(|ordered| self.order(ordered)));
        lines
    }

    fn trial(&self, name: &str) -> Option<&Trial> {
        self.trials.iter().find(|trial| trial.name == name)
    }

    fn safety(&self) -> String {
        let serial = &self.trials[0];
        let (score, spread, how) = match self.trial("asyngrad") {
            Some(trial) => (trial.score(), trial.spread(), "measured"),
            None => (self.races.score, 0.0, "simulated with 2 workers"),
        };
        let difference = score - serial.score();
        let noise = serial.spread().max(spread);
        // A network that is watched in place trains with copies, whose races are others.
        let turns = !self.is_network && self.races.cosine_mean <= 0.99;
        let verdict = if difference >= -POINTS.max(noise) && !turns {
            "AsynGrad looks safe here"
        } else {
            "AsynGrad costs score here; use --strategy locked or serial"
        };
        format!(
            "{verdict}: held-out score {score:.2}, serial {:.2} ({difference:+.2}; seeds alone \
             make up to {noise:.2}; {how}).",
            serial.score()
        )
    }

    fn races_in_words(&self) -> String {
        let races = &self.races;
        let how = if races.simulated { "2 simulated workers" } else { "the real threads" };
        format!(
            "Races of {how}: {:.1} % of steps stale, by {:.2} updates on average; {:.1} % of {} \
             probed gradients torn; error at the 99th percentile {:.1e} and at most {:.1e} of a \
             gradient's length, mean cosine {:.6}.",
            100.0 * races.overlapped_rate,
            races.staleness_mean,
            100.0 * races.wrong_rate,
            races.probes,
            races.error_p99,
            races.error_max,
            races.cosine_mean
        )
    }

    fn trial_in_words(&self, trial: &Trial) -> String {
        let plural = if trial.threads == 1 { "" } else { "s" };
        format!(
            "Measured, {} on {} thread{plural}: {:.2} million tokens/s, {:.2} times serial, score \
             {:.2}.",
            trial.name,
            trial.threads,
            trial.tokens_per_second / 1e6,
            self.trials[0].seconds / trial.seconds.max(f64::MIN_POSITIVE),
            trial.score()
        )
    }

    fn speedup(&self, prediction: &Prediction) -> f64 {
        self.predictions[0].seconds / prediction.seconds.max(f64::MIN_POSITIVE)
    }

    fn prediction_in_words(&self) -> String {
        let speedups: Vec<String> = self.predictions[1..]
            .iter()
            .map(|prediction| {
                format!("{:.2} with {}", self.speedup(prediction), prediction.workers)
            })
            .collect();
        let fitted = if self.miss_is_fitted { "fitted" } else { "not fitted, the default" };
        format!(
            "Simulated, not measured, times one worker: {} (costs: compute {:.1} ns fitted, miss \
             {:.0} ns {fitted}).",
            speedups.join(", "),
            self.compute,
            self.miss
        )
    }

    /// Returns the last prediction into which doubling the workers pays; 0 if none does.
    fn last_that_pays(&self) -> usize {
        let mut pairs = self.predictions.windows(2);
        pairs.rposition(|pair| pair[0].seconds >= PAYS * pair[1].seconds).map_or(0, |at| at + 1)
    }

    fn threads_that_pay(&self) -> String {
        let last = &self.predictions[self.last_that_pays()];
        let measured = match self.trial("asyngrad") {
            None => String::new(),
            Some(trial) => {
                let speedup = self.trials[0].seconds / trial.seconds.max(f64::MIN_POSITIVE);
                let pay = if speedup > 1.0 { "pay" } else { "do not pay" };
                format!(
                    "On this machine {} threads {pay} ({speedup:.2}, measured). ",
                    trial.threads
                )
            }
        };
        let gain = 100.0 * (PAYS - 1.0);
        match last.workers {
            1 => format!("{measured}No doubling up to 16 threads gains {gain:.0} % (simulated)."),
            workers => format!(
                "{measured}With as many cores up to {workers} threads pay: the last doubling \
                 gains at least {gain:.0} % (simulated)."
            ),
        }
    }

    fn bound(&self) -> String {
        let at = &self.predictions[self.predictions.len() - 1];
        let read = self.read_bytes_a_second * self.speedup(at);
        let share = read / self.bandwidth.max(f64::MIN_POSITIVE);
        let name = if at.miss_share >= BINDS && at.miss_share >= share {
            "coherence: lines of memory go back and forth between cores"
        } else if share >= BINDS {
            "bandwidth, as far as the weights do not stay in caches"
        } else {
            "the number of cores: neither coherence nor bandwidth is near"
        };
        format!(
            "The bound on speed at {} workers is {name}. Misses take {:.0} % of the workers' time \
             (simulated); weights are read at {:.1} GB/s there, {:.0} % of the {:.1} GB/s that \
             plain reading of memory reaches on {} threads here (measured).",
            at.workers,
            100.0 * at.miss_share,
            read / 1e9,
            100.0 * share,
            self.bandwidth / 1e9,
            self.threads
        )
    }

    fn order(&self, ordered: Ordered) -> String {
        let one = self.predictions[0].seconds;
        let asyngrad = self.predictions.iter().find(|prediction| prediction.workers == 8);
        format!(
            "What order and locks would cost, simulated with 8 workers, times one worker: asyngrad \
             {:.2}, any-order lock {:.2}, fixed order {:.2}.",
            asyngrad.map_or(0.0, |prediction| self.speedup(prediction)),
            one / ordered.locked_at_8.max(f64::MIN_POSITIVE),
            one / ordered.round_robin_at_8.max(f64::MIN_POSITIVE)
        )
    }
}
