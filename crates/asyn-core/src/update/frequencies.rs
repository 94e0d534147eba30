//! How often the blocks of a layout are used.

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

impl Frequencies {
    /// Counts by asking the model what each example touches.
    pub(crate) fn count<M: Model>(model: &M, examples: &[M::Example]) -> Self {
        let layout = model.layout();
        let n_blocks = layout.n_blocks();
        let mut frequencies = Self { examples: vec![0; n_blocks], uses: vec![0; n_blocks] };
        let mut last_seen = vec![u32::MAX; n_blocks];
        let mut workspace = model.workspace();
        let mut touched = Touched::default();
        let mut count = |id: u32, block: usize| {
            frequencies.uses[block] += 1;
            if last_seen[block] != id {
                last_seen[block] = id;
                frequencies.examples[block] += 1;
            }
        };
        for id in 0..u32::try_from(examples.len()).expect("example ids are u32") {
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
        frequencies
    }
}
