//! What races did to a run: the part of its events, the table and the figures.

use serde::{Deserialize, Serialize};

use crate::axis::Axis;
use crate::events::{Pass, Run};
use crate::figure::{Bar, BarGroup, Figure, Point, Series};
use crate::page::Page;
use crate::run::{by_pass, pass_axis};
use crate::table::Table;

/// What the workers of a pass or of a run saw, together and each by its number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRaces {
    /// What all saw.
    pub total: Races,
    /// What each saw.
    pub workers: Vec<Races>,
}

/// What some workers saw. Rates and shares are from 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Races {
    /// Steps whose staleness was counted.
    pub steps: u64,
    /// The share of them that updates of others overlapped.
    pub overlapped_rate: f64,
    /// How many updates, on average.
    pub staleness_mean: f64,
    /// How many at most.
    pub staleness_largest: u64,
    /// Steps with staleness 0, 1, …, 63, and with 64 or more; zeros at the end are left out.
    pub staleness: Vec<u64>,
    /// Steps whose gradient was computed again on a copy.
    pub probes: u64,
    /// The share of them that differ from it in any bit.
    pub wrong_rate: f64,
    /// The error of the gradient relative to its norm, over all probes.
    pub relative_error: ErrorQuantiles,
    /// The same over those that are wrong.
    pub relative_error_wrong: ErrorQuantiles,
    /// The mean cosine of the two gradients; `None` where it was not a number.
    pub cosine_mean: Option<f64>,
    /// The share of probed coordinates that differ in any bit.
    pub differing_share: f64,
    /// The share of them that differ by more than 1 %.
    pub far_share: f64,
    /// The share of them whose sign differs.
    pub sign_flip_share: f64,
    /// The norm of the mean error relative to that of the mean gradient.
    pub bias: Option<f64>,
    /// The share of sampled steps that read blocks which another worker wrote meanwhile.
    #[serde(default)]
    pub read_overwritten_rate: f64,
    /// The share of sampled steps that wrote a block at the same time as another worker.
    #[serde(default)]
    pub write_overwritten_rate: f64,
    /// The share of weights that changed while a sampled step computed its gradient.
    #[serde(default)]
    pub changed_share: f64,
    /// The share of the weights that sampled steps wrote which another worker had changed since
    /// they were loaded.
    #[serde(default)]
    pub exchange_failed_share: f64,
    /// The share of what all workers wrote to the watched blocks that was lost; `None` for one
    /// worker, since who lost it cannot be told.
    #[serde(default)]
    pub lost_rate: Option<f64>,
    /// What was lost: the sum of absolute values.
    #[serde(default)]
    pub lost_mass: Option<f64>,
}

/// Quantiles of the relative error; `None` where one was not a number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ErrorQuantiles {
    /// The median.
    pub p50: Option<f64>,
    /// Nine in ten are at most this.
    pub p90: Option<f64>,
    /// 99 in 100 are at most this.
    pub p99: Option<f64>,
    /// The largest.
    pub max: Option<f64>,
}

/// What a simulation counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Simulation {
    /// The virtual time, in seconds.
    pub seconds: f64,
    /// Vector loads of shared weights.
    pub loads: u64,
    /// Vector stores to them.
    pub stores: u64,
    /// Accesses to lines that came from another worker.
    pub misses: u64,
    /// Steps.
    pub steps: u64,
    /// Steps whose weights were overwritten while their gradient was computed.
    pub overwritten_steps: u64,
    /// Stores that undid one of another worker.
    pub lost_stores: u64,
    /// How often one worker handed over to another.
    pub switches: u64,
}

/// Makes a table of what races did, a row a pass and one for the run: how many steps were
/// stale, how many gradients torn, how many stores lost, and how wrong the gradients were.
#[must_use]
pub fn races_table(run: &Run) -> Table {
    let header = [
        "pass",
        "stale (%)",
        "by updates",
        "at most",
        "read over (%)",
        "write over (%)",
        "changed (%)",
        "torn (%)",
        "stored over (%)",
        "lost (%)",
        "error p50",
        "p90",
        "p99",
        "max",
        "cosine",
        "signs flipped (%)",
        "bias",
    ];
    let row = |table: Table, name: String, races: &RunRaces| {
        let races = &races.total;
        let error = races.relative_error;
        table.row([
            name,
            percent(races.overlapped_rate, 2),
            format!("{:.2}", races.staleness_mean),
            races.staleness_largest.to_string(),
            percent(races.read_overwritten_rate, 2),
            percent(races.write_overwritten_rate, 2),
            percent(races.changed_share, 4),
            percent(races.wrong_rate, 2),
            percent(races.exchange_failed_share, 4),
            races.lost_rate.map_or_else(none, |rate| percent(rate, 4)),
            scientific(error.p50),
            scientific(error.p90),
            scientific(error.p99),
            scientific(error.max),
            races.cosine_mean.map_or_else(none, |cosine| format!("{cosine:.6}")),
            percent(races.sign_flip_share, 4),
            scientific(races.bias),
        ])
    };
    let mut table = Table::new(header).note(
        "Stale: an update of another worker came between the read and the end of the write of a \
         step. Read over, write over: another worker wrote a block that a sampled step had read, \
         or while the step wrote it. Changed: of the weights of sampled steps, how many had \
         another value when they were read again after the gradient. Torn: a gradient differs from the one on a copy of its \
         weights. Stored over: of the weights that sampled steps wrote, how many another worker \
         had changed since they were loaded. Lost: of what was written to a sample of blocks, how much is not there in the \
         end. Error: the length of the difference relative to the gradient, over all probed steps.",
    );
    for pass in &run.passes {
        if let Some(races) = &pass.races {
            table = row(table, pass.pass.to_string(), races);
        }
    }
    if let Some(end) = &run.end
        && let Some(races) = &end.races
    {
        table = row(table, "all".to_owned(), races);
    }
    table
}

