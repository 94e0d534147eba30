//! The runs behind the panels on races: AsynGrad watched by its instruments, and the speeds of
//! strategies with more workers than there are cores.
//!
//! All are at plain settings, where strategies differ in nothing else, and with seed 1. Real
//! threads run as far as there are cores. Simulated workers are run from the start on, so
//! that the two stand beside each other where both exist.
//!
//! | Runs              | Real threads         | Simulated workers                          |
//! | ----------------- | -------------------- | ------------------------------------------ |
//! | in place          | all passes           | 1 to 10, one pass; with 10 all passes      |
//! | snapshot          | one pass             | 2, 4, 6, 8, 10, one pass                   |
//! | plain, rich edges | one pass of a sample | 2, 4, 6, 8, 10, one pass of a sample       |
//! | speeds            | those of the arms    | 1 to 10, one pass without instruments      |
//! | theory            | all passes, a sample | 10, all passes of a sample                 |

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use asyn_report::Run;
use flate2::read::GzDecoder;
use serde::Serialize;

use super::contender::{CONTENDERS, Contender};
use super::experiment::Experiment;
use super::program::Program;
use super::theory::{self, Followed};
use super::{Settings, run_one};
use crate::error::{Error, Result};

/// The numbers of simulated workers where each of them counts; the source has as many threads.
const EACH: [u32; 10] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
/// Those where two ways are compared. One worker has no races.
const SOME: [u32; 5] = [2, 4, 6, 8, 10];
/// The sentences of a sample: with all types of chunks and with rich edges, a simulated pass
/// over all sentences takes a minute.
pub(super) const N_SAMPLE: usize = 2000;

/// The contenders whose simulated speeds are compared.
const RACERS: [&str; 3] = [ASYNGRAD, "round-robin", "locked"];
const ASYNGRAD: &str = "AsynGrad";

const RICH: &str = "--rich-edges";
const INSTRUMENTS: [&str; 2] = ["--instruments", "full"];

/// All runs behind the panels of one experiment.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Panels {
    pub(super) in_place: Vec<Watched>,
    pub(super) snapshot: Vec<Watched>,
    /// Weights for pairs of labels that no attribute looks at, on a sample.
    pub(super) plain_edges: Vec<Watched>,
    /// Frequent attributes look at pairs of labels too, on the same sample.
    pub(super) rich_edges: Vec<Watched>,
    /// Simulated runs of each contender that is compared.
    pub(super) speeds: Vec<(Contender, Vec<Watched>)>,
    /// AsynGrad by SGD on the same sample with plain edges, whose optimum is known.
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
    let watch = Watch { program, experiment, folder, threads };
    let asyngrad = |name, train, flags: &[&'static str]| Way {
        name,
        contender: contender(ASYNGRAD),
        train,
        flags: flags.iter().copied().chain(INSTRUMENTS).collect(),
    };

    let way = asyngrad("in-place", &experiment.train, experiment.flags);
    let [fewer @ .., most] = EACH;
    let mut in_place = watch.real(&way, settings.passes)?;
    in_place.extend(watch.simulated(&way, &fewer, 1)?);
    in_place.extend(watch.simulated(&way, &[most], settings.passes)?);

    let copied = [experiment.flags, &["--read", "snapshot"]].concat();
    let snapshot = watch.both(&asyngrad("snapshot", &experiment.train, &copied))?;

    let sample = sample(&experiment.train, folder)?;
    let mut flags = experiment.flags.to_vec();
    flags.retain(|&flag| flag != RICH);
    let plain_edges = watch.both(&asyngrad("plain-edges", &sample, &flags))?;
    flags.push(RICH);
    let rich_edges = watch.both(&asyngrad("rich-edges", &sample, &flags))?;

    let speeds = RACERS.map(contender).map(|contender| {
        let flags = experiment.flags.to_vec();
        let way = Way { name: "speed", contender, train: &experiment.train, flags };
        Ok((contender, watch.simulated(&way, &EACH, 1)?))
    });
    let speeds = speeds.into_iter().collect::<Result<_>>()?;
    let example = program.example("theory")?;
    let most_threads = watch.threads.iter().copied().max().unwrap_or(1);
    let followed = [(most_threads, false), (most, true)];
    let followed =
        followed.map(|workers| theory::follow(&example, &sample, folder, workers, settings.passes));
    let theory = followed.into_iter().collect::<Result<_>>()?;
    Ok(Panels { in_place, snapshot, plain_edges, rich_edges, speeds, theory })
}

impl Watch<'_> {
    /// Runs `way` on real threads and with some simulated workers, one pass each.
    fn both(&self, way: &Way<'_>) -> Result<Vec<Watched>> {
        let mut runs = self.real(way, 1)?;
        runs.extend(self.simulated(way, &SOME, 1)?);
        Ok(runs)
    }

    fn real(&self, way: &Way<'_>, passes: u32) -> Result<Vec<Watched>> {
        self.threads.iter().map(|&workers| self.run(way, workers, false, passes)).collect()
    }

    fn simulated(&self, way: &Way<'_>, workers: &[u32], passes: u32) -> Result<Vec<Watched>> {
        workers.iter().map(|&workers| self.run(way, workers, true, passes)).collect()
    }

    fn run(&self, way: &Way<'_>, workers: u32, is_simulated: bool, passes: u32) -> Result<Watched> {
        let mut arguments = self.experiment.files(way.train);
        arguments.extend(way.flags.iter().map(|&flag| flag.to_owned()));
        arguments.extend(way.contender.flags());
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

fn contender(name: &str) -> Contender {
    let mut contenders = CONTENDERS.iter().copied();
    contenders.find(|contender| contender.name == name).expect("the names are those of contenders")
}

/// Writes the first sentences of `train`, which may be compressed, into a file of their own.
fn sample(train: &Path, folder: &Path) -> Result<PathBuf> {
    let file = File::open(train).map_err(Error::file("open", train))?;
    let mut text = String::new();
    let is_compressed = train.extension().is_some_and(|extension| extension == "gz");
    let read = if is_compressed {
        GzDecoder::new(file).read_to_string(&mut text)
    } else {
        { file }.read_to_string(&mut text)
    };
    read.map_err(Error::file("read", train))?;
    let sentences = text.split("\n\n").filter(|sentence| !sentence.trim().is_empty());
    let first: String =
        sentences.take(N_SAMPLE).map(|sentence| format!("{}\n\n", sentence.trim())).collect();
    let path = folder.join("sample.txt");
    fs::write(&path, first).map_err(Error::file("write", &path))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_the_first_sentences() {
        let folder = tempfile::tempdir().unwrap();
        let train = folder.path().join("train.txt");
        fs::write(&train, "a B-NP\nb I-NP\n\n".repeat(N_SAMPLE + 7)).unwrap();
        let sample = fs::read_to_string(sample(&train, folder.path()).unwrap()).unwrap();
        assert_eq!(sample.matches("\n\n").count(), N_SAMPLE);
        assert!(sample.starts_with("a B-NP\nb I-NP\n\na "));
    }

    #[test]
    fn compared_strategies_are_contenders_at_plain_settings() {
        assert!(RACERS.iter().all(|name| !contender(name).is_tuned));
    }
}
