//! `asyn doctor`: `data` looks at corpora before training; the rest of this folder is `asyn doctor
//! async`, whether asynchronous training suits the user's own data and machine.
//!
//! `lab` runs short trainings, real and simulated; `fit` finds the costs at which the simulator
//! takes as long as the machine; `findings` says in sentences what came out.

mod corpus;
pub(crate) mod data;
mod findings;
mod fit;
mod lab;
mod overlap;

use std::io::{Write, stdout};
use std::num::NonZeroUsize;

use asyn::core::simulate::Simulated;
use asyn::core::{AsynGrad, Serial};
use asyn::sync::{Locked, RoundRobin};

use crate::args::DoctorArgs;
use crate::choice::KindChoice;
use crate::failure::Failure;
use crate::machine;
use crate::progress::Talk;
use crate::settings::{Settings, all_cores};
use findings::{Findings, Ordered, Prediction, Races, Trial};
use lab::{Lab, Layout, Measured};

/// The seeds that every real run is repeated with.
const SEEDS: [u64; 3] = [1, 2, 3];
/// The most sentences that are tried, and those that are simulated.
const TRIED: usize = 4000;
const SIMULATED: usize = 200;
/// Those of a network, which takes longer, and by far if it is simulated.
const TRIED_OF_NETWORK: usize = 1000;
const SIMULATED_OF_NETWORK: usize = 10;
/// The numbers of workers that are simulated.
const WORKERS: [usize; 5] = [1, 2, 4, 8, 16];

/// Tries asynchronous training on a person's data and says what it is worth there.
pub(crate) fn run(args: &DoctorArgs, talk: Talk) -> Result<(), Failure> {
    let (base, most) = match args.kind {
        KindChoice::Crf => (Settings::default(), TRIED),
        KindChoice::Bilstm => (Settings::of_bilstm(), TRIED_OF_NETWORK),
    };
    let mut settings = Settings {
        train: args.file.clone().or_else(|| args.train.clone()).unwrap_or_default(),
        template: args.template.clone(),
        dev: Some("10%".to_owned()),
        threads: args.threads.unwrap_or_else(all_cores),
        ..base
    };
    if args.kind == KindChoice::Bilstm && !can_race(settings.threads.get()) {
        let problem = "--kind bilstm needs two cores and two threads: simulated races of a network \
                       take too long";
        return Err(Failure::Usage(problem.to_owned()));
    }
    let most = args.sentences.map_or(most, NonZeroUsize::get);
    let lab = Lab::new(&mut settings, most, talk)?;
    let findings = examine(&lab, talk)?;
    let text = if args.json { findings.json() } else { findings.sentences().join("\n") };
    writeln!(stdout(), "{text}").map_err(|source| Failure::Output { source })
}

fn can_race(threads: usize) -> bool {
    all_cores().get() > 1 && threads > 1
}

