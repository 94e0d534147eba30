//! The optimum of a CRF by L-BFGS, and the constants of the bounds along a run with races.
//!
//! ```text
//! cargo run --release -p asyn --example theory                        # planted sentences
//! cargo run --release -p asyn --example theory -- --train train.txt --json theory.json
//! ```
//!
//! First the mean objective is minimised to `‖∇f‖_∞ ≤ 10⁻⁶ m^{-1/2}`, or as far as f32 kernels
//! allow. Then SGD trains from 0 with AsynGrad, all races plain, and at the end of each pass the
//! constants of that moment are printed beside the τ that Theorem 1 allows for the accuracy
//! that the pass has reached.

#![allow(clippy::print_stdout, reason = "an example reports to its reader")]
#![allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use asyn::Tagger;
use asyn::core::simulate::{CostModel, Simulated};
use asyn::core::theory::{
    BoundError, Constants, FullObjective, Lbfgs, Optimum, Point, Trajectory, relative_error, stale,
    staleness_quantile, tau, theorem_1, tight, trajectory,
};
use asyn::core::{
    AsynGrad, Batch, Event, Gradient, Instruments, Layout, Model, Schedule, Sgd, Shape,
    SharedWeights, Touched, Trainer, Worker,
};
use asyn::data::{Encoded, Encoder, Template, VocabularyOptions, open_columns, planted};
use asyn::models::Crf;
use clap::Parser;
use serde::Serialize;

/// The sentences of the planted corpus.
const PLANTED: usize = 500;
/// The sentences over which the second moment of the gradient is taken.
const SAMPLE: usize = 1000;

/// Minimises the objective of a CRF, and follows the constants of a run.
#[derive(Debug, Parser)]
struct Args {
    /// The column file to train on, with the template word for two columns and chunking for more;
    /// planted sentences without it.
    #[arg(long, value_name = "FILE")]
    train: Option<PathBuf>,
    /// λ of the objective Σ ℓ + λ/2 ‖w‖².
    #[arg(long, default_value_t = 0.5)]
    l2: f32,
    /// How often an attribute must occur to be kept.
    #[arg(long, default_value_t = 2)]
    min_freq: u32,
    /// The most iterations of L-BFGS.
    #[arg(long, default_value_t = 2000)]
    iterations: usize,
    /// The passes of SGD; with 0, only the optimum is computed.
    #[arg(long, default_value_t = 10)]
    passes: u32,
    /// The workers of SGD.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Runs them on a virtual clock, one at a time.
    #[arg(long)]
    simulate: bool,
    /// The step size of SGD in the first pass; it is multiplied by 0.8 from pass to pass.
    #[arg(long, default_value_t = 0.2)]
    rate: f32,
    /// Writes what is printed as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes the examples as CRFsuite reads them: label, then attributes.
    #[arg(long, value_name = "FILE")]
    crfsuite: Option<PathBuf>,
}

/// What L-BFGS reached.
#[derive(Debug, Serialize)]
struct Reached {
    stop: String,
    iterations: usize,
    evaluations: usize,
    seconds: f64,
    /// The sum over all sentences, `Σ ℓ + λ/2 ‖w‖²`.
    objective: f64,
    mean_objective: f64,
    /// `‖∇f‖_∞` of the mean objective, and the one that was asked for.
    gradient_norm: f64,
    tolerance: f64,
    weight_norm: f64,
}

/// The constants at the end of a pass.
#[derive(Debug, Serialize)]
struct Moment {
    pass: u32,
    /// `f(w) − f*` of the mean objective.
    excess: f64,
    /// `‖w − w*‖²`.
    distance: f64,
    c: f64,
    c_theorem_1: f64,
    q: f64,
    kappa_squared: f64,
    /// `‖mean(s − g)‖ / ‖mean g‖` over the probes of the pass.
    rho: f64,
    n_probes: usize,
    wrong_rate: f64,
    /// The largest staleness, and the one that 99 % of the steps do not exceed.
    overlap: u64,
    overlap_99: usize,
    /// τ over the probes of the pass, and its 95 % bootstrap interval.
    tau: Option<[f64; 3]>,
    /// The τ below which Theorem 1, and its tight version, allow the excess of this pass.
    tau_limit: f64,
    tau_limit_tight: f64,
}

