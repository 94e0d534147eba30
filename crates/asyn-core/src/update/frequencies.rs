//! How often the blocks of a layout are used.

use std::ops::Range;
use std::panic::resume_unwind;
use std::thread;

use crate::Real;
use crate::batch::Batch;
use crate::model::Model;
use crate::touched::Touched;

/// How often each block of a layout is used in a pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frequencies {
    /// In how many examples.
    pub examples: Vec<u32>,
    /// How many times.
    pub uses: Vec<u32>,
}

/// What is counted of one block; together, so that a use touches one cache line.
#[derive(Debug, Clone, Copy)]
struct Count {
    examples: u32,
    uses: u32,
    /// The example that used the block last.
    last: u32,
}

impl Frequencies {
    /// Returns for each block how often an example that uses it does so, on average; 1 where none
    /// does.
    #[allow(clippy::cast_precision_loss, reason = "a ratio needs no more than f32")]
    pub(crate) fn uses_an_example(&self) -> impl Iterator<Item = Real> + '_ {
        let ratio = |(&uses, &examples): (&u32, &u32)| uses as Real / examples.max(1) as Real;
        self.uses.iter().zip(&self.examples).map(ratio).map(|ratio| ratio.max(1.0))
    }

    /// Counts by asking the model what each example touches, on `n_threads` threads.
    pub(crate) fn count<M: Model>(model: &M, examples: &[M::Example], n_threads: usize) -> Self {
        let n_examples = u32::try_from(examples.len()).expect("example ids are u32");
        let share = n_examples.div_ceil(u32::try_from(n_threads.max(1)).unwrap_or(u32::MAX)).max(1);
        let parts = (0..n_examples).step_by(share as usize).skip(1);
        let part = |start: u32| count_part(model, examples, start..n_examples.min(start + share));
        thread::scope(|scope| {
            let part = &part;
            let others: Vec<_> = parts.map(|start| scope.spawn(move || part(start))).collect();
            let mut counts = part(0);
            for other in others {
                let other = other.join().unwrap_or_else(|panic| resume_unwind(panic));
                for (count, more) in counts.iter_mut().zip(other) {
                    count.examples += more.examples;
                    count.uses += more.uses;
                }
            }
            Self {
                examples: counts.iter().map(|count| count.examples).collect(),
                uses: counts.iter().map(|count| count.uses).collect(),
            }
        })
    }
}

/// Counts over the examples `ids`.
fn count_part<M: Model>(model: &M, examples: &[M::Example], ids: Range<u32>) -> Vec<Count> {
    let layout = model.layout();
    let none = Count { examples: 0, uses: 0, last: u32::MAX };
    let mut counts = vec![none; layout.n_blocks()];
    let mut workspace = model.workspace();
    let mut touched = Touched::default();
    let mut count = |id: u32, block: usize| {
        let count = &mut counts[block];
        count.uses += 1;
        count.examples += u32::from(count.last != id);
        count.last = id;
    };
    for id in ids {
        touched.clear();
        let ids = [id];
        model.touched(&Batch::new(0, 0, &ids, examples), &mut workspace, &mut touched);
        for (tensor, rows) in touched.rows() {
            let first = layout.tensor(tensor).first_block;
            rows.iter().for_each(|&row| count(id, first + row as usize));
        }
        for &tensor in touched.whole() {
            count(id, layout.tensor(tensor).first_block);
        }
    }
    counts
}
