//! `asyn dump`: the weights of a model as text.
//!
//! A line is a weight, an attribute, the label of the token before and the label, separated by tabs;
//! `*` stands for an attribute or a label that the weight does not depend on. Weights of 0 are left out.

use std::io::{BufWriter, Write, stdout};
use std::num::NonZeroUsize;

use asyn::Tagger;
use asyn::core::{Model, Worker};
use asyn::data::UNKNOWN_LABEL;
use asyn::models::Crf;

use crate::args::DumpArgs;
use crate::failure::Failure;
use crate::settings::all_cores;

/// A weight and its place; nothing where it does not depend on something.
#[derive(Debug, Clone, Copy)]
struct Entry {
    weight: f32,
    attribute: Option<u32>,
    previous: Option<u16>,
    label: u16,
}

/// The weights to print.
#[derive(Debug)]
struct Entries {
    label: Option<u16>,
    top: Option<NonZeroUsize>,
    found: Vec<Entry>,
}

/// Prints the weights of a model, the largest in size first.
pub(crate) fn run(args: &DumpArgs) -> Result<(), Failure> {
    let (tagger, _) = Tagger::load(&args.model, all_cores().get())?;
    let Some(crf) = tagger.crf() else {
        let (path, kind) = (args.model.display(), tagger.model().kind());
        return Err(Failure::Usage(format!("{path}: a {kind} has no weights of attributes")));
    };
    let encoder = tagger.encoder();
    let label = args.label.as_deref().map(|label| match encoder.label_id(label) {
        UNKNOWN_LABEL => Err(Failure::Usage(format!("--label {label} is no label of the model"))),
        id => Ok(id),
    });
    let mut entries = Entries { label: label.transpose()?, top: args.top, found: Vec::new() };
    let is_asked = |attribute: u32| match &args.attribute {
        None => true,
        Some(part) => encoder.attribute(attribute).contains(part),
    };
    let n_attributes = u32::try_from(encoder.n_attributes()).expect("ids have 32 bits");
    let attributes: Vec<u32> = (0..n_attributes).filter(|&id| is_asked(id)).collect();
    collect(&tagger, crf, &attributes, args.attribute.is_none(), &mut entries);
    entries.keep();

    let mut output = BufWriter::new(stdout().lock());
    let name = |label: u16| encoder.labels()[usize::from(label)].as_str();
    entries
        .found
        .iter()
        .try_for_each(|entry| {
            let attribute = entry.attribute.map_or("*".to_owned(), |id| encoder.attribute(id));
            let previous = entry.previous.map_or("*", name);
            writeln!(output, "{:+.6}\t{attribute}\t{previous}\t{}", entry.weight, name(entry.label))
        })
        .and_then(|()| output.flush())
        .map_err(|source| Failure::Output { source })
}

/// Collects the weights of some attributes, and the plain transitions if they are asked for.
fn collect(
    tagger: &Tagger,
    crf: &Crf,
    attributes: &[u32],
    transitions: bool,
    entries: &mut Entries,
) {
    let layout = crf.layout();
    let worker = Worker::reader(layout, tagger.weights());
    let n_labels = crf.shape().n_labels;
    let n_rich = tagger.encoder().n_rich();
    let mut row = Vec::new();
    for (id, tensor) in layout.ids().zip(layout.tensors()) {
        if tensor.name == "edge" {
            if transitions {
                row.resize(tensor.stored_len(), 0.0);
                worker.read_whole(id, &mut row);
                entries.add(None, true, n_labels, &row[..n_labels * n_labels]);
            }
            continue;
        }
        let is_rich = tensor.name == "rich";
        let n_rows = if is_rich { n_rich } else { tensor.dim().0 };
        for &attribute in attributes.iter().take_while(|&&id| (id as usize) < n_rows) {
            let view = worker.row(id, attribute);
            row.resize(view.len(), 0.0);
            view.read_into(&mut row);
            entries.add(Some(attribute), is_rich, n_labels, &row[..tensor.dim().1]);
        }
    }
}

impl Entries {
    /// Adds the weights of a row, by label or by pair of labels.
    fn add(&mut self, attribute: Option<u32>, is_edge: bool, n_labels: usize, row: &[f32]) {
        let id = |label: usize| u16::try_from(label).expect("labels have 16 bits");
        for (at, &weight) in row.iter().enumerate() {
            let label = id(at % n_labels);
            if weight != 0.0 && self.label.is_none_or(|asked| asked == label) {
                let previous = is_edge.then(|| id(at / n_labels));
                self.found.push(Entry { weight, attribute, previous, label });
            }
        }
        // So that the largest of many weights need little memory.
        if self.top.is_some_and(|top| self.found.len() > 2 * top.get() + (1 << 16)) {
            self.keep();
        }
    }

    /// Sorts by size, and keeps the largest that are asked for; equal ones stay in order.
    fn keep(&mut self) {
        self.found.sort_by(|a, b| b.weight.abs().total_cmp(&a.weight.abs()));
        self.found.truncate(self.top.map_or(usize::MAX, NonZeroUsize::get));
    }
}
