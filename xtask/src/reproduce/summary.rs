//! From runs to rows: what the seeds of a contender have in common.
//!
//! | Quantity           | How it is summarised                                         |
//! | ------------------ | ------------------------------------------------------------ |
//! | score              | after the last pass; mean and standard deviation over seeds  |
//! | tokens/s, s a pass | median pass of a run, then median over seeds                 |
//! | time to a score    | first pass at which the mean over seeds reaches it           |
//! | speed-up           | ratio of two of these tokens/s                               |
//! | loss               | upper bound of the mean of what a score lies below the serial one of the same seed: one-sided, 95 %, by Student's t |

use asyn_report::Run;
use asyn_report::statistics::{mean, mean_curve, median, standard_deviation, time_to};
use serde::Serialize;

use super::contender::Contender;
use super::experiment::Target;

/// Student's t that 95 % of the distribution lie below, for 1, 2, … degrees of freedom.
const T: [f64; 20] = [
    6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812, 1.796, 1.782, 1.771,
    1.761, 1.753, 1.746, 1.740, 1.734, 1.729, 1.725,
];

/// All runs of one contender with one number of threads.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Arm {
    pub(super) contender: Contender,
    pub(super) threads: u32,
    /// One run a seed.
    pub(super) runs: Vec<Run>,
}

/// One row of the table of an experiment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Summary {
    pub(super) contender: Contender,
    pub(super) threads: u32,
    pub(super) n_seeds: usize,
    /// In percent.
    pub(super) score: f64,
    /// `None` for one seed.
    pub(super) score_deviation: Option<f64>,
    /// How many points the score lies at most below that of serial training at the same settings;
    /// `None` for serial training and for one seed.
    pub(super) most_loss: Option<f64>,
    pub(super) tokens_per_second: f64,
    pub(super) seconds_a_pass: f64,
    pub(super) seconds_to_target: Option<f64>,
    /// Speed against serial training at the same settings.
    pub(super) over_serial: Option<f64>,
    /// Speed against round-robin training at the same settings and threads.
    pub(super) over_round_robin: Option<f64>,
    /// Speed against locked training at the same settings and threads.
    pub(super) over_locked: Option<f64>,
}

impl Arm {
    /// Returns a value of each run, of those that have it.
    pub(super) fn each(&self, value: impl Fn(&Run) -> Option<f64>) -> Vec<f64> {
        self.runs.iter().filter_map(value).collect()
    }

    /// Returns the mean score against the mean training time, by pass.
    pub(super) fn curve(&self) -> Vec<(f64, f64)> {
        mean_curve(&self.runs.iter().map(Run::score_by_time).collect::<Vec<_>>())
    }

    fn speed(&self) -> Option<f64> {
        median(&self.each(Run::tokens_per_second))
    }
}

/// Returns the score in percent that times are measured to.
pub(super) fn target(target: Target, arms: &[Arm]) -> Option<f64> {
    match target {
        Target::Score(score) => Some(score),
        Target::BelowSerial(points) => {
            let serial = arms.iter().filter(|arm| arm.contender.is_serial());
            let scores = serial.filter_map(|arm| mean(&arm.each(Run::last_score)));
            scores.max_by(f64::total_cmp).map(|score| score - points)
        }
    }
}

/// Summarises the arms of an experiment; an arm without a scored run is left out.
pub(super) fn summarise(arms: &[Arm], target: Option<f64>) -> Vec<Summary> {
    let like = |arm: &Arm, strategy: &str| {
        let same = |other: &&Arm| {
            other.contender.strategy == strategy
                && other.contender.is_tuned == arm.contender.is_tuned
                && (other.threads == arm.threads || strategy == "serial")
                && other.contender != arm.contender
        };
        arms.iter().find(same)
    };
    let summary = |arm: &Arm| {
        let scores = arm.each(Run::last_score);
        let speed = arm.speed()?;
        let over = |strategy| Some(speed / like(arm, strategy)?.speed()?);
        Some(Summary {
            contender: arm.contender,
            threads: arm.threads,
            n_seeds: scores.len(),
            score: mean(&scores)?,
            score_deviation: standard_deviation(&scores),
            most_loss: like(arm, "serial").and_then(|serial| most_loss(serial, arm)),
            tokens_per_second: speed,
            seconds_a_pass: median(&arm.each(Run::seconds_a_pass))?,
            seconds_to_target: target.and_then(|target| time_to(target, &arm.curve())),
            over_serial: over("serial"),
            over_round_robin: over("round-robin"),
            over_locked: over("locked"),
        })
    };
    arms.iter().filter_map(summary).collect()
}

