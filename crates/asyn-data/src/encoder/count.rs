//! The counting pass: which attributes a corpus has, how often, and their ids.
//!
//! The shapes of the template are counted independently of each other, each by
//! one thread. Then all attributes that are kept are put in order, which is the
//! order of their ids:
//!
//! 1. rich attributes before the others, so that the rich ones are the ids below `n_rich`;
//! 2. frequent ones before rare ones, so that what is used often lies together;
//! 3. first occurrence: the earlier token, then the earlier line of the template.
//!
//! The gate of rich attributes is a frequency, as in Sun (COLING 2016), so with
//! `rich_edges` alone the first rule follows from the second.

use std::cmp::Reverse;

use super::VocabularyOptions;
use super::chain::Chain;
use super::window::{Plan, PlannedLine, Window};
use crate::parallel;
use crate::strings::NONE;
use crate::template::Template;

/// The attributes of a corpus, kept and in order.
#[derive(Debug)]
pub(super) struct Counted {
    /// For each attribute id: a token and a line of the template where it occurs.
    pub(super) examples: Vec<Occurrence>,
    pub(super) n_rich: usize,
    shapes: Vec<ShapeCount>,
    /// For each shape: from its own numbers to attribute ids, [`NONE`] for what was dropped.
    ids: Vec<Vec<u32>>,
}

/// A place where an attribute occurs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Occurrence {
    pub(super) line_idx: usize,
    /// The place of the token in the window.
    pub(super) position: usize,
}

/// The attributes of one shape, numbered by first occurrence.
#[derive(Debug)]
struct ShapeCount {
    /// The attributes that are kept, in order.
    ranked: Vec<Rank>,
    n_attributes: usize,
    /// For each line of this shape: its index in the template, and the attribute of every token,
    /// [`NONE`] where a test does not hold.
    lines: Vec<(usize, Vec<u32>)>,
}

/// An attribute, ordered as ids are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    is_plain: bool,
    count: Reverse<u32>,
    /// Place in the window × number of lines + line.
    first: u64,
    shape: u32,
    local: u32,
}

impl Counted {
    /// Counts the attributes of the sentences that begin at `starts` and fill `window`.
    pub(super) fn new(
        template: &Template,
        plan: &Plan,
        window: &Window,
        starts: &[usize],
        options: &VocabularyOptions<'_>,
    ) -> Self {
        let n_shapes = template.shapes().len();
        let mut shapes = parallel::map(
            options.threads,
            n_shapes,
            || (),
            |(), shape| ShapeCount::new(template, plan, window, starts, shape, options),
        );
        let mut ids: Vec<Vec<u32>> =
            shapes.iter().map(|shape| vec![NONE; shape.n_attributes]).collect();
        let mut ranked = Vec::new();
        for shape in &mut shapes {
            ranked.append(&mut shape.ranked);
        }
        // What is sorted are as many sorted runs as there are shapes, which a stable sort merges.
        ranked.sort();
        let n_lines = template.n_lines() as u64;
        let examples = (0_u32..)
            .zip(&ranked)
            .map(|(id, rank)| {
                ids[rank.shape as usize][rank.local as usize] = id;
                Occurrence {
                    line_idx: usize_of(rank.first % n_lines),
                    position: usize_of(rank.first / n_lines),
                }
            })
            .collect();
        Self { examples, n_rich: ranked.partition_point(|rank| !rank.is_plain), shapes, ids }
    }

    /// Returns for each line of the template what gives the attribute id of a token.
    pub(super) fn lines(&self) -> Vec<CountedLine<'_>> {
        let mut lines: Vec<_> = self
            .shapes
            .iter()
            .zip(&self.ids)
            .flat_map(|(shape, ids)| {
                shape.lines.iter().map(move |(line, locals)| (line, ids, locals))
            })
            .collect();
        lines.sort_unstable_by_key(|&(line_idx, ..)| line_idx);
        lines.into_iter().map(|(_, ids, locals)| CountedLine { ids, locals }).collect()
    }
}

/// The attributes that one line of the template makes in the corpus that was counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct CountedLine<'a> {
    ids: &'a [u32],
    locals: &'a [u32],
}

impl CountedLine<'_> {
    /// Returns the attribute id that the line makes for token `token` of the corpus, or [`NONE`].
    #[inline]
    pub(super) fn id(&self, token: usize) -> u32 {
        self.ids.get(self.locals[token] as usize).copied().unwrap_or(NONE)
    }
}

impl ShapeCount {
    fn new(
        template: &Template,
        plan: &Plan,
        window: &Window,
        starts: &[usize],
        shape_idx: usize,
        options: &VocabularyOptions<'_>,
    ) -> Self {
        let shape = &template.shapes()[shape_idx];
        let n_lines = plan.lines.len();
        let n_tokens = starts[starts.len() - 1];
        let mut lines: Vec<(usize, Vec<u32>)> = (0..n_lines)
            .filter(|&line_idx| plan.lines[line_idx].shape_idx == shape_idx)
            .map(|line_idx| (line_idx, Vec::with_capacity(n_tokens)))
            .collect();
        let mut chain = Chain::new(shape.n_references());
        let mut counts: Vec<u32> = Vec::new();
        let mut firsts: Vec<u64> = Vec::new();
        for (sentence_idx, bounds) in starts.windows(2).enumerate() {
            for position in plan.positions(sentence_idx, &(bounds[0]..bounds[1])) {
                for (line_idx, locals) in &mut lines {
                    let PlannedLine { places, has_test, .. } = &plan.lines[*line_idx];
                    if *has_test && !window.holds(places, position) {
                        locals.push(NONE);
                        continue;
                    }
                    let fresh = u32_of(counts.len());
                    let local = chain.insert(window.cells(places, position), fresh);
                    if local == fresh {
                        counts.push(0);
                        firsts.push((position * n_lines + *line_idx) as u64);
                    }
                    let count = &mut counts[local as usize];
                    *count = count.saturating_add(1);
                    locals.push(local);
                }
            }
        }
        let mut ranked: Vec<Rank> = (0_u32..)
            .zip(counts.iter().zip(&firsts))
            .filter(|&(_, (&count, _))| count >= options.min_freq)
            .map(|(local, (&count, &first))| Rank {
                is_plain: !(shape.is_edge || options.rich_edges && count >= options.edge_min_freq),
                count: Reverse(count),
                first,
                shape: u32_of(shape_idx),
                local,
            })
            .collect();
        ranked.sort_unstable();
        Self { ranked, n_attributes: counts.len(), lines }
    }
}

fn u32_of(number: usize) -> u32 {
    u32::try_from(number).expect("a corpus has fewer than 2^32 attributes of a shape")
}

fn usize_of(number: u64) -> usize {
    usize::try_from(number).expect("an index into memory")
}