/// Adds what races did, if instruments were on.
pub(crate) fn add_section(page: Page, run: &Run) -> Page {
    if run.passes.iter().all(|pass| pass.races.is_none()) {
        return page;
    }
    let page = page.section("Races").table(races_table(run)).figure(errors(run));
    match run.end.as_ref().and_then(|end| end.races.as_ref()) {
        None => page,
        Some(races) => page.figure(rates(run, races)).figure(staleness(races)),
    }
}

fn errors(run: &Run) -> Figure {
    let of = |quantile: fn(&ErrorQuantiles) -> Option<f64>| {
        by_pass(run, |pass| quantile(&pass.races.as_ref()?.total.relative_error))
    };
    let y = Axis::new("error of a gradient, relative to its length").log();
    Figure::lines("Error of gradients by pass", pass_axis(run), y)
        .series(Series::new("median", of(|error| error.p50)))
        .series(Series::new("p90", of(|error| error.p90)))
        .series(Series::new("p99", of(|error| error.p99)))
        .series(Series::new("largest", of(|error| error.max)))
        .caption("Over all probed steps. Where a quantile is 0 it has no point.")
}

fn rates(run: &Run, races: &RunRaces) -> Figure {
    let bar = |name: &str, worker: usize, rate: fn(&Races) -> f64| {
        let of_pass = |pass: &Pass| pass.races.as_ref()?.workers.get(worker).map(rate);
        let passes: Vec<f64> = run.passes.iter().filter_map(of_pass).collect();
        let value = 100.0 * rate(&races.workers[worker]);
        let low = passes.iter().fold(f64::INFINITY, |low, rate| low.min(100.0 * rate));
        let high = passes.iter().fold(value, |high, rate| high.max(100.0 * rate));
        Bar { name: name.to_owned(), value, range: (low, high), text: format!("{value:.2} %") }
    };
    let group = |worker: usize| BarGroup {
        name: format!("worker {worker}"),
        bars: vec![
            bar("stale steps", worker, |races| races.overlapped_rate),
            bar("torn gradients", worker, |races| races.wrong_rate),
        ],
    };
    let groups = (0..races.workers.len()).map(group).collect();
    Figure::bars("Stale and torn by worker", Axis::new("share (%)"), groups)
        .caption("Of all steps, and of those that were probed. Thin lines span the passes.")
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn staleness(races: &RunRaces) -> Figure {
    let points = |races: &Races| {
        let steps = races.steps.max(1) as f64;
        let counts = races.staleness.iter().enumerate();
        counts.map(|(at, &n)| Point::new(at as f64, 100.0 * n as f64 / steps)).collect::<Vec<_>>()
    };
    let x = Axis::new("updates by others between read and write; 64 are 64 or more");
    let y = Axis::new("share of steps (%)").from(0.0);
    Figure::lines("Staleness", x, y).series(Series::new("all workers", points(&races.total)))
}

/// Adds the rates of what a simulation counted.
#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub(crate) fn add_simulation(table: Table, counted: &Simulation) -> Table {
    let share = |n: u64, of: u64| percent(n as f64 / of.max(1) as f64, 4);
    let accesses = counted.loads + counted.stores;
    table
        .row([
            "simulated steps that read overwritten weights (%)".to_owned(),
            share(counted.overwritten_steps, counted.steps),
        ])
        .row(["simulated stores lost (%)".to_owned(), share(counted.lost_stores, counted.stores)])
        .row(["simulated accesses missed (%)".to_owned(), share(counted.misses, accesses)])
}

fn none() -> String {
    "–".to_owned()
}

fn percent(share: f64, n_digits: usize) -> String {
    format!("{:.n_digits$}", 100.0 * share)
}

fn scientific(value: Option<f64>) -> String {
    value.map_or_else(
        none,
        |value| if value == 0.0 { "0".to_owned() } else { format!("{value:.1e}") },
    )
}
