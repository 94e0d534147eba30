//! Forward-backward in `f64`, for the sentences that underflow in `f32`.

use asyn_core::Real;

/// Replaces rows of probabilities of words by posteriors, adds those of transitions, summed over
/// tokens, to `pairs`, and returns the logarithm of the probability.
///
/// `nodes` are rows of `width` floats, `transitions` and `pairs` `K × K`.
#[allow(clippy::cast_possible_truncation, reason = "posteriors are f32")]
pub(super) fn expect(
    nodes: &mut [Real],
    width: usize,
    transitions: &[Real],
    pairs: &mut [Real],
) -> f64 {
    let n = transitions.len().isqrt();
    let to_f64 = |values: &[Real]| -> Vec<f64> { values.iter().copied().map(f64::from).collect() };
    let transitions = to_f64(transitions);
    let emissions: Vec<Vec<f64>> = nodes.chunks_exact(width).map(|row| to_f64(&row[..n])).collect();
    let mut log = 0.0;
    let mut forward: Vec<Vec<f64>> = Vec::new();
    for emission in &emissions {
        let mut row = emission.clone();
        if let Some(last) = forward.last() {
            for (to, value) in row.iter_mut().enumerate() {
                let from = last.iter().enumerate();
                *value *= from.map(|(from, alpha)| alpha * transitions[from * n + to]).sum::<f64>();
            }
        }
        let sum = row.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        log += sum.ln();
        row.iter_mut().for_each(|value| *value /= sum);
        forward.push(row);
    }
    let mut backward = vec![1.0; n];
    for token in (0..emissions.len()).rev() {
        let sum = dot(&forward[token], &backward).max(f64::MIN_POSITIVE);
        for (state, node) in nodes[token * width..][..n].iter_mut().enumerate() {
            *node = (forward[token][state] * backward[state] / sum) as Real;
        }
        if token == 0 {
            break;
        }
        let ahead: Vec<f64> =
            emissions[token].iter().zip(&backward).map(|(b, beta)| b * beta).collect();
        let before: Vec<f64> = transitions.chunks_exact(n).map(|row| dot(row, &ahead)).collect();
        let all = dot(&forward[token - 1], &before).max(f64::MIN_POSITIVE);
        for (from, alpha) in forward[token - 1].iter().enumerate() {
            for (to, ahead) in ahead.iter().enumerate() {
                let at = from * n + to;
                pairs[at] += (alpha * transitions[at] * ahead / all) as Real;
            }
        }
        let scale = before.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        backward = before.iter().map(|beta| beta / scale).collect();
    }
    log
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
