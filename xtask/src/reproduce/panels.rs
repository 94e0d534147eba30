//! The runs behind the panels on races: AsynGrad watched by its instruments, and the speeds of
//! strategies with more workers than there are cores.
//!
//! All are at plain settings, where strategies differ in nothing else, and with seed 1. Real
//! threads run as far as there are cores. Simulated workers are run from the start on, so
//! that the two stand beside each other where both exist.
//!
//! | Runs of a CRF     | Real threads         | Simulated workers                          |
//! | ----------------- | -------------------- | ------------------------------------------ |
//! | in place          | all passes           | 1 to 10, one pass; with 10 all passes      |
//! | snapshot          | one pass             | 2, 4, 6, 8, 10, one pass                   |
//! | plain, rich edges | one pass of a sample | 2, 4, 6, 8, 10, one pass of a sample       |
//! | speeds            | those of the arms    | 1 to 10, one pass without instruments      |
//! | theory            | all passes, a sample | 10, all passes of a sample                 |
//!
//! | Runs of a Bi-LSTM, all on a sample | Real threads        | Simulated workers                            |
//! | ---------------------------------- | ------------------- | -------------------------------------------- |
//! | in place                           | all passes          | 1, 2, 4, 6, 8, one pass; with 10 all passes  |
//! | snapshot                           | one pass            | 2, 6, 10, one pass                           |
//! | mixed, private moments             | one pass            | 2, 6, 10, one pass; shared ones are in place |
//! | speeds                             | those of the arms   | 1, 2, 4, 6, 8, 10; AsynGrad's are in place   |
//!
//! What else runs does not change a simulation, so as many of them as there are cores run at once.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use asyn_report::Run;
use serde::Serialize;

use super::contender::{Contender, contenders};
use super::corpus;
use super::experiment::{Experiment, Model};
use super::program::Program;
use super::theory::{self, Followed};
use super::{Settings, run_one};
use crate::error::Result;

/// The numbers of simulated workers where all count, and those where two ways are compared. The
/// source has as many threads; one worker has no races.
const OF_CRF: [&[u32]; 2] = [&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], &[2, 4, 6, 8, 10]];
const OF_BILSTM: [&[u32]; 2] = [&[1, 2, 4, 6, 8, 10], &[2, 6, 10]];

/// The contenders whose simulated speeds are compared.
const RACERS: [&str; 3] = [ASYNGRAD, "round-robin", "locked"];
const ASYNGRAD: &str = "AsynGrad";

const RICH: &str = "--rich-edges";
const INSTRUMENTS: [&str; 2] = ["--instruments", "full"];
/// Whose the moments of Adam are if not of all, with the flags that ask for it.
const MOMENTS: [(&str, [&str; 2]); 2] =
    [("mixed", ["--moments", "mixed"]), ("private", ["--moments", "private"])];

/// All runs behind the panels of one experiment.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Panels {
    pub(super) in_place: Vec<Watched>,
    pub(super) snapshot: Vec<Watched>,
    /// What only one of the models has, by name: of a CRF, no attributes that look at pairs of
    /// labels, and frequent ones that do; of a Bi-LSTM, whose the moments of Adam are.
    pub(super) others: Vec<(&'static str, Vec<Watched>)>,
    /// Simulated runs of each contender that is compared.
    pub(super) speeds: Vec<(Contender, Vec<Watched>)>,
    /// AsynGrad by SGD on a sample with plain edges, whose optimum is known; of a CRF alone.
    pub(super) theory: Vec<Followed>,
}

/// One run, with so many workers.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Watched {
    pub(super) workers: u32,
    pub(super) is_simulated: bool,
    pub(super) run: Run,
}

/// What the runs of a panel have in common.
struct Way<'a> {
    name: &'a str,
    contender: Contender,
    train: &'a Path,
    flags: Vec<&'static str>,
}