/// Everything, as it is written.
#[derive(Debug, Serialize)]
struct Everything {
    n_sentences: usize,
    n_attributes: usize,
    n_labels: usize,
    l2: f32,
    threads: usize,
    optimum: Reached,
    passes: Vec<Moment>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let corpus = match &args.train {
        Some(path) => open_columns(path)?,
        None => planted::chunking(PLANTED, 1).corpus(),
    };
    let name = if corpus.n_columns() < 3 { "word" } else { "chunking" };
    let template = Template::builtin(name).expect("it comes with the crate");
    let options = VocabularyOptions { min_freq: args.min_freq, ..Default::default() };
    let (encoder, examples) = Encoder::build(&corpus, template, &options)?;
    if let Some(path) = &args.crfsuite {
        export(&encoder, &examples, path)?;
    }
    let mut tagger = Tagger::untrained(encoder)?;
    let (n_attributes, n_labels) =
        (tagger.encoder().n_attributes(), tagger.encoder().labels().len());
    println!(
        "{} sentences, {n_attributes} attributes, {n_labels} labels, l2 {}",
        examples.len(),
        args.l2
    );
    let crf = tagger.crf().expect("it is a CRF").clone();
    let mut objective = FullObjective::new(&crf, &examples, f64::from(args.l2))?;
    let (optimum, reached) = minimize(&crf, &mut objective, examples.len(), &args);
    let passes = if args.passes == 0 {
        Vec::new()
    } else {
        follow(&mut tagger, &examples, &mut objective, &optimum, &args)?
    };
    if let Some(path) = &args.json {
        let everything = Everything {
            n_sentences: examples.len(),
            n_attributes,
            n_labels,
            l2: args.l2,
            threads: args.threads,
            optimum: reached,
            passes,
        };
        serde_json::to_writer_pretty(BufWriter::new(File::create(path)?), &everything)?;
    }
    Ok(())
}

/// Minimises the objective, and prints what was reached.
fn minimize(
    crf: &Crf,
    objective: &mut FullObjective<'_, Crf>,
    n_examples: usize,
    args: &Args,
) -> (Optimum, Reached) {
    let m = n_examples as f64;
    let tolerance = 1e-6 / m.sqrt();
    let lbfgs = Lbfgs { tolerance, max_iterations: args.iterations, ..Lbfgs::default() };
    let begun = Instant::now();
    let start = vec![0.0; crf.layout().len()];
    let minimum = lbfgs.minimize(start, |w, gradient| objective.evaluate(w, gradient));
    let reached = Reached {
        stop: format!("{:?}", minimum.stop),
        iterations: minimum.iterations,
        evaluations: minimum.evaluations,
        seconds: begun.elapsed().as_secs_f64(),
        objective: m * minimum.value,
        mean_objective: minimum.value,
        gradient_norm: minimum.gradient_norm,
        tolerance,
        weight_norm: square(&minimum.point).sqrt(),
    };
    println!(
        "L-BFGS: {} after {} iterations, {} evaluations, {:.1} s\n\
         objective {:.4}, a sentence {:.9}, |w*| {:.4}\n\
         largest component of the mean gradient {:.2e}, asked for {:.2e}",
        reached.stop,
        reached.iterations,
        reached.evaluations,
        reached.seconds,
        reached.objective,
        reached.mean_objective,
        reached.weight_norm,
        reached.gradient_norm,
        reached.tolerance,
    );
    (Optimum { weights: minimum.point, value: minimum.value }, reached)
}

