//! `ner-delay`: names by a CRF, by SGD with a fixed step size and by batch learning, and what
//! sleeping workers do to it.

use std::path::PathBuf;

use asyn_report::{Axis, Run, Table};

use super::line::{Line, Moment, Value};
use super::show::{against_one, by_time, number, spread, under_delays};
use super::{DELAYS, Lab, Part, Study, THEIR_WORKERS};
use crate::error::{Error, Result};
use crate::reproduce::corpus;
use crate::reproduce::experiment::Name;
use crate::reproduce::run_one;

/// The sentences of a mini-batch.
const BATCH: u32 = 4;
/// The passes of SGD, and the iterations of L-BFGS.
const PASSES: u32 = 20;
const ITERATIONS: u32 = 60;
/// The passes under delays, and those of simulated workers.
const DELAYED_PASSES: u32 = 8;
const SIMULATED_PASSES: u32 = 5;
/// The passes of one undelayed worker that say which F1 is to be reached.
const LEVEL: f64 = 3.0;

const F1: Value = |moment| moment.score;

/// The settings of the source: variance 1 of the Gaussian prior, a fixed step size, all attributes
/// that occur, and every write at once.
const SGD: &str = "--update sgd --schedule constant --rate 0.01 --l2 1 --sums-every 1 \
                   --sparse-threshold 0 --replicas off";
const LBFGS: &str = "--update lbfgs --l2 1";

/// Columns, and the flags of their template.
struct Text {
    name: &'static str,
    train: PathBuf,
    test: PathBuf,
    flags: &'static str,
    n_sentences: u32,
}

/// A way of training.
#[derive(Debug, Clone, Copy)]
struct Way {
    name: &'static str,
    strategy: &'static str,
    workers: u32,
    is_simulated: bool,
    is_batch: bool,
    passes: u32,
    /// The mean of injected sleeps: in times of a mini-batch, and a time of one in seconds.
    delay: (f64, f64),
}

impl Way {
    const fn sgd(name: &'static str, strategy: &'static str, workers: u32) -> Self {
        let (passes, delay) = (PASSES, (0.0, 0.0));
        Self { name, strategy, workers, is_simulated: false, is_batch: false, passes, delay }
    }

    const fn serial() -> Self {
        Self::sgd("SGD, serial", "serial", 1)
    }

    const fn batch(workers: u32) -> Self {
        let strategy = if workers > 1 { "minibatch" } else { "serial" };
        let way = Self::sgd("L-BFGS", strategy, workers);
        Self { is_batch: true, passes: ITERATIONS, ..way }
    }

    fn arguments(&self) -> Vec<String> {
        let settings = if self.is_batch { LBFGS } else { SGD };
        let mut arguments: Vec<String> = settings.split_whitespace().map(str::to_owned).collect();
        let mut add = |flag: &str, value: String| arguments.extend([flag.to_owned(), value]);
        add("--strategy", self.strategy.to_owned());
        add("--threads", self.workers.to_string());
        add("--passes", self.passes.to_string());
        if !self.is_batch {
            // Workers that wait for each other share a mini-batch.
            let share = if self.strategy == "minibatch" { self.workers } else { 1 };
            add("--accumulate", (BATCH / share).max(1).to_string());
        }
        let (mean, seconds) = self.delay;
        if mean > 0.0 {
            add("--delay", format!("{:.3}", mean * seconds * 1e6));
        }
        if self.is_simulated {
            arguments.push("--simulate".to_owned());
        }
        arguments
    }
}

pub(super) fn study(lab: &Lab<'_>) -> Result<Study> {
    let text = text(lab)?;
    let mut study = Study {
        name: Name::NerDelay,
        title: "Names by SGD with a fixed step size, and delays",
        about: format!(
            "{}: a CRF by SGD with step size 0.01, {BATCH} sentences a mini-batch and a Gaussian \
             prior of variance 1, and by L-BFGS, whose passes are iterations. The score is F1 of the \
             classic conlleval on the test. The source has CoNLL-2003, English, where F1 comes near \
             89 to 90 %, with four processors in two hours and with one in ten to twelve.",
            text.name
        ),
        lines: Vec::new(),
        parts: Vec::new(),
    };
    let lines = strategies(lab, &text, &mut study)?;
    delays(lab, &text, &mut study)?;
    study.lines.extend(lines);
    Ok(study)
}

