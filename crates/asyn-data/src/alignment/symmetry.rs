//! One alignment of a pair from the alignments of both directions.
//!
//! Growing starts from the links that both directions have and adds links of either that touch one
//! that is there, in any of eight directions, and a word without a link; links that neither touch
//! nor add are left to the final step (Koehn, Och and Marcu, "Statistical Phrase-Based
//! Translation", HLT-NAACL 2003; the order of additions is that of Moses: left to right, and
//! again until nothing is added).

use super::links::{Link, Links};

/// How the alignments of two directions become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Symmetry {
    /// Links that both have.
    Intersection,
    /// Links that either has.
    Union,
    /// The intersection, grown by neighbours.
    GrowDiag,
    /// As before, then each link of either with a word that has none yet.
    GrowDiagFinal,
    /// As before, then each link of either whose words both have none yet.
    #[default]
    GrowDiagFinalAnd,
}

/// The words of a pair that have a link.
struct Covered {
    left: Vec<bool>,
    right: Vec<bool>,
}

impl Covered {
    fn of(links: &[Link], lengths: (usize, usize)) -> Self {
        let mut covered = Self { left: vec![false; lengths.0], right: vec![false; lengths.1] };
        links.iter().for_each(|&link| covered.add(link));
        covered
    }

    fn add(&mut self, (left, right): Link) {
        self.left[left as usize] = true;
        self.right[right as usize] = true;
    }

    /// Returns whether each of the two words has a link.
    fn ends(&self, (left, right): Link) -> (bool, bool) {
        (self.left[left as usize], self.right[right as usize])
    }
}

impl Symmetry {
    /// Joins the links of the two directions; `lengths` are the numbers of words, left and right.
    ///
    /// ```
    /// use asyn_data::{Links, Symmetry};
    ///
    /// let forward = Links::new([(0, 0), (1, 1), (3, 3)]);
    /// let backward = Links::new([(0, 0), (2, 1), (1, 1)]);
    /// let joined = |symmetry: Symmetry| symmetry.join(&forward, &backward, (4, 4)).to_string();
    /// assert_eq!(joined(Symmetry::Intersection), "0-0 1-1");
    /// assert_eq!(joined(Symmetry::GrowDiag), "0-0 1-1 2-1");
    /// assert_eq!(joined(Symmetry::GrowDiagFinalAnd), "0-0 1-1 2-1 3-3");
    /// ```
    ///
    /// # Panics
    ///
    /// If a link is from or to a word beyond the lengths.
    pub fn join(self, forward: &Links, backward: &Links, lengths: (usize, usize)) -> Links {
        let both: Vec<Link> = forward.iter().filter(|&link| backward.contains(link)).collect();
        let union = Links::new(forward.iter().chain(backward.iter()));
        match self {
            Self::Intersection => Links::new(both),
            Self::Union => union,
            Self::GrowDiag => Links::new(grow(both, &union, lengths)),
            Self::GrowDiagFinal | Self::GrowDiagFinalAnd => {
                let mut links = grow(both, &union, lengths);
                let mut covered = Covered::of(&links, lengths);
                for link in forward.iter().chain(backward.iter()) {
                    let adds = match (self, covered.ends(link)) {
                        (_, (true, true)) => false,
                        (Self::GrowDiagFinal, _) => true,
                        (_, (left, right)) => !left && !right,
                    };
                    if adds {
                        links.push(link);
                        covered.add(link);
                    }
                }
                Links::new(links)
            }
        }
    }
}

/// Adds neighbours until none can be added.
fn grow(mut links: Vec<Link>, union: &Links, lengths: (usize, usize)) -> Vec<Link> {
    const NEIGHBOURS: [(i64, i64); 8] =
        [(-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)];
    let mut covered = Covered::of(&links, lengths);
    loop {
        let before = links.len();
        links.sort_unstable();
        let mut at = 0;
        while at < links.len() {
            let (left, right) = links[at];
            for (down, along) in NEIGHBOURS {
                let near = (i64::from(left) + down, i64::from(right) + along);
                let (Ok(left), Ok(right)) = (u32::try_from(near.0), u32::try_from(near.1)) else {
                    continue;
                };
                let near = (left, right);
                if union.contains(near) && covered.ends(near) != (true, true) {
                    links.push(near);
                    covered.add(near);
                }
            }
            at += 1;
        }
        if links.len() == before {
            return links;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_final_steps_differ_in_how_many_words_have_to_be_free() {
        let forward = Links::new([(0, 0), (0, 3)]);
        let backward = Links::new([(0, 0), (3, 2)]);
        let joined = |symmetry: Symmetry| symmetry.join(&forward, &backward, (4, 4)).to_string();
        assert_eq!(joined(Symmetry::GrowDiag), "0-0");
        assert_eq!(joined(Symmetry::GrowDiagFinal), "0-0 0-3 3-2");
        assert_eq!(joined(Symmetry::GrowDiagFinalAnd), "0-0 3-2");
        assert_eq!(joined(Symmetry::Union), "0-0 0-3 3-2");
    }

    #[test]
    fn growth_follows_what_was_added() {
        let forward = Links::new([(0, 0), (1, 1), (2, 2)]);
        let backward = Links::new([(0, 0)]);
        let links = Symmetry::GrowDiag.join(&forward, &backward, (3, 3));
        assert_eq!(links, forward);
        // Both ends of 1-0 have links by then.
        let crowded = Links::new([(0, 0), (1, 1), (1, 0)]);
        let links = Symmetry::GrowDiag.join(&crowded, &Links::new([(0, 0), (1, 1)]), (2, 2));
        assert_eq!(links.to_string(), "0-0 1-1");
    }
}
