//! Adam: what a user of it would miss if it were otherwise.

use parking_lot::Mutex;

use asyn_core::shared::AdamStep;
use asyn_core::{
    Adam, AdamForm, AsynGrad, Batch, Error, Gradient, Layout, Model, Moments, Real, Replicas,
    Schedule, Serial, SharedWeights, SplitMix64, Strategy, TensorId, Touched, Trainer, Worker,
};
use asyn_sync::{Locked, Minibatch, RoundRobin};

/// Draws gradients that have nothing to do with the weights: rows of a table, a dense vector, and
/// a matrix in panels and a single
/// weight, from streams of the example alone. A tenth of the rows is frequent, and the last one is
/// used by one example.
struct Noise {
    layout: Layout,
    rows: TensorId,
    dense: TensorId,
    panels: TensorId,
    cells: TensorId,
    /// Whether rows are pulled towards 1 as well, which is where they should end.
    pulls: bool,
    /// The examples in the order in which their gradients were computed.
    drawn: Mutex<Vec<u64>>,
}

const N_ROWS: u32 = 60;
/// The example that uses the last row.
const SELDOM: u64 = 7_777;
/// The weights of a row, and what it has with its padding.
const COLUMNS: usize = 20;
const WIDTH: usize = 24;

impl Noise {
    fn new(pulls: bool) -> Self {
        let mut layout = Layout::default();
        let rows = layout.rows("rows", N_ROWS as usize, COLUMNS);
        let dense = layout.dense("dense", 2, 5);
        let panels = layout.panels("panels", 3, 20);
        let cells = layout.dense("cells", 1, 4);
        Self { layout, rows, dense, panels, cells, pulls, drawn: Mutex::default() }
    }

    /// Returns the rows that an example uses.
    fn rows_of(example: u64) -> Vec<u32> {
        let mut random = SplitMix64::new(example);
        let mut row = |n: u64| u32::try_from(random.next_u64() % n).expect("small");
        let mut rows = vec![row(6), 6 + row(u64::from(N_ROWS) - 7), row(6)];
        if example == SELDOM {
            rows.push(N_ROWS - 1);
        }
        rows.sort_unstable();
        rows
    }
}

/// Returns a value of heavy tails.
fn heavy(random: &mut SplitMix64) -> Real {
    let unit = random.unit() * 2.0 - 1.0;
    unit * unit * unit * 10.0f32.powf(random.unit() * 3.0 - 2.0)
}

impl Model for Noise {
    type Example = u64;
    type Workspace = ();

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn workspace(&self) {}

    fn touched(&self, batch: &Batch<'_, u64>, _: &mut (), out: &mut Touched) {
        for &example in batch.examples() {
            out.add_rows(self.rows, &Self::rows_of(example));
        }
        out.add_whole(self.dense);
        out.add_whole(self.panels);
        out.add_whole(self.cells);
    }

    fn gradient(
        &self,
        worker: &Worker<'_>,
        batch: &Batch<'_, u64>,
        _: &mut (),
        gradient: &mut Gradient,
    ) -> f64 {
        let mut loss = 0.0;
        for &example in batch.examples() {
            self.drawn.lock().push(example);
            let mut random = SplitMix64::new(example + 77);
            for row in Self::rows_of(example) {
                let mut values = [0.0; WIDTH];
                worker.row(self.rows, row).read_into(&mut values);
                let pull = if self.pulls { 1.0 } else { 0.0 };
                for w in &mut values[..COLUMNS] {
                    loss += f64::from(*w - 1.0).powi(2) / 2.0;
                    *w = pull * (*w - 1.0) + heavy(&mut random);
                }
                gradient.add_rows(self.rows, &[row], &values);
            }
            let sum = gradient.sum(&self.layout, self.dense);
            sum[..10].iter_mut().for_each(|value| *value += heavy(&mut random));
            let x: Vec<Real> = (0..6).map(|_| heavy(&mut random)).collect();
            let mut delta = vec![0.0; 64];
            for row in delta.chunks_exact_mut(32) {
                row[..20].iter_mut().for_each(|value| *value = heavy(&mut random));
            }
            gradient.add_outer(self.panels, &x, &delta, 2);
            gradient.add_cells(self.cells, &[2], &[heavy(&mut random)]);
        }
        loss
    }
}