/// Returns the upper 95 % bound of the mean loss of `arm` against `serial`, seed by seed.
fn most_loss(serial: &Arm, arm: &Arm) -> Option<f64> {
    let losses: Vec<f64> = serial
        .runs
        .iter()
        .zip(&arm.runs)
        .filter_map(|(serial, run)| Some(serial.last_score()? - run.last_score()?))
        .collect();
    let deviation = standard_deviation(&losses)?;
    // Beyond the table the last value is too large, so the bound holds all the more.
    let t = T[(losses.len() - 2).min(T.len() - 1)];
    #[allow(clippy::cast_precision_loss, reason = "there are few seeds")]
    let n_seeds = losses.len() as f64;
    Some(mean(&losses)? + t * deviation / n_seeds.sqrt())
}

#[cfg(test)]
mod tests {
    use super::super::contender::contenders;
    use super::super::experiment::Model;
    use super::*;

    /// A run of two passes: the speeds are in tokens a second.
    fn run(speeds: [f64; 2], scores: [f64; 2]) -> Run {
        let start = r#"{"event":"start","model":"crf","strategy":"s","threads":1,"seed":1,
            "update":"u","kernels":"k","version":"0","data":{"train":"t","sentences":1,
            "tokens":1000,"attributes":1,"rich":0,"labels":2,"weights":2,"read_seconds":0,
            "encode_seconds":0},"machine":{"cpu":null,"cores":2}}"#;
        let mut text = start.replace('\n', "");
        let mut total = 0.0;
        for (pass, (speed, score)) in speeds.into_iter().zip(scores).enumerate() {
            let seconds = 1000.0 / speed;
            total += seconds;
            text += &format!(
                "\n{{\"event\":\"pass\",\"pass\":{},\"loss\":1,\"examples\":1,\"steps\":1,\
                 \"train_seconds\":{seconds},\"total_train_seconds\":{total},\
                 \"total_observe_seconds\":0,\"tokens_per_second\":{speed},\"dev\":{{\"f1\":\
                 {score},\"precision\":0,\"recall\":0,\"accuracy\":0}}}}",
                pass + 1
            );
        }
        Run::parse(&text).unwrap()
    }

    fn arms() -> Vec<Arm> {
        let all = contenders(Model::Crf);
        let arm = |idx: usize, threads, runs| Arm { contender: all[idx], threads, runs };
        vec![
            arm(0, 1, vec![run([100.0, 100.0], [90.0, 93.0]), run([100.0, 200.0], [91.0, 94.0])]),
            arm(1, 2, vec![run([80.0, 80.0], [90.0, 93.0])]),
            arm(4, 2, vec![run([200.0, 200.0], [92.0, 93.5])]),
        ]
    }

    #[test]
    fn the_last_score_and_the_median_speed_count() {
        let rows = summarise(&arms(), None);
        assert_eq!((rows[0].score, rows[0].n_seeds), (93.5, 2));
        assert_eq!(rows[0].score_deviation, Some(0.5_f64.sqrt()));
        // Medians of the passes are 100 and 150.
        assert_eq!(rows[0].tokens_per_second, 125.0);
        assert_eq!(rows[1].score_deviation, None);
    }

    #[test]
    fn the_loss_is_bounded_seed_by_seed() {
        let mut arms = arms();
        assert_eq!(summarise(&arms, None)[2].most_loss, None);
        arms[2].runs.push(run([200.0, 200.0], [92.0, 94.1]));
        let rows = summarise(&arms, None);
        // Losses are -0.5 and -0.1: mean -0.3, deviation 0.2 √2.
        assert!((rows[2].most_loss.unwrap() - (-0.3 + 6.314 * 0.2)).abs() < 1e-9);
        assert_eq!(rows[0].most_loss, None);
    }

    #[test]
    fn speed_is_compared_with_the_same_settings_and_threads() {
        let rows = summarise(&arms(), None);
        assert_eq!(rows[2].over_serial, Some(1.6));
        assert_eq!(rows[2].over_round_robin, Some(2.5));
        assert_eq!(rows[2].over_locked, None);
        assert_eq!(rows[0].over_serial, None);
    }

    #[test]
    fn time_counts_to_the_pass_whose_mean_score_is_there() {
        let arms = arms();
        assert_eq!(target(Target::BelowSerial(0.25), &arms), Some(93.25));
        let rows = summarise(&arms, Some(93.25));
        // Total times are 20 s and 15 s, mean scores 90.5 and 93.5.
        assert_eq!(rows[0].seconds_to_target, Some(17.5));
        assert_eq!(rows[1].seconds_to_target, None);
    }
}
