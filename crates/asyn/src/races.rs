//! What the instruments saw in a pass or in all, as the events and the terminal tell it.

use asyn::core::{Mass, PassReport, Probe, Quantiles, RaceReport, Races};
use serde::Serialize;

/// What all workers saw together, and each by its number.
#[derive(Debug, Serialize)]
pub(crate) struct RaceFacts {
    total: TotalFacts,
    workers: Vec<WorkerFacts>,
}

impl From<&RaceReport> for RaceFacts {
    fn from(report: &RaceReport) -> Self {
        let Mass { lost, .. } = report.mass;
        let total = TotalFacts {
            workers: WorkerFacts::from(&report.total()),
            lost_rate: report.mass.lost_share(),
            lost_mass: lost,
        };
        Self { total, workers: report.workers.iter().map(WorkerFacts::from).collect() }
    }
}

impl RaceFacts {
    /// Adds up all passes; `None` if no instrument was on.
    pub(crate) fn of_run(passes: &[PassReport]) -> Option<Self> {
        let mut sum = RaceReport::default();
        for pass in passes.iter().filter_map(|report| report.races.as_ref()) {
            sum.workers.resize_with(pass.workers.len().max(sum.workers.len()), Races::default);
            sum.workers.iter_mut().zip(&pass.workers).for_each(|(sum, pass)| sum.add(pass));
            sum.mass.add(&pass.mass);
        }
        (!sum.workers.is_empty()).then(|| Self::from(&sum))
    }

    /// Says in a line what the workers saw together.
    pub(crate) fn in_words(&self) -> String {
        let TotalFacts { workers: total, lost_rate, .. } = &self.total;
        let errors = &total.relative_error_wrong;
        let errors = if total.wrong_rate > 0.0 {
            format!(", by {:.1e} in the median and {:.1e} at most", errors.p50, errors.max)
        } else {
            String::new()
        };
        format!(
            "{:.1} % of steps stale (by {:.2} updates, at most {}), {:.1} % of {} probed \
             gradients torn{errors}, {:.4} % of what was written lost",
            100.0 * total.overlapped_rate,
            total.staleness_mean,
            total.staleness_largest,
            100.0 * total.wrong_rate,
            total.probes,
            100.0 * lost_rate,
        )
    }
}

/// What all workers saw, and what of their writes to the watched blocks was lost: which of them
/// lost it cannot be told.
#[derive(Debug, Serialize)]
struct TotalFacts {
    #[serde(flatten)]
    workers: WorkerFacts,
    lost_rate: f64,
    lost_mass: f64,
}

/// Rates and shares are from 0 to 1; shares of coordinates are over all probes.
#[derive(Debug, Serialize)]
struct WorkerFacts {
    steps: u64,
    overlapped_rate: f64,
    staleness_mean: f64,
    staleness_largest: u64,
    /// Steps with staleness 0, 1, …, up to the largest one; the last of 65 is 64 or more.
    staleness: Vec<u64>,
    probes: usize,
    wrong_rate: f64,
    relative_error: QuantileFacts,
    /// The same over the probes that are wrong.
    relative_error_wrong: QuantileFacts,
    cosine_mean: f64,
    differing_share: f64,
    far_share: f64,
    sign_flip_share: f64,
    bias: f64,
    /// Of the sampled steps; 0 where block versions are off.
    read_overwritten_rate: f64,
    write_overwritten_rate: f64,
    /// The share of weights that changed between two reads of the same sampled step.
    changed_share: f64,
    /// The share of the weights that sampled steps wrote which another worker had changed since
    /// they were loaded.
    exchange_failed_share: f64,
    /// The mean of `(g − s)ᵀ (w − w*)`, where an optimum `w*` is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    projection: Option<f64>,
}

impl From<&Races> for WorkerFacts {
    fn from(races: &Races) -> Self {
        let staleness = &races.staleness;
        let counts = staleness.counts();
        let end = counts.iter().rposition(|&n| n > 0).map_or(0, |last| last + 1);
        let sum = |count: fn(&Probe) -> u64| races.probes.iter().map(count).sum::<u64>();
        let coordinates = sum(|probe| probe.coordinates).max(1) as f64;
        let share = |count: fn(&Probe) -> u64| sum(count) as f64 / coordinates;
        Self {
            steps: staleness.steps(),
            overlapped_rate: staleness.rate(),
            staleness_mean: staleness.mean(),
            staleness_largest: staleness.largest(),
            staleness: counts[..end].to_vec(),
            probes: races.probes.len(),
            wrong_rate: races.wrong_rate(),
            relative_error: races.relative_error(false).into(),
            relative_error_wrong: races.relative_error(true).into(),
            cosine_mean: races.cosine(),
            differing_share: share(|probe| probe.differing),
            far_share: share(|probe| probe.far),
            sign_flip_share: share(|probe| probe.sign_flips),
            bias: races.bias(),
            read_overwritten_rate: races.overwrites.read_rate(),
            write_overwritten_rate: races.overwrites.write_rate(),
            changed_share: races.changes.rate(),
            exchange_failed_share: races.exchanges.rate(),
            projection: races.projection(),
        }
    }
}

#[derive(Debug, Serialize)]
struct QuantileFacts {
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

impl From<Quantiles> for QuantileFacts {
    fn from(Quantiles { p50, p90, p99, max }: Quantiles) -> Self {
        Self { p50, p90, p99, max }
    }
}