/// Dense Adam, RMSProp or momentum as their papers state them, in f64, on the same gradients.
fn dense(model: &Noise, adam: &Adam, order: &[u64]) -> Vec<f64> {
    let layout = model.layout();
    let weights = SharedWeights::zeroed(layout.len());
    let worker = Worker::reader(layout, &weights);
    let [mut w, mut m, mut v] = [const { Vec::new() }; 3];
    for table in [&mut w, &mut m, &mut v] {
        table.resize(layout.len(), 0.0f64);
    }
    let (beta_1, beta_2) = (f64::from(adam.beta_1), f64::from(adam.beta_2));
    for (t, example) in order.iter().enumerate() {
        let mut gradient = Gradient::new(0.0);
        let example = [*example];
        model.gradient(&worker, &Batch::new(0, 0, &[0], &example), &mut (), &mut gradient);
        let mut g = vec![0.0; layout.len()];
        gradient.add_to(layout, &mut g);
        let t = i32::try_from(t + 1).expect("few steps");
        let rate = f64::from(adam.schedule.rate(0.0)) * (1.0 - beta_2.powi(t)).sqrt()
            / (1.0 - beta_1.powi(t));
        let alpha = f64::from(adam.schedule.rate(0.0));
        for (((w, m), v), g) in w.iter_mut().zip(&mut m).zip(&mut v).zip(g) {
            *v = beta_2 * *v + (1.0 - beta_2) * g * g;
            let root = v.sqrt() + f64::from(adam.epsilon);
            match adam.form {
                AdamForm::Adam => {
                    *m = beta_1 * *m + (1.0 - beta_1) * g;
                    *w -= rate * *m / root;
                }
                AdamForm::RmsProp => *w -= alpha * g / root,
                AdamForm::Momentum => {
                    *m = beta_1 * *m + g;
                    *w -= alpha * *m;
                }
            }
        }
    }
    w
}

/// Trains and returns the weights, and the mean loss of each pass.
fn train<S: Strategy>(
    strategy: S,
    threads: usize,
    adam: Adam,
    model: &Noise,
    passes: u32,
    n: u64,
) -> (Vec<Real>, Vec<f64>) {
    let examples: Vec<u64> = (0..n).collect();
    let trainer = Trainer::builder().strategy(strategy).update(adam).threads(threads);
    let trainer = trainer.passes(passes).build().expect("the settings are in range");
    let mut weights = SharedWeights::zeroed(model.layout().len());
    let outcome = trainer.fit(model, &examples, &mut weights, &mut ()).expect("nothing can fail");
    (weights.to_vec(), outcome.passes.iter().map(|pass| pass.loss).collect())
}

#[test]
fn sparse_rows_move_as_those_of_dense_adam() {
    let n = if cfg!(miri) { 40 } else { 10_000 };
    for (form, beta_1, beta_2, epsilon) in [
        (AdamForm::Adam, 0.95, 0.95, 1e-4),
        (AdamForm::Adam, 0.9, 0.999, 1e-8),
        (AdamForm::RmsProp, 0.95, 0.9, 1e-8),
        (AdamForm::Momentum, 0.9, 0.95, 1e-4),
        (AdamForm::Momentum, 0.0, 0.95, 1e-4),
    ] {
        let adam = Adam { form, beta_1, beta_2, epsilon, ..Adam::default() };
        let model = Noise::new(false);
        let (weights, _) = train(Serial, 1, adam, &model, 1, n);
        let drawn = model.drawn.into_inner();
        let expected = dense(&Noise::new(false), &adam, &drawn);
        let scale = expected.iter().fold(0.0f64, |most, w| most.max(w.abs()));
        for (i, (w, expected)) in weights.iter().zip(&expected).enumerate() {
            let error = (f64::from(*w) - expected).abs();
            assert!(error <= 1e-3 * scale, "{form:?}, weight {i}: {w} for {expected}, of {scale}");
        }
    }
}

#[test]
fn one_worker_of_any_strategy_is_serial_to_the_bit() {
    let n = if cfg!(miri) { 20 } else { 300 };
    for (moments, form) in [
        (Moments::Shared, AdamForm::Adam),
        (Moments::Mixed, AdamForm::Adam),
        (Moments::Private, AdamForm::Adam),
        (Moments::Shared, AdamForm::RmsProp),
        (Moments::Shared, AdamForm::Momentum),
        (Moments::Private, AdamForm::Momentum),
    ] {
        let adam = Adam { moments, form, ..Adam::default() };
        let model = Noise::new(true);
        let serial = train(Serial, 1, adam, &model, 2, n);
        assert_eq!(train(AsynGrad, 1, adam, &model, 2, n), serial);
        assert_eq!(train(Locked, 1, adam, &model, 2, n), serial);
        assert_eq!(train(RoundRobin, 1, adam, &model, 2, n), serial);
        assert_eq!(train(Minibatch::default(), 1, adam, &model, 2, n), serial);
    }
}