/// Trains by AsynGrad and prints the constants at the end of each pass.
fn follow(
    tagger: &mut Tagger,
    examples: &[Encoded],
    objective: &mut FullObjective<'_, Crf>,
    optimum: &Optimum,
    args: &Args,
) -> Result<Vec<Moment>, Box<dyn Error>> {
    let crf = tagger.crf().expect("it is a CRF").clone();
    let lambda = f64::from(args.l2) / examples.len() as f64;
    let mut gradient = vec![0.0; crf.layout().len()];
    let mut weights = vec![0.0; crf.layout().len()];
    let mut constants_at = |shared: &SharedWeights| {
        shared.to_vec().into_iter().zip(&mut weights).for_each(|(w, out)| *out = f64::from(w));
        let value = objective.evaluate(&weights, &mut gradient);
        // The vectors that are applied are ∇ℓ_z + λ/m w, and the mean of ∇ℓ_z is ∇f − λ/m w.
        let loss_gradients = second_moment(&crf, examples, shared);
        let mean_square = loss_gradients + 2.0 * lambda * product(&weights, &gradient)
            - lambda * lambda * square(&weights);
        let point = Point { weights: &weights, value, gradient: &gradient, mean_square };
        (value - optimum.value, trajectory(&[point], optimum).expect("w is not w*"))
    };
    let (_, mut run) = constants_at(&SharedWeights::zeroed(crf.layout().len()));

    println!(
        "\npass  f-f*      |w-w*|^2  c        q        kappa^2   rho      wrong   T  T99  \
         tau measured (95 %)              allowed: Theorem 1, tight"
    );
    let mut moments: Vec<Moment> = Vec::new();
    let mut observer = |event: Event<'_, '_>| {
        let Event::PassEnded { report, quiet } = event else { return ControlFlow::Continue(()) };
        let (excess, here) = constants_at(quiet.weights());
        merge(&mut run, &here);
        let races = report.races.as_ref().expect("the instruments are on").total();
        let projections: Vec<f64> =
            races.probes.iter().filter_map(|probe| probe.projection).collect();
        let moment = Moment {
            pass: report.pass,
            excess,
            distance: here.a_0,
            c: here.c,
            c_theorem_1: here.c_theorem_1,
            q: here.q,
            kappa_squared: here.kappa_squared,
            rho: races.bias(),
            n_probes: races.probes.len(),
            wrong_rate: races.wrong_rate(),
            overlap: races.staleness.largest(),
            overlap_99: staleness_quantile(races.staleness.counts(), 0.99).unwrap_or(0),
            tau: tau(&[&projections], u64::from(report.pass))
                .map(|tau| [tau.estimate, tau.low, tau.high]),
            tau_limit: run.c_theorem_1 * excess / (2.0 * run.q),
            tau_limit_tight: run.c * excess / run.q,
        };
        print(&moment);
        moments.push(moment);
        ControlFlow::Continue(())
    };
    #[allow(clippy::cast_possible_truncation, reason = "weights are f32")]
    let best = optimum.weights.iter().map(|&weight| weight as f32).collect();
    let schedule = Schedule::Exponential { rate: args.rate, factor: 0.8 };
    let builder = Trainer::builder()
        .update(Sgd { schedule, l2: args.l2, ..Sgd::default() })
        .threads(args.threads)
        .passes(args.passes)
        .instruments(Instruments {
            overlap: true,
            paired: NonZeroU32::new(16),
            ..Instruments::default()
        })
        .optimum(Some(best));
    if args.simulate {
        let simulated = Simulated::new(AsynGrad, CostModel::default())?;
        tagger.fit(&builder.strategy(simulated).build()?, examples, &mut observer)?;
    } else {
        tagger.fit(&builder.strategy(AsynGrad).build()?, examples, &mut observer)?;
    }
    summarize(&run, &moments);
    Ok(moments)
}

/// Extends the constants of a run by those of a point.
fn merge(run: &mut Trajectory, point: &Trajectory) {
    run.c = run.c.min(point.c);
    run.c_theorem_1 = run.c_theorem_1.min(point.c_theorem_1);
    run.q = run.q.max(point.q);
    run.kappa_squared = run.kappa_squared.max(point.kappa_squared);
}

fn print(moment: &Moment) {
    let [tau, low, high] = moment.tau.unwrap_or([f64::NAN; 3]);
    println!(
        "{:4}  {:.2e}  {:.2e}  {:.1e}  {:.1e}  {:.2e}  {:.1e}  {:4.1} %  {:2}  {:2}   \
         {:9.1e} ({:8.1e} to {:8.1e})  {:.2e}  {:.2e}",
        moment.pass,
        moment.excess,
        moment.distance,
        moment.c,
        moment.q,
        moment.kappa_squared,
        moment.rho,
        100.0 * moment.wrong_rate,
        moment.overlap,
        moment.overlap_99,
        tau,
        low,
        high,
        moment.tau_limit,
        moment.tau_limit_tight,
    );
}