/// What all runs have in common.
struct Watch<'a> {
    program: &'a Program<'a>,
    experiment: &'a Experiment,
    folder: &'a Path,
    /// The numbers of real threads.
    threads: Vec<u32>,
    n_cores: u32,
    /// The numbers of simulated workers, where all count and where ways are compared.
    all: &'static [u32],
    some: &'static [u32],
}

/// Returns how many sentences a sample of a model has.
///
/// A simulated pass over all sentences takes a minute with all types of chunks and with rich
/// edges, and many with a Bi-LSTM. Of ten workers that share 200 sentences each is probed once or
/// twice.
pub(super) fn sample_size(model: Model) -> usize {
    match model {
        Model::Crf => 2000,
        Model::BiLstm => 200,
    }
}

/// Makes the runs of `experiment`.
pub(super) fn watch(
    program: &Program<'_>,
    experiment: &Experiment,
    settings: &Settings,
    folder: &Path,
) -> Result<Panels> {
    eprintln!("{}: races, on real threads and simulated", experiment.title);
    let threads = settings.threads.iter().copied().filter(|&n| n <= settings.n_cores).collect();
    let [all, some] = match experiment.model {
        Model::Crf => OF_CRF,
        Model::BiLstm => OF_BILSTM,
    };
    let watch =
        Watch { program, experiment, folder, threads, n_cores: settings.n_cores, all, some };
    let sample = corpus::sample(&experiment.train, sample_size(experiment.model), folder)?;
    match experiment.model {
        Model::Crf => watch.crf(&sample),
        Model::BiLstm => watch.bilstm(&sample),
    }
}