#[test]
fn a_worker_with_copies_of_the_matrices_ends_where_serial_does() {
    let n = if cfg!(miri) { 20 } else { 300 };
    let examples: Vec<u64> = (0..n).collect();
    for moments in [Moments::Shared, Moments::Mixed, Moments::Private] {
        let adam = Adam { moments, ..Adam::default() };
        let model = Noise::new(true);
        let (serial, _) = train(Serial, 1, adam, &model, 2, n);
        for merge_every in [1, 8] {
            let replicas = Some(Replicas { rows: 0, merge_every });
            let trainer = Trainer::builder().strategy(AsynGrad).update(adam).replicas(replicas);
            let trainer = trainer.passes(2).segment_len(90).build().expect("it is valid");
            let mut weights = SharedWeights::zeroed(model.layout().len());
            trainer.fit(&model, &examples, &mut weights, &mut ()).expect("nothing can fail");
            for (copied, serial) in weights.to_vec().iter().zip(&serial) {
                assert!((copied - serial).abs() < 1e-4 * (1.0 + serial.abs()), "{moments:?}");
            }
        }
    }
}

#[test]
fn copies_of_rows_are_refused() {
    let replicas = Some(Replicas { rows: 5, merge_every: 8 });
    let trainer = Trainer::builder().strategy(AsynGrad).update(Adam::default());
    let refused = trainer.replicas(replicas).build().map(|_| ()).unwrap_err();
    assert!(matches!(refused, Error::Conflict { .. }), "{refused}");
}

#[test]
fn mini_batches_repeat_to_the_bit() {
    let n = if cfg!(miri) { 20 } else { 300 };
    let adam = Adam::default();
    let run = || train(Minibatch::default(), 3, adam, &Noise::new(true), 2, n);
    assert_eq!(run(), run());
}

#[test]
fn no_weight_moves_further_than_the_step_size_under_races() {
    let n = if cfg!(miri) { 30 } else { 500_000 };
    let (alpha, beta) = (1e-3, 0.95);
    let step =
        AdamStep { rate: alpha, beta_1: beta, beta_2: beta, epsilon: 1e-8, limit: 1.0, scale: 1.0 };
    // Two workers share the moments, and each looks at what a step does to weights of its own.
    let moments = [WIDTH; 2].map(SharedWeights::zeroed);
    std::thread::scope(|scope| {
        for worker in 0..2 {
            let [m, v] = moments.each_ref().map(|moment| moment.view(0, WIDTH));
            scope.spawn(move || {
                let mut random = SplitMix64::new(worker);
                let weights = SharedWeights::zeroed(WIDTH);
                let w = weights.view(0, WIDTH);
                let mut after = [0.0; WIDTH];
                let drawn: Vec<Real> = (0..WIDTH + 1009).map(|_| heavy(&mut random)).collect();
                for at in 0..n {
                    let gradient = &drawn[at % 1009..][..WIDTH];
                    w.write_from(&[0.0; WIDTH]);
                    w.adam_step([&m, &v], &step, gradient);
                    w.read_into(&mut after);
                    assert!(after.iter().all(|move_| move_.abs() <= alpha), "{after:?}");
                }
            });
        }
    });
}

#[test]
fn rows_reach_their_point_with_every_kind_of_moments() {
    let n = if cfg!(miri) { 20 } else { 2_000 };
    for (moments, form) in [
        (Moments::Shared, AdamForm::Adam),
        (Moments::Mixed, AdamForm::Adam),
        (Moments::Private, AdamForm::Adam),
        (Moments::Shared, AdamForm::RmsProp),
        (Moments::Mixed, AdamForm::Momentum),
    ] {
        // The steps of momentum add up to twenty times this.
        let rate = if form == AdamForm::Momentum { 0.003 } else { 0.01 };
        let schedule = Schedule::Exponential { rate, factor: 0.7 };
        let adam = Adam { schedule, moments, form, ..Adam::default() };
        let (_, losses) = train(AsynGrad, 2, adam, &Noise::new(true), 10, n);
        // Momentum ends at the mean of the noise of a row's examples, which is not quite 0.
        let share = if form == AdamForm::Momentum { 0.15 } else { 0.05 };
        assert!(losses[9] < share * losses[0], "{moments:?}, {form:?}: {losses:?}");
    }
}

