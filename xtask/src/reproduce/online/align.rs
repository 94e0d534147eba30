//! `em-align`: IBM Model 1 in both directions, by batch EM and by stepwise EM with several workers.

use std::fs;
use std::path::Path;

use asyn_report::statistics::mean;
use asyn_report::{Axis, Table};

use super::follow::{Follower, Way};
use super::line::{Line, Moment, Value};
use super::show::{against_one, by_time, number, spread, under_delays};
use super::{DELAYS, Lab, Part, Study, THEIR_WORKERS};
use crate::error::{Error, Result};
use crate::reproduce::corpus;
use crate::reproduce::experiment::Name;
use crate::reproduce::parallel::{Parallel, SPANISH};
use crate::reproduce::program::Program;

/// The passes of stepwise EM, as many as the source has, and those of batch EM, whose last
/// likelihood the others are held against.
const PASSES: u32 = 20;
const BATCH_PASSES: u32 = 60;
/// The sizes of mini-batches, and the one that is delayed.
const SIZES: [u32; 4] = [10, 100, 1000, 10_000];
const DELAYED_SIZE: u32 = 100;
/// The passes under delays, and those of one worker that say which likelihood is to be reached.
const DELAYED_PASSES: u32 = 6;
const LEVEL: f64 = 2.0;
/// The pairs of the text that is simulated.
const SIMULATED_PAIRS: usize = 1000;
/// The most rounds on a text: its likelihood hardly depends on the order of pairs.
const MOST_ROUNDS: u32 = 3;

const LIKELIHOOD: Value = |moment| moment.log_likelihood;
const THOUSANDS: Value = |moment| Some(moment.log_likelihood? / 1e3);
const ERROR_RATE: Value = |moment| moment.score;

/// The table of the source: strategy, processors or, of MapReduce, machines that are not told, size of
/// a mini-batch, AER in percent, hours and minutes.
const THEIRS: [(&str, &str, &str, &str, &str); 7] = [
    ("asynchronous", "4", "10000", "27.4", "1:58"),
    ("synchronous", "4", "10000", "27.4", "2:08"),
    ("synchronous", "1", "10000", "27.2", "6:57"),
    ("batch EM", "1", "all", "27.6", "2:15"),
    ("MapReduce, asynchronous", "–", "10000", "28.1", "5:41"),
    ("MapReduce, synchronous", "–", "10000", "27.3", "27:03"),
    ("MapReduce, batch EM", "–", "all", "27.6", "8:35"),
];

pub(super) fn study(lab: &Lab<'_>) -> Result<Study> {
    let example = lab.program.example("em")?;
    let mut study = Study {
        name: Name::EmAlign,
        title: "Word alignment by expectation maximisation",
        about: format!(
            "IBM Model 1 with the empty word, trained in both directions, one after the other; \
             links of both are joined by grow-diag-final. Steps of stepwise EM, of which a pass has N, \
             are 16 / (k + 16 + 6 N). Times and log-likelihoods are sums over both directions; a \
             log-likelihood is that of the whole text at weights that stand still, and the clock \
             stands still meanwhile. \
             Synchronous workers compute one mini-batch each at the same weights and wait for each \
             other; all mini-batches of a size have the same steps. Batch EM makes {BATCH_PASSES} passes, the others {PASSES}."
        ),
        lines: Vec::new(),
        parts: Vec::new(),
    };
    for text in texts(lab, &example)? {
        strategies(lab, &example, &text, &mut study)?;
        if is_delayed(&text, lab) {
            delays(lab, &example, &text, &mut study)?;
        }
    }
    Ok(study)
}

/// Says whether a text is run under delays: the larger one with gold links where all are run.
fn is_delayed(text: &Parallel, lab: &Lab<'_>) -> bool {
    match lab.workspace.data() {
        Some(_) if !lab.is_quick() => text.name == SPANISH,
        _ => true,
    }
}