fn text(lab: &Lab<'_>) -> Result<Text> {
    if let Some(data) = lab.workspace.data() {
        let flags = "--template ner --min-freq 1";
        // The text of the source is licensed: it is taken from whoever has it.
        let [train, test] =
            ["eng.train", "eng.testb"].map(|part| data.join("conll2003").join(part));
        if train.is_file() && test.is_file() {
            let (name, n_sentences) = ("CoNLL-2003, English", 14_041);
            return Ok(Text { name, train, test, flags, n_sentences });
        }
        let (train, test) = corpus::files(Name::CrfNer, data, lab.program, lab.folder)?;
        let (name, n_sentences) = ("CoNLL-2002, Spanish", 8323);
        return Ok(Text { name, train, test, flags, n_sentences });
    }
    let [train, test] = ["train", "test"].map(|part| lab.folder.join(format!("names-{part}.txt")));
    let n_sentences = 2000;
    lab.program.generate(n_sentences, 1, &train)?;
    lab.program.generate(n_sentences / 4, 2, &test)?;
    let (name, flags) = ("Planted chunks", "--template chunking --min-freq 1");
    Ok(Text { name, train, test, flags, n_sentences })
}

/// Trains once, and returns what the weights were worth after each pass.
fn run(lab: &Lab<'_>, text: &Text, way: &Way, seed: u32) -> Result<Vec<Moment>> {
    let mut arguments = vec!["crf".to_owned()];
    for (flag, file) in [("--train", &text.train), ("--dev", &text.test)] {
        arguments.extend([flag.to_owned(), file.display().to_string()]);
    }
    arguments.extend(text.flags.split_whitespace().map(str::to_owned));
    arguments.extend(way.arguments());
    arguments.extend(["--seed".to_owned(), seed.to_string()]);
    let kind = if way.is_simulated { "simulated workers" } else { "threads" };
    let name = format!("{}, {} {kind}, delay {}, seed {seed}", way.name, way.workers, way.delay.0);
    let run: Run = run_one(lab.program, &arguments, lab.folder, Name::NerDelay, &name)?;
    #[allow(clippy::cast_precision_loss, reason = "there are few passes")]
    let moments = run.passes.iter().map(|pass| Moment {
        passes: pass.pass as f64,
        seconds: pass.total_train_seconds,
        log_likelihood: None,
        score: pass.dev.map(|dev| dev.f1),
        v_measure: None,
    });
    let moments: Vec<Moment> = moments.collect();
    match moments.last() {
        Some(last) => {
            eprintln!("  {name}: {} % after {:.2} s", number(last.score, 2), last.seconds)
        }
        None => return Err(Error::Incomplete { name, lacks: "pass" }),
    }
    Ok(moments)
}

fn line(text: &Text, way: &Way) -> Line {
    Line {
        text: text.name,
        name: way.name,
        update: if way.is_batch { "lbfgs" } else { "sgd" },
        workers: way.workers,
        is_simulated: way.is_simulated,
        batch: if way.is_batch { 0 } else { BATCH },
        delay: way.delay.0,
        runs: Vec::new(),
    }
}

fn lines(lab: &Lab<'_>, text: &Text, ways: &[Way], n_seeds: u32) -> Result<Vec<Line>> {
    let mut lines: Vec<Line> = ways.iter().map(|way| line(text, way)).collect();
    for seed in 1..=n_seeds {
        for (way, line) in ways.iter().zip(&mut lines) {
            // L-BFGS has no order of sentences.
            if seed == 1 || !way.is_batch {
                line.runs.push(run(lab, text, way, seed)?);
            }
        }
    }
    Ok(lines)
}

/// Runs all strategies without delays, and batch learning.
fn strategies(lab: &Lab<'_>, text: &Text, study: &mut Study) -> Result<Vec<Line>> {
    let mut ways = vec![Way::serial()];
    for threads in lab.threads() {
        ways.push(Way::sgd("synchronous", "minibatch", threads));
        ways.push(Way::sgd("locked", "locked", threads));
        ways.push(Way::sgd("asyngrad", "asyngrad", threads));
    }
    ways.push(Way::batch(1));
    ways.extend(lab.threads().into_iter().map(Way::batch));
    let lines = lines(lab, text, &ways, lab.settings.n_seeds)?;
    study.parts.push(Part::Table(finals(&lines)));
    if let Some((one, rest)) = lines.split_first() {
        let others: Vec<&Line> = rest.iter().filter(|line| line.update == "sgd").collect();
        if !others.is_empty() {
            study.parts.push(Part::Text("Times to an F1 in percent.".to_owned()));
            study.parts.push(Part::Table(against_one(one, &others, F1, 2)));
        }
    }
    let y = Axis::new("F1 on the test (%)");
    let figure = by_time("F1 over time", y, &lines, F1, lab.settings.n_cores);
    study.parts.push(Part::Figure(figure));
    Ok(lines)
}