#[test]
fn rows_that_are_seldom_used_stay_finite_with_every_kind_of_moments() {
    // Two workers use the last row thousands of steps apart.
    let n = if cfg!(miri) { 20 } else { SELDOM + 1 };
    for moments in [Moments::Shared, Moments::Mixed, Moments::Private] {
        let adam = Adam { moments, ..Adam::default() };
        let (weights, _) = train(AsynGrad, 2, adam, &Noise::new(true), 4, n);
        assert!(weights.iter().all(|weight| weight.is_finite()), "{moments:?}");
    }
}

#[test]
fn the_step_size_grows_while_it_warms_up() {
    // With β₁ = β₂ = 0 and a large ε, a step of size α moves the weights by −α g/ε.
    let (n, rate, epsilon, warm_up) = (10, 1e-3, 1e6, 2.0);
    let adam = Adam {
        schedule: Schedule::Constant { rate },
        beta_1: 0.0,
        beta_2: 0.0,
        epsilon,
        warm_up,
        ..Adam::default()
    };
    let model = Noise::new(false);
    let (weights, _) = train(Serial, 1, adam, &model, 3, n);
    let drawn = std::mem::take(&mut *model.drawn.lock());
    let layout = model.layout();
    let start = SharedWeights::zeroed(layout.len());
    let mut expected = vec![0.0; layout.len()];
    for (t, example) in drawn.into_iter().enumerate() {
        let mut gradient = Gradient::new(0.0);
        let batch = Batch::new(0, 0, &[0], std::slice::from_ref(&example));
        model.gradient(&Worker::reader(layout, &start), &batch, &mut (), &mut gradient);
        let mut g = vec![0.0; layout.len()];
        gradient.add_to(layout, &mut g);
        // Steps of a line from 0 to α, which the one behind the last of two passes would reach.
        let share = (f64::from(u32::try_from(t + 1).unwrap()) / 21.0).min(1.0);
        expected.iter_mut().zip(g).for_each(|(sum, g)| *sum -= share * g);
    }
    let scale = expected.iter().fold(0.0f64, |most, sum| most.max(sum.abs()));
    for (weight, expected) in weights.iter().zip(expected) {
        let found = f64::from(*weight) * f64::from(epsilon / rate);
        assert!((found - expected).abs() < 1e-3 * scale, "{found} for {expected}");
    }
}

#[test]
fn a_clipped_gradient_has_the_norm_that_is_allowed() {
    // With β₁ = β₂ = 0 and a large ε, one step moves the weights by −α g/ε.
    let (rate, epsilon, clip) = (1e-3, 1e6, 0.5);
    let adam = Adam {
        schedule: Schedule::Constant { rate },
        beta_1: 0.0,
        beta_2: 0.0,
        epsilon,
        clip,
        ..Adam::default()
    };
    let (weights, _) = train(Serial, 1, adam, &Noise::new(false), 1, 1);
    let norm: f64 = weights.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>().sqrt();
    let norm = norm * f64::from(epsilon / rate);
    assert!((norm - f64::from(clip)).abs() < 1e-3, "{norm}");
}

#[test]
fn settings_out_of_range_are_refused() {
    let refused = |adam: Adam| {
        let error = Trainer::builder().update(adam).build().expect_err("a bad setting");
        error.to_string()
    };
    assert!(refused(Adam { beta_1: 1.0, ..Adam::default() }).contains("beta-1"));
    assert!(refused(Adam { beta_2: 0.8, ..Adam::default() }).contains("beta-2"));
    // β₁ is none of RMSProp's, and β₂ none of momentum's.
    let form = AdamForm::RmsProp;
    assert!(refused(Adam { form, beta_2: 1.0, ..Adam::default() }).contains("beta-2"));
    let free = Adam { form, beta_2: 0.8, ..Adam::default() };
    assert!(Trainer::builder().update(free).build().is_ok());
    assert!(refused(Adam { epsilon: 0.0, ..Adam::default() }).contains("epsilon"));
    assert!(refused(Adam { clip: 0.0, ..Adam::default() }).contains("clip"));
    assert!(refused(Adam { warm_up: -1.0, ..Adam::default() }).contains("warm-up"));
}