fn examine(lab: &Lab, talk: Talk) -> Result<Findings, Failure> {
    // Read before the runs here add to it.
    let load = machine::load();
    let threads = lab.threads();
    let can_race = can_race(threads);
    talk.detail("short runs on real threads");
    let mut trials = Trials::default();
    for seed in SEEDS {
        trials.serial.push(lab.real(Serial, Layout::plain(1), seed)?);
        if can_race {
            let many = Layout::plain(threads);
            trials.replicas.push(lab.real(AsynGrad, many.with_replicas(), seed)?);
            trials.plain.push(lab.real(AsynGrad, many, seed)?);
            trials.locked.push(lab.real(Locked, many, seed)?);
            trials.round_robin.push(lab.real(RoundRobin, many, seed)?);
            trials.two.push(lab.real(AsynGrad, Layout::plain(2), seed)?);
        }
    }
    let serial_seconds = fastest(&trials.serial).unwrap_or_default();

    talk.detail("fitting the simulator's costs");
    let start = &trials.serial[0].weights;
    let few = lab.few(if lab.is_network() { SIMULATED_OF_NETWORK } else { SIMULATED });
    let share = few.n_tokens() as f64 / lab.n_tokens() as f64;
    let costs =
        fit::fit(&few, start, serial_seconds * share, fastest(&trials.two).map(|s| s * share))?;
    talk.detail("simulating more workers");
    let simulate = |workers: usize, layout: Layout| -> Result<Prediction, Failure> {
        let simulated = Simulated::new(AsynGrad, costs.model()).map_err(asyn::Error::from)?;
        let run = few.simulated(&simulated, layout, start)?;
        Ok(Prediction::new(workers, &run, &costs))
    };
    let mut predictions = Vec::new();
    for workers in WORKERS {
        predictions.push(simulate(workers, lab.simulated_layout(workers))?);
    }
    // Workers that copy what a network reads load it so seldom that fitted costs say nothing of them.
    let ordered = if lab.is_network() {
        None
    } else {
        let workers = 8;
        let locked = Simulated::new(Locked, costs.model()).map_err(asyn::Error::from)?;
        let locked = few.simulated(&locked, Layout::plain(workers), start)?;
        let in_turn = Simulated::new(RoundRobin, costs.model()).map_err(asyn::Error::from)?;
        let in_turn = few.simulated(&in_turn, Layout::plain(workers), start)?;
        let [locked, in_turn] =
            [locked, in_turn].map(|run| Prediction::new(workers, &run, &costs).seconds);
        Some(Ordered { locked_at_8: locked, round_robin_at_8: in_turn })
    };

    talk.detail("watching the races");
    let races = if can_race {
        Races::new(&lab.watched(AsynGrad, lab.simulated_layout(threads))?, false)
    } else {
        let simulated = Simulated::new(AsynGrad, costs.model()).map_err(asyn::Error::from)?;
        Races::new(&lab.watched(&simulated, lab.simulated_layout(2))?, true)
    };
    let loads = simulate(1, Layout::plain(1))?.loads as f64;
    let bytes_a_second = loads * lab::vector_bytes() / (serial_seconds * share);
    Ok(Findings {
        train: lab.name().to_owned(),
        sentences: lab.n_sentences(),
        cores: all_cores().get(),
        load,
        threads,
        trials: trials.summarise(threads, lab.n_tokens()),
        races,
        compute: costs.compute,
        miss: costs.miss,
        miss_is_fitted: costs.miss_is_fitted,
        predictions,
        ordered,
        is_network: lab.is_network(),
        read_bytes_a_second: bytes_a_second,
        bandwidth: lab::bandwidth(threads),
    })
}

/// The real runs of all seeds, by what was run.
#[derive(Debug, Default)]
struct Trials {
    serial: Vec<Measured>,
    replicas: Vec<Measured>,
    plain: Vec<Measured>,
    locked: Vec<Measured>,
    round_robin: Vec<Measured>,
    two: Vec<Measured>,
}

impl Trials {
    fn summarise(&self, threads: usize, n_tokens: usize) -> Vec<Trial> {
        let all = [
            ("serial", 1, &self.serial),
            ("asyngrad", threads, &self.replicas),
            ("asyngrad without replicas", threads, &self.plain),
            ("locked", threads, &self.locked),
            ("round-robin", threads, &self.round_robin),
        ];
        let trial = |(name, threads, runs): (&'static str, usize, &Vec<Measured>)| {
            let seconds = fastest(runs)?;
            let scores: Vec<f64> = runs.iter().map(|run| run.score).collect();
            let tokens_per_second = n_tokens as f64 / seconds;
            Some(Trial { name, threads, seconds, tokens_per_second, scores })
        };
        all.into_iter().filter_map(trial).collect()
    }
}

/// Returns the least time: what other programs do can only add to it.
fn fastest(runs: &[Measured]) -> Option<f64> {
    runs.iter().map(|run| run.seconds).reduce(f64::min)
}
