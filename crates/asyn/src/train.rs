//! `asyn train`.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use asyn::Tagger;
use asyn::core::simulate::SimulationReport;
use asyn::core::{self, Outcome};

use crate::checkpoint::{self, Best, Fingerprint};
use crate::choice::{StrategyChoice, UpdateChoice};
use crate::data::Data;
use crate::event::{Event, Log, SimulationFacts};
use crate::failure::Failure;
use crate::machine;
use crate::plan;
use crate::progress::Talk;
use crate::races::RaceFacts;
use crate::recording::{Ending, Header, Recording, Tape};
use crate::report::write_report;
use crate::rules::real;
use crate::run_folder::{RunFolder, check_target};
use crate::settings::Settings;
use crate::train_args::ModelArgs;
use crate::watch::Watch;

/// Trains a model and writes it.
pub(crate) fn run(args: &impl ModelArgs, talk: Talk, started: Instant) -> Result<(), Failure> {
    let mut settings = Settings::resolve(args)?;
    let args = args.common();
    if settings.model.is_none() && args.run.is_none() && args.resume.is_none() {
        return Err(Failure::Usage("--model or --run is needed: where the result goes".into()));
    }
    let folder = match (&args.run, &args.resume) {
        (Some(path), _) => Some(RunFolder::new(path)?),
        (None, Some(path)) => Some(RunFolder::of_run(path)),
        (None, None) => None,
    };
    if args.record.is_some() && settings.patience.is_some() {
        let problem = "a run with --patience cannot be recorded: it may end early";
        return Err(Failure::Usage(problem.to_owned()));
    }
    if args.record.is_some() && settings.update == UpdateChoice::Lbfgs {
        let problem = "lbfgs cannot be recorded: it is the same every time";
        return Err(Failure::Usage(problem.to_owned()));
    }
    if args.record.is_some() && settings.strategy == StrategyChoice::Minibatch {
        let problem = "minibatch cannot be recorded: it is the same every time";
        return Err(Failure::Usage(problem.to_owned()));
    }
    for path in settings.model.iter().chain(&args.record) {
        check_target(path)?;
    }
    let mut data = Data::load(&mut settings, talk)?;
    let fingerprint = folder.as_ref().map(|_| Fingerprint::new(&data.tagger, &data.examples));
    let mut before = None;
    if let (Some(folder), Some(fingerprint), Some(_)) = (&folder, &fingerprint, &args.resume) {
        before = Some(checkpoint::load(folder, fingerprint)?);
    }
    let log = open_log(&settings, folder.as_ref(), args.resume.is_some())?;
    let mut watch = Watch::new(&settings, &data, log, talk);
    let (checkpoint, best) = before.unzip();
    if let (Some(folder), Some(fingerprint)) = (&folder, fingerprint) {
        watch.keep(RunFolder::of_run(folder.path()), fingerprint, best.flatten());
    }

    let first_pass = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.pass);
    let mut tape = if args.record.is_some() { Tape::Record } else { Tape::Off };
    let outcome =
        match plan::train(&settings, &mut data, checkpoint.as_ref(), &mut watch, &mut tape) {
            Ok(outcome) => outcome,
            Err(failure) => {
                return Err(save_good(failure, &settings, folder.as_ref(), data, watch, talk));
            }
        };
    let (manner, best, mut log) = watch.finish()?;
    let passes = first_pass.max(outcome.passes.last().map_or(0, |report| report.pass));
    let has_settled = (settings.patience.zip(best.as_ref()))
        .is_some_and(|(patience, best)| best.has_aged(passes, patience));
    let stopped = outcome.stopped && passes < settings.passes && !has_settled;
    match (&args.record, tape) {
        (Some(path), Tape::Given(_)) if stopped => talk.warn(&format!(
            "stopped: {} is not written, only whole runs are recorded",
            path.display()
        )),
        (Some(path), Tape::Given(events)) => {
            let fingerprint = Fingerprint::new(&data.tagger, &data.examples);
            let dev_f1 = best.as_ref().map(|best| best.score.f1);
            let end = Ending::new(&data.tagger.weights().to_vec(), dev_f1);
            let header = Header::new(&settings, fingerprint.facts(), end);
            Recording { header, events }.save(path)?;
        }
        _ => {}
    }
    let mut about = about(&settings, &data, &manner, passes);
    let best = best.map(|best| {
        about.insert("dev".to_owned(), best.describe());
        let Best { pass, score, weights } = best;
        *data.tagger.weights_mut() = weights;
        (pass, score)
    });
    if let Some(least) = settings.prune {
        let n = data.tagger.encoder().n_attributes();
        let dropped = data.tagger.prune(real(least), settings.threads.get());
        talk.say(&format!("pruned {dropped} of {n} attributes"));
    }
    save(&settings, folder.as_ref(), &data.tagger, &about, talk)?;

    let simulation = say_simulation(&outcome, talk);
    let time_before = checkpoint.map_or(Duration::ZERO, |checkpoint| checkpoint.train_time);
    let train_time = outcome.passes.last().map_or(time_before, |report| report.total_train_time);
    log.write(&Event::End {
        passes,
        stopped,
        best_pass: best.map(|(pass, _)| pass),
        dev_f1: best.map(|(_, score)| score.f1),
        total_train_seconds: train_time.as_secs_f64(),
        wall_seconds: started.elapsed().as_secs_f64(),
        peak_memory_bytes: machine::peak_memory_bytes(),
        races: RaceFacts::of_run(&outcome.passes),
        simulation: simulation.as_ref().map(SimulationFacts::from),
    })?;
    if let Some(folder) = &folder {
        // The model is saved; a page that cannot be made is no reason to say that the run failed.
        write_report(folder).unwrap_or_else(|failure| talk.warn(&failure.line()));
    }
    if let Some((pass, score)) = best {
        let end = if has_settled { ", and no better one since" } else { "" };
        talk.say(&format!("best pass {pass}: dev F1 {:.2}{end}", score.f1));
    }
    say_end(&settings, &outcome, talk, started);
    match (stopped, &folder) {
        (false, _) => Ok(()),
        (true, None) => Err(Failure::Stopped("stopped; the model so far is saved".to_owned())),
        (true, Some(folder)) => {
            Err(Failure::Stopped(format!("stopped; --resume {} goes on", folder.path().display())))
        }
    }
}