fn follower<'f>(text: &Parallel, example: &'f Program<'f>, folder: &'f Path) -> Follower<'f> {
    let mut subject = vec!["align".to_owned()];
    subject.extend([&text.left, &text.right].map(|path| path.display().to_string()));
    if let Some(gold) = &text.gold {
        subject.extend(["--gold".to_owned(), gold.display().to_string()]);
    }
    Follower { example, folder, subject, text: text.name }
}

/// Returns the texts: those of the corpora, or a planted one.
fn texts(lab: &Lab<'_>, example: &Program<'_>) -> Result<Vec<Parallel>> {
    let Some(data) = lab.workspace.data() else {
        return Ok(vec![Parallel::planted(example, lab.folder)?]);
    };
    let mut texts = vec![Parallel::hansards(data, lab.folder)?];
    if !lab.is_quick() {
        texts.push(Parallel::spanish(data, lab.folder)?);
        texts.push(Parallel::multi30k(data)?);
    }
    Ok(texts)
}

/// Writes the first pairs of a text into files of their own.
fn sample(text: &Parallel, folder: &Path) -> Result<Parallel> {
    let first = |path: &Path, name: &str| {
        let whole = corpus::read(path)?;
        let lines = whole.lines().take(SIMULATED_PAIRS).map(|line| format!("{line}\n"));
        let path = folder.join(name);
        fs::write(&path, lines.collect::<String>()).map_err(Error::file("write", &path))?;
        Ok::<_, Error>(path)
    };
    let (left, right) = (first(&text.left, "sample.left")?, first(&text.right, "sample.right")?);
    Ok(Parallel { name: text.name, left, right, gold: None })
}

/// Runs all strategies with mini-batches of all sizes.
fn strategies(
    lab: &Lab<'_>,
    example: &Program<'_>,
    text: &Parallel,
    study: &mut Study,
) -> Result<()> {
    let follower = follower(text, example, lab.folder);
    let n_pairs = u32::try_from(corpus::read(&text.left)?.lines().count()).unwrap_or(u32::MAX);
    let mut ways = vec![Way::batch(1, BATCH_PASSES)];
    ways.extend(lab.threads().into_iter().map(|threads| Way::batch(threads, BATCH_PASSES)));
    ways.push(Way::incremental(PASSES));
    for size in SIZES.into_iter().filter(|&size| size < n_pairs) {
        ways.push(Way::serial(size, PASSES));
        for threads in lab.threads() {
            ways.push(Way::synchronous(threads, size, PASSES));
            ways.push(Way::locked(threads, size, PASSES));
            ways.push(Way::asyngrad(threads, size, PASSES));
        }
    }
    let seeds = 1..=lab.settings.n_seeds.min(MOST_ROUNDS);
    let rounds: Vec<_> = seeds.map(|seed| vec![("--seed", seed)]).collect();
    let (lines, n_examples, n_cells) = follower.lines(&ways, &rounds, |_, _| true)?;
    show(lab, text, &lines, (n_examples, n_cells), study);
    study.lines.extend(lines);
    Ok(())
}

/// Adds tables and figures of the strategies on a text.
fn show(
    lab: &Lab<'_>,
    text: &Parallel,
    lines: &[Line],
    (n_examples, n_cells): (u32, u64),
    study: &mut Study,
) {
    study.parts.push(Part::Text(format!(
        "{}: {n_examples} pairs, {:.2} million pairs of words in both directions, the empty word \
         included.",
        text.name,
        millions(n_cells)
    )));
    study.parts.push(Part::Table(finals(lines, n_cells, text.gold.is_some())));
    let n_cores = lab.settings.n_cores;
    let sizes = || {
        let ones = lines.iter().filter(|line| line.is_stepwise() && line.workers == 1);
        ones.map(|line| line.batch)
    };
    for size in sizes() {
        let of_size = || lines.iter().filter(move |line| line.is_stepwise() && line.batch == size);
        let Some(one) = of_size().find(|line| line.workers == 1) else { continue };
        let others: Vec<&Line> = of_size().filter(|line| line.workers > 1).collect();
        if others.is_empty() {
            continue;
        }
        study.parts.push(Part::Text(format!(
            "{}, mini-batches of {size}: times to a log-likelihood in thousands.",
            text.name
        )));
        study.parts.push(Part::Table(against_one(one, &others, THOUSANDS, 2)));
    }
    for size in sizes() {
        let shown = || lines.iter().filter(move |line| !line.is_stepwise() || line.batch == size);
        let title = format!("{}, mini-batches of {size}", text.name);
        let y = Axis::new("log-likelihood (thousands)");
        let y = match one_pass(shown(), THOUSANDS) {
            Some(lowest) => y.from(lowest),
            None => y,
        };
        study.parts.push(Part::Figure(by_time(&title, y, shown(), THOUSANDS, n_cores)));
        if text.gold.is_some() {
            let y = Axis::new("alignment error rate (%)");
            study.parts.push(Part::Figure(by_time(title, y, shown(), ERROR_RATE, n_cores)));
        }
    }
}