fn finals(lines: &[Line]) -> Table {
    let header =
        ["strategy", "workers", "runs", "passes", "F1 (%)", "s a pass", "s in all", "× one worker"];
    let table =
        Table::new(header).note("Means and standard deviations over seeds, after the last pass.");
    lines.iter().fold(table, |table, line| {
        let one = lines.iter().find(|one| line.is_sped_up(one));
        let over_one = one.and_then(|one| Some(one.seconds_a_pass()? / line.seconds_a_pass()?));
        let passes = line.runs.first().and_then(|run| Some(run.last()?.passes));
        table.row([
            line.name.to_owned(),
            line.workers.to_string(),
            line.runs.len().to_string(),
            number(passes, 0),
            spread(&line.last(F1), 2),
            number(line.seconds_a_pass(), 4),
            number(line.seconds(), 2),
            number(over_one, 2),
        ])
    })
}

/// Runs the strategies under delays, in real time and in virtual time.
fn delays(lab: &Lab<'_>, text: &Text, study: &mut Study) -> Result<()> {
    let mut ways = vec![Way::serial()];
    let most = lab.most_threads();
    if most > 1 {
        ways.push(Way::sgd("synchronous", "minibatch", most));
        ways.push(Way::sgd("locked", "locked", most));
    }
    let threads = lab.delayed_threads().into_iter();
    ways.extend(threads.map(|threads| Way::sgd("asyngrad", "asyngrad", threads)));
    let real: Vec<Way> = ways.iter().map(|way| Way { passes: DELAYED_PASSES, ..*way }).collect();
    let simulated = [
        Way::serial(),
        Way::sgd("locked", "locked", THEIR_WORKERS),
        Way::sgd("asyngrad", "asyngrad", THEIR_WORKERS),
    ];
    let simulated =
        simulated.map(|way| Way { passes: SIMULATED_PASSES, is_simulated: true, ..way });
    for ways in [&real[..], &simulated] {
        under(lab, text, ways, study)?;
    }
    Ok(())
}

/// Runs `ways`, of which the first one is serial, with all delays.
fn under(lab: &Lab<'_>, text: &Text, ways: &[Way], study: &mut Study) -> Result<()> {
    let mut found = lines(lab, text, ways, 1)?;
    let Some(one) = found.first() else {
        return Ok(());
    };
    let n_batches = f64::from(text.n_sentences.div_ceil(BATCH));
    let batch_seconds = one.seconds_a_pass().unwrap_or_default() / n_batches;
    let Some(level) = one.levels(F1).into_iter().find(|it| it.passes >= LEVEL) else {
        return Ok(());
    };
    for delay in DELAYS {
        let ways: Vec<Way> =
            ways.iter().map(|way| Way { delay: (delay, batch_seconds), ..*way }).collect();
        found.extend(lines(lab, text, &ways, 1)?);
    }
    let kind = if ways[0].is_simulated { "in virtual time" } else { "in real time" };
    study.parts.push(Part::Text(format!(
        "Under delays {kind}: a mini-batch takes one worker {:.4} ms; the quality is the F1 after \
         {:.0} passes of one undelayed worker, {:.2} %.",
        batch_seconds * 1e3,
        level.passes,
        level.quality
    )));
    let n_cores = lab.settings.n_cores;
    study.parts.push(Part::Table(under_delays(&found, level.quality, F1, n_cores)));
    for delay in [DELAYS[0], DELAYS[2]] {
        let shown = found
            .iter()
            .filter(|line| line.delay == delay || line.delay == 0.0 && line.workers == 1);
        let title = format!("{kind}, sleeps of {delay} mini-batches, and one worker without");
        let y = Axis::new("F1 on the test (%)");
        study.parts.push(Part::Figure(by_time(title, y, shown, F1, n_cores)));
    }
    study.lines.extend(found);
    Ok(())
}