/// Saves what a run that diverged was before, the best pass if there are development data, and
/// returns why it ended.
fn save_good(
    failure: Failure,
    settings: &Settings,
    folder: Option<&RunFolder>,
    mut data: Data,
    watch: Watch,
    talk: Talk,
) -> Failure {
    let (Failure::Asyn(asyn::Error::Training(core::Error::Diverged { good, .. })), Some(_)) =
        (&failure, &settings.bilstm)
    else {
        return failure;
    };
    let save = || -> Result<Option<u32>, Failure> {
        let (manner, best, _) = watch.finish()?;
        let mut about = about(settings, &data, &manner, *good);
        let pass = match best {
            Some(best) => {
                about.insert("dev".to_owned(), best.describe());
                *data.tagger.weights_mut() = best.weights;
                best.pass
            }
            None => *good,
        };
        if pass > 0 {
            save(settings, folder, &data.tagger, &about, talk)?;
        }
        Ok((pass > 0).then_some(pass))
    };
    match save() {
        Ok(Some(pass)) => {
            Failure::Diverged(format!("{}; the model after pass {pass} is saved", failure.line()))
        }
        Ok(None) => failure,
        Err(failure) => failure,
    }
}

/// Opens the files of events, and writes the settings of a run directory.
fn open_log(
    settings: &Settings,
    folder: Option<&RunFolder>,
    goes_on: bool,
) -> Result<Log, Failure> {
    let mut log = Log::default();
    if let Some(folder) = folder {
        folder.create(&settings.to_toml())?;
        log.add(&folder.metrics(), goes_on)?;
    }
    if let Some(path) = &settings.log {
        log.add(path, false)?;
    }
    Ok(log)
}

