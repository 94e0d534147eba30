//! The few statistics that the tables of runs need.
//!
//! A speed is summarised by its median, because a busy machine makes single
//! passes slow and never fast; a score by its mean and standard deviation over
//! seeds. All functions return `None` where there is nothing to summarise.

/// Returns the mean of `values`.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / count(values))
}

/// Returns the standard deviation of the population that `values` are a sample
/// of (divisor `n − 1`); `None` for fewer than two values.
#[must_use]
pub fn standard_deviation(values: &[f64]) -> Option<f64> {
    let mean = mean(values)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (count(values) - 1.0)).sqrt())
}

/// Returns the median of `values`: the middle one, or the mean of the middle two.
///
/// ```
/// use asyn_report::statistics::median;
///
/// assert_eq!(median(&[3.0, 1.0, 100.0]), Some(3.0));
/// ```
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = sorted[(sorted.len() - 1) / 2];
    Some(lower + (upper - lower) / 2.0)
}

/// Returns the time of the first of `(time, score)` whose score is at least
/// `score`; `None` where none is.
///
/// Nothing is interpolated: between two evaluations nobody knows the score.
#[must_use]
pub fn time_to(score: f64, curve: &[(f64, f64)]) -> Option<f64> {
    curve.iter().find(|(_, reached)| *reached >= score).map(|(time, _)| *time)
}

/// Returns the mean at each position over `curves`, as far as all of them go.
#[must_use]
pub fn mean_curve(curves: &[Vec<(f64, f64)>]) -> Vec<(f64, f64)> {
    let length = curves.iter().map(Vec::len).min().unwrap_or(0);
    (0..length)
        .filter_map(|at| {
            let (xs, ys): (Vec<f64>, Vec<f64>) = curves.iter().map(|curve| curve[at]).unzip();
            Some((mean(&xs)?, mean(&ys)?))
        })
        .collect()
}

#[allow(clippy::cast_precision_loss, reason = "a run has far fewer than 2^53 values")]
fn count(values: &[f64]) -> f64 {
    values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_has_no_summary() {
        assert_eq!((mean(&[]), median(&[]), standard_deviation(&[1.0])), (None, None, None));
        assert_eq!(time_to(1.0, &[]), None);
        assert!(mean_curve(&[]).is_empty());
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[5.0]), Some(5.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn the_deviation_is_that_of_a_sample() {
        assert_eq!(standard_deviation(&[1.0, 3.0]), Some(2.0_f64.sqrt()));
        assert_eq!(standard_deviation(&[7.0, 7.0, 7.0]), Some(0.0));
    }

    #[test]
    fn a_score_is_reached_at_the_first_evaluation_that_shows_it() {
        let curve = [(0.1, 90.0), (0.2, 93.5), (0.3, 93.4), (0.4, 93.9)];
        assert_eq!(time_to(93.5, &curve), Some(0.2));
        assert_eq!(time_to(94.0, &curve), None);
    }

    #[test]
    fn curves_are_averaged_as_far_as_all_go() {
        let curves = [vec![(1.0, 10.0), (2.0, 20.0)], vec![(3.0, 30.0)]];
        assert_eq!(mean_curve(&curves), [(2.0, 20.0)]);
    }
}