impl Watch<'_> {
    fn crf(&self, sample: &Path) -> Result<Panels> {
        let Experiment { train, flags, passes, .. } = self.experiment;
        let in_place = self.in_place(train)?;
        let snapshot = self.snapshot(train)?;
        let mut flags = flags.to_vec();
        flags.retain(|&flag| flag != RICH);
        let plain = self.both(&self.asyngrad("plain-edges", sample, &flags))?;
        flags.push(RICH);
        let rich = self.both(&self.asyngrad("rich-edges", sample, &flags))?;
        let speeds = self.speeds(train)?;

        let example = self.program.example("theory")?;
        let most_threads = self.threads.iter().copied().max().unwrap_or(1);
        let most = self.all.iter().copied().max().unwrap_or(1);
        let followed = [(most_threads, false), (most, true)];
        let followed =
            followed.map(|workers| theory::follow(&example, sample, self.folder, workers, *passes));
        let theory = followed.into_iter().collect::<Result<_>>()?;
        let others = vec![("plain", plain), ("rich", rich)];
        Ok(Panels { in_place, snapshot, others, speeds, theory })
    }

    fn bilstm(&self, sample: &Path) -> Result<Panels> {
        let in_place = self.in_place(sample)?;
        let snapshot = self.snapshot(sample)?;
        let mut others = vec![("shared", in_place.clone())];
        for (name, flags) in MOMENTS {
            let flags = [self.experiment.flags, flags.as_slice()].concat();
            others.push((name, self.both(&self.asyngrad(name, sample, &flags))?));
        }
        let mut speeds = self.speeds(sample)?;
        for (contender, runs) in &mut speeds {
            if contender.name == ASYNGRAD {
                runs.extend(in_place.iter().filter(|watched| watched.is_simulated).cloned());
            }
        }
        Ok(Panels { in_place, snapshot, others, speeds, theory: Vec::new() })
    }

    fn in_place(&self, train: &Path) -> Result<Vec<Watched>> {
        let way = self.asyngrad("in-place", train, self.experiment.flags);
        let mut in_place = self.real(&way, self.experiment.passes)?;
        if let Some((most, fewer)) = self.all.split_last() {
            in_place.extend(self.simulated(&way, fewer, 1)?);
            in_place.extend(self.simulated(&way, &[*most], self.experiment.passes)?);
        }
        Ok(in_place)
    }

    fn snapshot(&self, train: &Path) -> Result<Vec<Watched>> {
        let flags = [self.experiment.flags, &["--read", "snapshot"]].concat();
        self.both(&self.asyngrad("snapshot", train, &flags))
    }

    /// Runs each contender whose simulated speed is compared, but for an AsynGrad whose runs in
    /// place tell its speed.
    fn speeds(&self, train: &Path) -> Result<Vec<(Contender, Vec<Watched>)>> {
        let racers = RACERS.iter().filter_map(|name| self.contender(name));
        let speeds = racers.map(|contender| {
            let flags = self.experiment.flags.to_vec();
            let is_asyngrad = contender.name == ASYNGRAD;
            let way = Way { name: "speed", contender, train, flags };
            let is_known = is_asyngrad && self.experiment.model == Model::BiLstm;
            let runs = if is_known { Vec::new() } else { self.simulated(&way, self.all, 1)? };
            Ok((contender, runs))
        });
        speeds.collect()
    }

    /// AsynGrad with these flags, watched.
    fn asyngrad<'w>(&self, name: &'w str, train: &'w Path, flags: &[&'static str]) -> Way<'w> {
        let contender = self.contender(ASYNGRAD).expect("it is among the contenders of each model");
        let flags = flags.iter().copied().chain(INSTRUMENTS).collect();
        Way { name, contender, train, flags }
    }

    fn contender(&self, name: &str) -> Option<Contender> {
        let mut contenders = contenders(self.experiment.model).iter().copied();
        contenders.find(|contender| contender.name == name)
    }

    /// Runs `way` on real threads and with some simulated workers, one pass each.
    fn both(&self, way: &Way<'_>) -> Result<Vec<Watched>> {
        let mut runs = self.real(way, 1)?;
        runs.extend(self.simulated(way, self.some, 1)?);
        Ok(runs)
    }

    fn real(&self, way: &Way<'_>, passes: u32) -> Result<Vec<Watched>> {
        self.threads.iter().map(|&workers| self.run(way, workers, false, passes)).collect()
    }

    fn simulated(&self, way: &Way<'_>, workers: &[u32], passes: u32) -> Result<Vec<Watched>> {
        let next = AtomicUsize::new(0);
        let run_some = || {
            let mut done = Vec::new();
            while let Some(&workers) = workers.get(next.fetch_add(1, Ordering::Relaxed)) {
                done.push(self.run(way, workers, true, passes));
            }
            done
        };
        let done: Result<Vec<Watched>> = thread::scope(|scope| {
            let n_runners = (self.n_cores as usize).min(workers.len());
            let runners: Vec<_> = (0..n_runners).map(|_| scope.spawn(run_some)).collect();
            let joined = runners.into_iter().flat_map(|it| it.join().expect("no run panics"));
            joined.collect()
        });
        let mut done = done?;
        done.sort_by_key(|watched| watched.workers);
        Ok(done)
    }

    fn run(&self, way: &Way<'_>, workers: u32, is_simulated: bool, passes: u32) -> Result<Watched> {
        let mut arguments = self.experiment.files(way.train);
        arguments.extend(way.flags.iter().map(|&flag| flag.to_owned()));
        arguments.extend(way.contender.arguments());
        for (flag, value) in [("--threads", workers), ("--passes", passes), ("--seed", 1)] {
            arguments.extend([flag.to_owned(), value.to_string()]);
        }
        let mut kind = "threads";
        if is_simulated {
            arguments.push("--simulate".to_owned());
            kind = "simulated workers";
        }
        let name = format!("{}, {}, {workers} {kind}", way.contender.name, way.name);
        eprintln!("  {name}");
        let run = run_one(self.program, &arguments, self.folder, self.experiment.name, &name)?;
        Ok(Watched { workers, is_simulated, run })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compared_strategies_are_at_plain_settings() {
        for model in [Model::Crf, Model::BiLstm] {
            let racers = contenders(model).iter().filter(|it| RACERS.contains(&it.name));
            assert!(racers.clone().all(|contender| !contender.is_tuned));
            assert!(racers.clone().any(|contender| contender.name == ASYNGRAD));
        }
    }
}