/// Returns the lowest value that stepwise EM has after one pass: batch EM comes from far below.
fn one_pass<'a>(lines: impl Iterator<Item = &'a Line>, value: Value) -> Option<f64> {
    let stepwise = lines.filter(|line| line.is_stepwise());
    let first = stepwise.filter_map(|line| Some(line.curve(value).get(1)?.1));
    first.min_by(f64::total_cmp)
}

/// Returns the table of what all have in the end, with that of the source.
fn finals(lines: &[Line], n_cells: u64, has_gold: bool) -> Table {
    let header = [
        "strategy",
        "workers",
        "mini-batch",
        "log-likelihood (thousands)",
        "above batch EM (%)",
        "of as many passes (%)",
        "passes to its 5",
        "AER (%)",
        "s a pass",
        "M cells/s",
        "× one worker",
    ];
    let batch = lines.iter().find(|line| line.update == "batch");
    let best = batch.and_then(|line| mean(&line.last(LIKELIHOOD)));
    let after_five = batch.and_then(|line| Some(line.curve(LIKELIHOOD).get(5)?.1));
    let as_many = batch.and_then(|line| Some(line.curve(LIKELIHOOD).get(PASSES as usize)?.1));
    let mut table = Table::new(header).note(format!(
        "After the last pass; means and standard deviations over orders of pairs: {}. Above batch EM \
         is the distance of the log-likelihood from that of batch EM after {BATCH_PASSES} passes, \
         in percent of it, and then from that of batch EM after as many passes; passes to its 5 \
         are those to what batch EM has after five. Gimpel, Das and Smith 2010 have 300,000 \
         pairs, mini-batches of 10,000, {PASSES} passes, and other machines.",
        lines.iter().map(|line| line.runs.len()).max().unwrap_or(0)
    ));
    for line in lines {
        let last = line.last(THOUSANDS);
        let end = mean(&line.last(LIKELIHOOD));
        let above = |other: Option<f64>| {
            end.zip(other).map(|(it, other)| 100.0 * (it - other) / other.abs())
        };
        let as_many = as_many.filter(|_| line.update != "batch");
        let passes = after_five.and_then(|level| passes_to(line, level));
        let one = lines.iter().find(|one| line.is_sped_up(one));
        let over_one = one.and_then(|one| Some(one.seconds_a_pass()? / line.seconds_a_pass()?));
        table = table.row([
            line.name.to_owned(),
            line.workers.to_string(),
            if line.batch == 0 { "all".to_owned() } else { line.batch.to_string() },
            spread(&last, 2),
            number(above(best), 3),
            number(above(as_many), 3),
            passes.map_or_else(|| "–".to_owned(), |passes| format!("{passes:.0}")),
            if has_gold { spread(&line.last(ERROR_RATE), 1) } else { "–".to_owned() },
            number(line.seconds_a_pass(), 4),
            number(line.seconds_a_pass().map(|seconds| millions(n_cells) / seconds), 0),
            number(over_one, 2),
        ]);
    }
    if has_gold {
        for (name, processors, batch, error_rate, time) in THEIRS {
            let name = format!("{name} (Gimpel 2010, {time} h)");
            table = table.row([name.as_str(), processors, batch, "–", "–", "–", "–", error_rate]);
        }
    }
    table
}