/// Returns what a model file says about its model. Nothing in it changes from run to run.
pub(crate) fn about(
    settings: &Settings,
    data: &Data,
    manner: &str,
    passes: u32,
) -> BTreeMap<String, String> {
    let settings = settings.of_model();
    let training = format!(
        "{}: {} sentences, {} tokens",
        settings.train.display(),
        data.n_sentences,
        data.n_tokens
    );
    let facts = [
        ("data", training),
        ("training", manner.to_owned()),
        ("passes", passes.to_string()),
        ("settings", settings.to_toml()),
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    facts.map(|(name, value)| (name.to_owned(), value)).into()
}

/// Writes the model wherever it is wanted.
pub(crate) fn save(
    settings: &Settings,
    folder: Option<&RunFolder>,
    tagger: &Tagger,
    about: &BTreeMap<String, String>,
    talk: Talk,
) -> Result<(), Failure> {
    for path in folder.map(RunFolder::model).iter().chain(&settings.model) {
        let started = Instant::now();
        if settings.f16 {
            tagger.save_f16(path, about.clone())?;
        } else {
            tagger.save(path, about.clone())?;
        }
        let size = fs::metadata(path).map_or(0, |file| file.len());
        talk.say(&format!("saved {}: {:.1} MB", path.display(), size as f64 / 1e6));
        talk.detail(&format!("saved in {:.3} s", started.elapsed().as_secs_f64()));
    }
    Ok(())
}

/// Says what the simulation of a run counted, and returns it, if the run was simulated.
pub(crate) fn say_simulation(outcome: &Outcome, talk: Talk) -> Option<SimulationReport> {
    let simulation = outcome.passes.iter().filter_map(|report| report.simulation.as_ref());
    let simulation = simulation.cloned().reduce(|mut sum, pass| {
        sum.add(&pass);
        sum
    });
    if let Some(simulation) = &simulation {
        talk.say(&describe(simulation));
    }
    simulation
}

fn describe(report: &SimulationReport) -> String {
    let steps = report.steps.max(1) as f64;
    format!(
        "simulated: {:.3} s of virtual time, {} steps, {:.2} % of them read weights that were \
         overwritten meanwhile, {:.4} % of {} stores lost, {:.2} % of accesses missed",
        report.seconds,
        report.steps,
        100.0 * report.overwritten_steps as f64 / steps,
        100.0 * report.lost_stores as f64 / report.stores.max(1) as f64,
        report.stores,
        100.0 * report.misses as f64 / (report.loads + report.stores).max(1) as f64,
    )
}

fn say_end(settings: &Settings, outcome: &Outcome, talk: Talk, started: Instant) {
    let training: f64 = outcome.passes.iter().map(|report| report.train_time.as_secs_f64()).sum();
    let memory = machine::peak_memory_bytes();
    let memory = memory.map_or(String::new(), |n| format!(", {:.0} MB at most", n as f64 / 1e6));
    talk.say(&format!(
        "{:.2} s in all, {training:.2} s of training{memory}",
        started.elapsed().as_secs_f64()
    ));
    let is_repeatable = match settings.strategy {
        StrategyChoice::Serial | StrategyChoice::Minibatch => true,
        StrategyChoice::Asyngrad
        | StrategyChoice::Locked
        | StrategyChoice::RoundRobin
        | StrategyChoice::Bounded => settings.simulate || settings.threads.get() == 1,
    };
    if !is_repeatable {
        talk.say(&format!(
            "runs on several threads differ a little; to repeat one exactly: --strategy serial --seed {}",
            settings.seed
        ));
    }
}
