//! How well induced states agree with gold tags.
//!
//! | Measure     | What it is                                                               |
//! | ----------- | ------------------------------------------------------------------------ |
//! | many-to-one | accuracy when each state means the tag that it has most often (Johnson, EMNLP 2007) |
//! | V-measure   | harmonic mean of homogeneity and completeness (Rosenberg and Hirschberg, EMNLP 2007) |
//! | VI          | variation of information, `H(C|K) + H(K|C)`, in nats                     |
//!
//! With tags `C` and states `K`: homogeneity is `1 − H(C|K) / H(C)`, completeness
//! `1 − H(K|C) / H(K)`; each is 1 where its denominator is 0.

use std::collections::BTreeMap;

/// Counts of pairs of tag and state.
///
/// ```
/// use asyn_data::Clusters;
///
/// let mut clusters = Clusters::default();
/// for (tag, state) in [("N", "1"), ("N", "1"), ("V", "2"), ("V", "1")] {
///     clusters.add(tag, state);
/// }
/// assert_eq!(clusters.many_to_one(), 0.75);
/// assert!(clusters.v_measure() < 1.0);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Clusters {
    counts: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Clusters {
    /// Counts a token.
    pub fn add(&mut self, tag: &str, state: &str) {
        let tags = self.counts.entry(state.to_owned()).or_default();
        *tags.entry(tag.to_owned()).or_default() += 1;
    }

    /// Returns the number of tokens.
    pub fn n_tokens(&self) -> u64 {
        self.counts.values().flat_map(BTreeMap::values).sum()
    }

    /// Returns the number of states.
    pub fn n_states(&self) -> usize {
        self.counts.len()
    }

    /// Returns the share of tokens whose tag is the one that their state has most often; 0 without
    /// tokens.
    pub fn many_to_one(&self) -> f64 {
        let most = |tags: &BTreeMap<String, u64>| tags.values().copied().max().unwrap_or(0);
        let right: u64 = self.counts.values().map(most).sum();
        if right == 0 { 0.0 } else { right as f64 / self.n_tokens() as f64 }
    }

    /// Returns homogeneity: 1 if no state has tokens of two tags.
    pub fn homogeneity(&self) -> f64 {
        normalised(self.entropies().tags_by_state, entropy(self.tags().values().copied()))
    }

    /// Returns completeness: 1 if no tag is spread over two states.
    pub fn completeness(&self) -> f64 {
        normalised(self.entropies().states_by_tag, entropy(self.states()))
    }

    /// Returns the harmonic mean of homogeneity and completeness; 0 if both are 0.
    pub fn v_measure(&self) -> f64 {
        let (h, c) = (self.homogeneity(), self.completeness());
        if h + c > 0.0 { 2.0 * h * c / (h + c) } else { 0.0 }
    }

    /// Returns the variation of information in nats: 0 if states and tags are the same but for
    /// their names.
    pub fn variation(&self) -> f64 {
        let Conditional { tags_by_state, states_by_tag } = self.entropies();
        tags_by_state + states_by_tag
    }

    fn entropies(&self) -> Conditional {
        let joint = entropy(self.counts.values().flat_map(|tags| tags.values().copied()));
        // The differences of entropies may round to less than 0.
        Conditional {
            tags_by_state: (joint - entropy(self.states())).max(0.0),
            states_by_tag: (joint - entropy(self.tags().values().copied())).max(0.0),
        }
    }

    fn states(&self) -> impl Iterator<Item = u64> + Clone {
        self.counts.values().map(|tags| tags.values().sum())
    }

    fn tags(&self) -> BTreeMap<&str, u64> {
        let mut tags = BTreeMap::new();
        for (tag, n) in self.counts.values().flatten() {
            *tags.entry(tag.as_str()).or_default() += n;
        }
        tags
    }
}

/// Entropies of one side where the other is known, in nats.
struct Conditional {
    tags_by_state: f64,
    states_by_tag: f64,
}

/// Returns the entropy of counts in nats.
fn entropy(counts: impl Iterator<Item = u64> + Clone) -> f64 {
    let total = counts.clone().sum::<u64>() as f64;
    let terms = counts.filter(|&n| n > 0).map(|n| n as f64 * (n as f64 / total).ln());
    -terms.sum::<f64>() / total.max(1.0)
}

fn normalised(conditional: f64, whole: f64) -> f64 {
    if whole > 0.0 { 1.0 - conditional / whole } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clusters(pairs: &[(&str, &str)]) -> Clusters {
        let mut clusters = Clusters::default();
        pairs.iter().for_each(|(tag, state)| clusters.add(tag, state));
        clusters
    }

    #[test]
    fn perfect_states_whatever_their_names() {
        let perfect = clusters(&[("N", "2"), ("V", "0"), ("N", "2"), ("D", "1")]);
        assert_eq!((perfect.many_to_one(), perfect.v_measure()), (1.0, 1.0));
        assert!(perfect.variation() < 1e-12);
    }

    #[test]
    fn one_state_is_complete_and_one_a_token_homogeneous() {
        let one = clusters(&[("N", "0"), ("V", "0"), ("V", "0")]);
        assert!((one.completeness() - 1.0).abs() < 1e-12 && one.homogeneity().abs() < 1e-12);
        assert_eq!((one.many_to_one(), one.n_states(), one.n_tokens()), (2.0 / 3.0, 1, 3));
        let each = clusters(&[("N", "0"), ("V", "1"), ("V", "2")]);
        assert_eq!((each.homogeneity(), each.many_to_one()), (1.0, 1.0));
        assert!(each.completeness() < 1.0);
    }

    #[test]
    fn entropies_of_a_small_table() {
        // H(C|K) = ½ ln 2 for a state of one tag and a state of two, each with half of the tokens.
        let mixed = clusters(&[("N", "0"), ("N", "0"), ("N", "1"), ("V", "1")]);
        let h = 1.0 - 0.5 * 2.0_f64.ln() / entropy([3, 1].into_iter());
        assert!((mixed.homogeneity() - h).abs() < 1e-12);
    }
}