/// Returns the passes to a log-likelihood.
fn passes_to(line: &Line, level: f64) -> Option<f64> {
    let at = line.curve(LIKELIHOOD).iter().position(|&(_, value)| value >= level)?;
    line.runs.first()?.get(at).map(|moment: &Moment| moment.passes)
}

/// Runs the strategies under delays, in real time and in virtual time.
fn delays(lab: &Lab<'_>, example: &Program<'_>, text: &Parallel, study: &mut Study) -> Result<()> {
    let serial = Way::serial(DELAYED_SIZE, DELAYED_PASSES);
    let mut ways = vec![serial];
    let most = lab.most_threads();
    if most > 1 {
        ways.push(Way::synchronous(most, DELAYED_SIZE, DELAYED_PASSES));
        ways.push(Way::locked(most, DELAYED_SIZE, DELAYED_PASSES));
    }
    let threads = lab.delayed_threads().into_iter();
    ways.extend(threads.map(|threads| Way::asyngrad(threads, DELAYED_SIZE, DELAYED_PASSES)));
    under(lab, &follower(text, example, lab.folder), &ways, study)?;
    let ways = [
        serial.simulated(),
        Way::locked(THEIR_WORKERS, DELAYED_SIZE / 10, DELAYED_PASSES).simulated(),
        Way::asyngrad(THEIR_WORKERS, DELAYED_SIZE / 10, DELAYED_PASSES).simulated(),
    ];
    let ways = ways.map(|way| Way { batch: DELAYED_SIZE / 10, ..way });
    let sample = sample(text, lab.folder)?;
    under(lab, &follower(&sample, example, lab.folder), &ways, study)
}

/// Runs `ways`, of which the first one is serial, with all delays.
fn under(lab: &Lab<'_>, follower: &Follower<'_>, ways: &[Way], study: &mut Study) -> Result<()> {
    let rounds = [vec![("--seed", 1)]];
    let (mut lines, n_examples, _) = follower.lines(ways, &rounds, |_, _| true)?;
    let Some((one, batch)) = lines.first().zip(ways.first().map(|way| way.batch)) else {
        return Ok(());
    };
    // Both directions are in the time of a pass.
    let n_batches = 2 * n_examples.div_ceil(batch.max(1));
    let batch_seconds = one.seconds_a_pass().unwrap_or_default() / f64::from(n_batches);
    let Some(level) = one.levels(THOUSANDS).into_iter().find(|it| it.passes >= LEVEL) else {
        return Ok(());
    };
    for delay in DELAYS {
        let ways: Vec<Way> = ways.iter().map(|way| way.delayed(delay, batch_seconds)).collect();
        lines.extend(follower.lines(&ways, &rounds, |_, _| true)?.0);
    }
    let kind = if ways[0].is_simulated { "in virtual time, a sample" } else { "in real time" };
    study.parts.push(Part::Text(format!(
        "{}, {n_examples} pairs, mini-batches of {batch}, under delays {kind}: a mini-batch takes \
         one worker {:.3} ms; the quality is the log-likelihood after {LEVEL} passes of one \
         undelayed worker, {:.2} thousand.",
        follower.text,
        batch_seconds * 1e3,
        level.quality
    )));
    let n_cores = lab.settings.n_cores;
    study.parts.push(Part::Table(under_delays(&lines, level.quality, THOUSANDS, n_cores)));
    for delay in [DELAYS[0], DELAYS[2]] {
        let shown = lines
            .iter()
            .filter(|line| line.delay == delay || line.delay == 0.0 && line.workers == 1);
        let title = format!(
            "{} {kind}, sleeps of {delay} mini-batches, and one worker without",
            follower.text
        );
        let y = Axis::new("log-likelihood (thousands)");
        study.parts.push(Part::Figure(by_time(title, y, shown, THOUSANDS, n_cores)));
    }
    study.lines.extend(lines);
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn millions(n: u64) -> f64 {
    n as f64 / 1e6
}