/// Prints the constants of the whole run, and what the bounds make of them.
fn summarize(run: &Trajectory, moments: &[Moment]) {
    let Some(last) = moments.last() else { return };
    println!(
        "\nof the run: c {:.2e} (Theorem 1: {:.2e}), q {:.2e}, kappa^2 {:.3}, a_0 {:.4e}",
        run.c, run.c_theorem_1, run.q, run.kappa_squared, run.a_0
    );
    println!("bounds for f - f* <= {:.3e}, which the run reached:", last.excess);
    let constants = Constants {
        c: run.c,
        q: run.q,
        kappa: run.kappa_squared.sqrt(),
        tau: 0.0,
        epsilon: last.excess,
        a_0: run.a_0,
        beta: 1.0,
    };
    let paper = Constants { c: run.c_theorem_1, ..constants };
    let measured = moments.iter().filter_map(|moment| moment.tau).map(|[tau, ..]| tau);
    let measured = measured.fold(0.0, f64::max);
    let overlap = moments.iter().map(|moment| moment.overlap).max().unwrap_or(0) as f64;
    let rho = moments.iter().fold(0.0, |rho: f64, moment| rho.max(moment.rho));
    for (name, bound) in [
        ("Theorem 1, no error", theorem_1(&paper)),
        ("Theorem 1, the largest measured tau", theorem_1(&Constants { tau: measured, ..paper })),
        ("tight, no error", tight(&constants)),
        ("tight, the largest measured tau", tight(&Constants { tau: measured, ..constants })),
        ("the largest relative error", relative_error(&constants, rho)),
        ("the largest overlap", stale(&constants, overlap)),
    ] {
        match bound {
            Ok(bound) => println!("  {name}: step {:.2e}, {} updates", bound.gamma, bound.updates),
            Err(why @ (BoundError::Constant { .. } | BoundError::Tau { .. })) => {
                println!("  {name}: none, {why}");
            }
            Err(why) => println!("  {name}: {why}"),
        }
    }
}

/// Returns the mean of `‖∇ℓ_z(w)‖²` over sentences that are spread over the corpus.
fn second_moment(crf: &Crf, examples: &[Encoded], weights: &SharedWeights) -> f64 {
    let worker = Worker::reader(crf.layout(), weights);
    let (mut gradient, mut workspace) = (Gradient::new(0.0), crf.workspace());
    let (mut touched, mut dense) = (Touched::default(), vec![0.0; crf.layout().len()]);
    let step = examples.len().div_ceil(SAMPLE);
    let ids: Vec<u32> =
        (0..examples.len()).step_by(step).filter_map(|i| i.try_into().ok()).collect();
    let mut sum = 0.0;
    for id in ids.chunks(1) {
        let batch = Batch::new(0, 0, id, examples);
        touched.clear();
        gradient.clear();
        gradient.clear_sums();
        crf.touched(&batch, &mut workspace, &mut touched);
        crf.gradient(&worker, &batch, &mut workspace, &mut gradient);
        gradient.add_to(crf.layout(), &mut dense);
        // A block that is touched again has been emptied.
        for range in blocks(crf.layout(), &touched) {
            sum += square(&dense[range.clone()]);
            dense[range].fill(0.0);
        }
    }
    sum / ids.len() as f64
}

/// Returns where the blocks of a step lie.
fn blocks<'a>(
    layout: &'a Layout,
    touched: &'a Touched,
) -> impl Iterator<Item = std::ops::Range<usize>> + 'a {
    let rows = touched.rows().flat_map(|(id, rows)| {
        let tensor = layout.tensor(id);
        let Shape::Rows { stride, .. } = tensor.shape else { unreachable!("rows are of rows") };
        rows.iter().map(move |&row| {
            let start = tensor.start + row as usize * stride;
            start..start + stride
        })
    });
    rows.chain(touched.whole().iter().map(|&id| {
        let tensor = layout.tensor(id);
        tensor.start..tensor.start + tensor.stored_len()
    }))
}

/// Writes examples as CRFsuite reads them.
fn export(encoder: &Encoder, examples: &[Encoded], path: &Path) -> std::io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    for sentence in examples {
        for (token, &label) in sentence.labels.iter().enumerate() {
            write!(out, "{}", encoder.labels()[usize::from(label)])?;
            for attribute in sentence.attributes_of(token) {
                write!(out, "\t{attribute}")?;
            }
            writeln!(out)?;
        }
        writeln!(out)?;
    }
    out.flush()
}

fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn square(a: &[f64]) -> f64 {
    product(a, a)
}
