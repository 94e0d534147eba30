//! The pictures of the panels on races.
//!
//! Lines are solid where real threads were measured and dashed where workers were simulated.
//! Unless a picture goes by pass, it shows the first pass of each run.

use asyn_report::statistics::median;
use asyn_report::{Axis, ErrorQuantiles, Figure, Pass, Point, Races, Run, Series};

use super::Results;
use super::experiment::Model;
use super::figures::{points_by, range};
use super::panels::{Panels, Watched, sample_size};
use super::summary::Arm;
use super::theory::Moment;

/// What captions say of the two kinds of lines.
const KINDS: &str = "Solid: measured on real threads; dashed: simulated.";
const PROBES: &str = "One step in 16 is probed: its gradient is computed once more, on a copy \
                      taken just before.";
/// The gradients that differ of which quantiles are drawn, at the least.
const N_LEAST: f64 = 10.0;
const ERROR: &str = "The error is the distance of the two gradients relative to the one on the \
                     copy; p50, p90 and p99 are quantiles. Where fewer than ten gradients differ, \
                     nothing is drawn. The axis is logarithmic.";
/// The points below the lowest final score that the picture of scores shows.
const DEPTH: f64 = 2.0;

/// The quantiles of errors that are drawn.
type Quantile = fn(&ErrorQuantiles) -> Option<f64>;
const QUANTILES: [(&str, Quantile); 3] =
    [("p50", |error| error.p50), ("p90", |error| error.p90), ("p99", |error| error.p99)];

/// Draws all of them, in the order of the page; real threads are shown up to `n_cores`.
pub(super) fn all(results: &Results, panels: &Panels, n_cores: u32) -> Vec<Figure> {
    let mut figures = vec![
        error_rates(panels),
        scores(results, panels, n_cores),
        speed_up(results, panels, n_cores),
        error_magnitude(panels),
        cosine(panels),
        reads(panels),
        staleness(panels),
        errors_by_pass(panels),
    ];
    match results.experiment.model {
        Model::Crf => figures.extend([edges(panels), tau(panels)]),
        Model::BiLstm => figures.extend([scores_of_sample(panels), moments(panels)]),
    }
    figures
}

/// The first row of the source's Figures 2 and 3.
fn error_rates(panels: &Panels) -> Figure {
    let y = Axis::new("share of steps (%)").from(0.0).to(102.0);
    let figure = Figure::lines("Gradient error rate by workers", workers_axis(panels), y);
    let runs = &panels.in_place;
    let figure = draw(figure, "overwritten", 0, runs, |pass| {
        Some(100.0 * seen(pass)?.read_overwritten_rate)
    });
    let figure = draw(figure, "line overwritten", 3, runs, |pass| {
        let counted = pass.simulation.as_ref()?;
        Some(100.0 * ratio(counted.overwritten_steps, counted.steps))
    });
    let figure =
        draw(figure, "overlapped", 1, runs, |pass| Some(100.0 * seen(pass)?.overlapped_rate));
    let figure =
        draw(figure, "gradient differs", 2, runs, |pass| Some(100.0 * seen(pass)?.wrong_rate));
    figure.caption(format!(
        "After the first row of the source's Figures 2 and 3: the share of AsynGrad's steps that races \
         reach, in the first pass. Overwritten: of a sample of steps, those that read a row \
         which another worker wrote before the gradient was there. Line overwritten: the same for \
         cache lines and all steps, as the simulator counts it. \
         Overlapped: an update of another worker fell between the step's first read and the \
         end of its write, whatever it touched. Differs: of the probed gradients, those with \
         any bit other than on the copy. {PROBES} Threads that share cores with other programs \
         overlap less. {KINDS}"
    ))
}

/// The second row of the source's Figures 2 and 3.
fn scores(results: &Results, panels: &Panels, n_cores: u32) -> Figure {
    let of = |name: &str| {
        let arms = results.arms.iter().filter(|arm| arm.contender.name == name);
        arms.filter(|arm| arm.threads <= n_cores).max_by_key(|arm| arm.threads)
    };
    let real: Vec<&Arm> = ["serial", "AsynGrad"].into_iter().filter_map(of).collect();
    // A Bi-LSTM is simulated on a sample, of which a pass teaches less.
    let is_alike = results.experiment.model == Model::Crf;
    let simulated = most_workers(panels, true).filter(|_| is_alike);

    let finals = real.iter().flat_map(|arm| arm.each(Run::last_score));
    let finals = finals.chain(simulated.and_then(|watched| watched.run.last_score()));
    let y = Axis::new("score on the test (%)").from(range(finals).0 - DEPTH);
    let mut figure = Figure::lines("Score by pass", pass_axis(panels), y);
    for arm in real {
        let name = match arm.threads {
            1 => arm.contender.name.to_owned(),
            n => format!("{}, {n} threads", arm.contender.name),
        };
        let points = points_by(arm, |run| by_pass(run, |pass| Some(pass.dev?.f1)));
        figure = figure.series(Series::new(name, points).colour(arm.contender.colour));
    }
    if let Some(most) = simulated {
        let points = by_pass(&most.run, |pass| Some(pass.dev?.f1));
        figure =
            with_line(figure, format!("AsynGrad, {} simulated", most.workers), 2, true, points);
    }
    figure.caption(format!(
        "After the second row of the source's Figures 2 and 3: whether training without a lock learns \
         as much from a pass as serial training. Plain settings. Measured lines are means over \
         seeds, with the range over seeds as a band; a simulated line is one seed. {KINDS}"
    ))
}

/// The same on the sample, with more workers than there are cores.
fn scores_of_sample(panels: &Panels) -> Figure {
    let y = Axis::new("score on the test (%)");
    let mut figure = Figure::lines("Score by pass on the sample", pass_axis(panels), y);
    let one = panels.in_place.iter().find(|it| !it.is_simulated && it.workers == 1);
    let runs = [one, most_workers(panels, false), most_workers(panels, true)];
    for (colour, watched) in runs.into_iter().enumerate() {
        let Some(watched) = watched else {
            continue;
        };
        let points = by_pass(&watched.run, |pass| Some(pass.dev?.f1));
        figure = with_line(figure, name_of(watched), colour, watched.is_simulated, points);
    }
    figure.caption(format!(
        "After the second row of the source's Figure 3, with as many workers as there: AsynGrad \
         on few sentences, where a step changes most. One thread computes what serial training \
         does. One seed. {KINDS}"
    ))
}

/// The third row of the source's Figures 2 and 3.
fn speed_up(results: &Results, panels: &Panels, n_cores: u32) -> Figure {
    let y = Axis::new("tokens/s, times those of serial training").from(0.0);
    let mut figure = Figure::lines("Speed-up by workers", workers_axis(panels), y);
    let arms = |name: &'static str| {
        let arms = results.arms.iter().filter(move |arm| arm.contender.name == name);
        arms.filter(|arm| arm.threads <= n_cores)
    };
    let speeds = |arm: &Arm| arm.each(Run::tokens_per_second);
    let serial = arms("serial").next().and_then(|arm| median(&speeds(arm)));
    let one_simulated = panels.speeds.first().and_then(|(_, runs)| first_speed(runs.first()?));
    for (contender, runs) in &panels.speeds {
        let real = arms(contender.name).filter_map(|arm| {
            let (one, speeds) = (serial?, speeds(arm));
            let (low, high) = range(speeds.iter().copied());
            let point = Point::new(f64::from(arm.threads), median(&speeds)? / one);
            Some(point.with_band(low / one, high / one))
        });
        let series = Series::new(format!("{}, real", contender.name), real);
        figure = figure.series(series.colour(contender.colour));
        let simulated = runs.iter().filter_map(|watched| {
            let speed_up = first_speed(watched)? / one_simulated?;
            Some((f64::from(watched.workers), speed_up))
        });
        let name = format!("{}, simulated", contender.name);
        figure = with_line(figure, name, contender.colour, true, simulated.collect());
    }
    figure.caption(format!(
        "After the third row of the source's Figures 2 and 3: round-robin workers write in turn, locked \
         ones in any order. Plain settings. Real speeds are medians over passes and seeds, with \
         the range over seeds as a band. Simulated ones are \
         those of the first pass on the virtual clock, over one simulated worker of AsynGrad, \
         which is serial training; they are \
         predictions by costs that were fitted to one and two threads. {KINDS}"
    ))
}

fn error_magnitude(panels: &Panels) -> Figure {
    let y = Axis::new("relative error of the gradient").log();
    let mut figure = Figure::lines("Error of the gradient by workers", workers_axis(panels), y);
    let runs = &panels.in_place;
    for (colour, (name, of)) in QUANTILES.into_iter().enumerate() {
        figure = draw(figure, name, colour, runs, |pass| error(pass).and_then(of));
    }
    figure.caption(format!(
        "How wrong those of AsynGrad's gradients are that differ at all: quantiles over the \
         probed steps of the first pass. {PROBES} {ERROR} {KINDS}"
    ))
}

fn cosine(panels: &Panels) -> Figure {
    let y = Axis::new("mean cosine of the racy gradient and that on a copy").to(1.0);
    let figure = Figure::lines("Direction of the gradient by workers", workers_axis(panels), y);
    let figure = draw(figure, "AsynGrad", 1, &panels.in_place, |pass| seen(pass)?.cosine_mean);
    figure.caption(format!(
        "1 means that races do not turn the gradient at all. Means over the probed steps of the \
         first pass, those without an error included. {KINDS}"
    ))
}

fn reads(panels: &Panels) -> Figure {
    let y = Axis::new("relative error of the gradient").log();
    let figure = Figure::lines("In-place against snapshot reads", workers_axis(panels), y);
    let figure = quantiles(figure, "in place", 0, &panels.in_place);
    quantiles(figure, "snapshot", 2, &panels.snapshot).caption(format!(
        "In place, a gradient reads each weight when it needs it; with snapshots the step copies \
         all that it touches first, and weights can change under the copying alone. Of gradients \
         that differ, in AsynGrad's first pass. {PROBES} {ERROR} {KINDS}"
    ))
}

fn edges(panels: &Panels) -> Figure {
    let y = Axis::new("relative error of the gradient").log();
    let figure = Figure::lines("Sparse against dense edges", workers_axis(panels), y);
    let others = panels.others.iter().zip([0, 2]);
    let figure =
        others.fold(figure, |figure, ((name, runs), colour)| quantiles(figure, name, colour, runs));
    let n_sample = sample_size(Model::Crf);
    figure.caption(format!(
        "A CRF with plain transitions beside a dense-CRF, whose frequent attributes have weights \
         for pairs of labels too, which makes a step longer and its gradient denser. Of gradients \
         that differ, in AsynGrad's first pass over {n_sample} sentences. {PROBES} {ERROR} \
         {KINDS}"
    ))
}

/// What the source leaves open: whose the moments of Adam are.
fn moments(panels: &Panels) -> Figure {
    let y = Axis::new("score on the test (%)");
    let figure = Figure::lines("Whose the moments of Adam are", workers_axis(panels), y);
    let others = panels.others.iter().zip(0..);
    let figure = others.fold(figure, |figure, ((name, runs), colour)| {
        draw(figure, name, colour, runs, |pass| Some(pass.dev?.f1))
    });
    figure.caption(format!(
        "The score after AsynGrad's first pass. Shared: all workers change the same means of \
         gradients and squares; private: each worker has its own, which see only its \
         gradients; mixed: the squares are shared. {KINDS}"
    ))
}

fn staleness(panels: &Panels) -> Figure {
    let most = panels.in_place.iter().map(|watched| watched.workers).max().unwrap_or(1);
    // Beyond it lie steps during which the system ran another program.
    let end = 3 * most as usize;
    let y = Axis::new("share of steps (%)").from(0.0);
    let mut figure = Figure::lines("Staleness", Axis::new("updates by others").from(0.0), y);
    let mut colour = 0;
    for watched in &panels.in_place {
        let is_shown = if watched.is_simulated {
            [2, 4, 10].contains(&watched.workers)
        } else {
            watched.workers > 1
        };
        let counts = watched.run.passes.first().and_then(seen).map(|seen| &seen.staleness);
        let Some(counts) = counts.filter(|_| is_shown) else {
            continue;
        };
        let all: u64 = counts.iter().sum();
        let shares = counts.iter().enumerate().take(end + 1);
        #[allow(clippy::cast_precision_loss, reason = "there are 65 places")]
        let points = shares.map(|(at, &n)| (at as f64, 100.0 * ratio(n, all))).collect();
        figure = with_line(figure, name_of(watched), colour, watched.is_simulated, points);
        colour += 1;
    }
    figure.caption(format!(
        "How many updates of other workers fell between a step's first read and the end of its \
         write, as shares of AsynGrad's steps in the first pass. Steps with more than {end}, as \
         when the system stops a thread, count in the shares and are not drawn. {KINDS}"
    ))
}

fn errors_by_pass(panels: &Panels) -> Figure {
    let y = Axis::new("relative error of the gradient").log();
    let mut figure = Figure::lines("Error of the gradient over training", pass_axis(panels), y);
    for (kind, is_simulated) in [("threads", false), ("simulated", true)] {
        let Some(most) = most_workers(panels, is_simulated) else {
            continue;
        };
        for (colour, (name, of)) in QUANTILES.into_iter().enumerate() {
            let points = by_pass(&most.run, |pass| error(pass).and_then(of));
            let name = format!("{name}, {} {kind}", most.workers);
            figure = with_line(figure, name, colour, is_simulated, points);
        }
    }
    figure.caption(format!(
        "Whether races matter more or less as training goes on: quantiles over the probed steps \
         of each pass, of gradients that differ. {PROBES} {ERROR} {KINDS}"
    ))
}

/// The condition of the source's Theorem 1, beside what is measured.
fn tau(panels: &Panels) -> Figure {
    type Value = fn(&Moment) -> Option<f64>;
    let y = Axis::new("τ and what the theorem allows").log();
    let mut figure = Figure::lines("τ over training", pass_axis(panels), y);
    for followed in &panels.theory {
        let kind = if followed.is_simulated { "simulated" } else { "threads" };
        let points = |value: Value| {
            let points = followed.moments.iter().map(move |moment| {
                Some((f64::from(moment.pass), value(moment).filter(|&value| value > 0.0)?))
            });
            points.flatten().collect()
        };
        let lines: [(&str, usize, Value); 4] = [
            ("measured", 0, |moment| Some(moment.tau?[0])),
            ("measured, 97.5 %", 3, |moment| Some(moment.tau?[2])),
            ("Theorem 1", 1, |moment| Some(moment.tau_limit)),
            ("tight", 2, |moment| Some(moment.tau_limit_tight)),
        ];
        for (name, colour, value) in lines {
            let name = format!("{name}, {} {kind}", followed.workers);
            figure = with_line(figure, name, colour, followed.is_simulated, points(value));
        }
    }
    let n_sample = sample_size(Model::Crf);
    figure.caption(format!(
        "τ is the mean of (g − s)ᵀ(w − w*) over probed steps: how far the errors of gradients \
         push away from the optimum. Theorem 1 asks for τ of at most c ε / 2q, and a tighter \
         bound for c ε / q, where ε is the distance from the optimal objective that the pass has \
         reached and c and q are the extremes of the run so far. AsynGrad by SGD on \
         {n_sample} sentences with plain edges and the template chunking, or word where there are \
         two columns, whose optimum L-BFGS has found. {PROBES} A value \
         of 0 or less, which pushes towards the optimum, is not drawn; the upper end of the \
         bootstrap interval of the mean is. {KINDS}"
    ))
}

/// Draws a value of each run's first pass by workers: one line for real threads, one for
/// simulated ones.
fn draw(
    mut figure: Figure,
    name: &str,
    colour: usize,
    runs: &[Watched],
    value: impl Fn(&Pass) -> Option<f64>,
) -> Figure {
    for (kind, is_simulated) in [("real", false), ("simulated", true)] {
        let runs = runs.iter().filter(|watched| watched.is_simulated == is_simulated);
        let point = |watched: &Watched| {
            Some((f64::from(watched.workers), value(watched.run.passes.first()?)?))
        };
        let points = runs.filter_map(point).collect();
        figure = with_line(figure, format!("{name}, {kind}"), colour, is_simulated, points);
    }
    figure
}

/// Adds a line; one without a point is left out.
fn with_line(
    figure: Figure,
    name: String,
    colour: usize,
    is_simulated: bool,
    points: Vec<(f64, f64)>,
) -> Figure {
    if points.is_empty() {
        return figure;
    }
    let points = points.into_iter().map(|(x, y)| Point::new(x, y));
    let series = Series::new(name, points).colour(colour);
    figure.series(if is_simulated { series.dashed() } else { series })
}

/// Draws the two lower quantiles of the relative error, in this colour and the next.
fn quantiles(mut figure: Figure, way: &str, colour: usize, runs: &[Watched]) -> Figure {
    for (idx, (name, of)) in QUANTILES.into_iter().take(2).enumerate() {
        let name = format!("{way}, {name}");
        figure = draw(figure, &name, colour + idx, runs, |pass| error(pass).and_then(of));
    }
    figure
}

/// Returns the error of the gradients that differ, where there are enough of them.
fn error(pass: &Pass) -> Option<&ErrorQuantiles> {
    let seen = seen(pass)?;
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    let n_wrong = seen.wrong_rate * seen.probes as f64;
    (n_wrong > N_LEAST - 0.5).then_some(&seen.relative_error_wrong)
}

/// Returns what the instruments of all workers saw in a pass.
fn seen(pass: &Pass) -> Option<&Races> {
    Some(&pass.races.as_ref()?.total)
}

/// Returns the run in place of the most workers, real or simulated.
fn most_workers(panels: &Panels, is_simulated: bool) -> Option<&Watched> {
    let runs = panels.in_place.iter().filter(|watched| watched.is_simulated == is_simulated);
    runs.max_by_key(|watched| watched.workers)
}

fn first_speed(watched: &Watched) -> Option<f64> {
    Some(watched.run.passes.first()?.tokens_per_second)
}

#[allow(clippy::cast_precision_loss, reason = "there are few passes")]
fn by_pass(run: &Run, value: impl Fn(&Pass) -> Option<f64>) -> Vec<(f64, f64)> {
    run.passes.iter().filter_map(|pass| Some((pass.pass as f64, value(pass)?))).collect()
}

/// Returns the axis of workers: as many as were simulated, and more where there are more cores.
fn workers_axis(panels: &Panels) -> Axis {
    let all = panels.in_place.iter().map(|watched| watched.workers);
    let most = all.clone().max().unwrap_or(1);
    let axis = Axis::new("workers").from(0.6).to(f64::from(most) + 0.4);
    axis.whole_numbers((1..=10).chain(all.filter(|&n| n > 10)).filter(|&n| n <= most))
}

fn pass_axis(panels: &Panels) -> Axis {
    let passes = panels.in_place.iter().flat_map(|watched| &watched.run.passes);
    let passes = passes.filter_map(|pass| u32::try_from(pass.pass).ok());
    Axis::new("pass").whole_numbers(1..=passes.max().unwrap_or(1))
}

fn name_of(watched: &Watched) -> String {
    let kind = if watched.is_simulated { "simulated" } else { "threads" };
    format!("{} {kind}", watched.workers)
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn ratio(part: u64, all: u64) -> f64 {
    part as f64 / all.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reproduce::theory::Followed;

    /// A run of one pass, of whose 100 probed gradients so many differ.
    fn watched(workers: u32, is_simulated: bool, n_wrong: u32) -> Watched {
        let error = r#"{"p50":0.1,"p90":0.2,"p99":0.3,"max":0.4}"#;
        let text = format!(
            r#"{{"event":"start","model":"crf","strategy":"s","threads":1,"seed":1,"update":"u",
            "kernels":"k","version":"0","data":{{"train":"t","sentences":1,"tokens":1,
            "attributes":1,"rich":0,"labels":2,"weights":2,"read_seconds":0,"encode_seconds":0}},
            "machine":{{"cores":2}}}}
            EVENT{{"event":"pass","pass":1,"loss":1,"examples":1,"steps":1,"train_seconds":1,
            "total_train_seconds":1,"total_observe_seconds":0,"tokens_per_second":1,
            "races":{{"workers":[],"total":{{"steps":4,"overlapped_rate":1,"staleness_mean":1.25,
            "staleness_largest":2,"staleness":[0,3,1],"probes":100,"wrong_rate":{},
            "relative_error":{error},"relative_error_wrong":{error},"cosine_mean":0.9,
            "differing_share":0,"far_share":0,"sign_flip_share":0,"bias":0}}}}}}"#,
            f64::from(n_wrong) / 100.0
        );
        let run = Run::parse(&text.replace('\n', " ").replace("EVENT", "\n")).unwrap();
        Watched { workers, is_simulated, run }
    }

    fn panels(in_place: Vec<Watched>) -> Panels {
        let (snapshot, others) = (Vec::new(), Vec::new());
        let (speeds, theory) = (Vec::new(), Vec::new());
        Panels { in_place, snapshot, others, speeds, theory }
    }

    #[test]
    fn real_and_simulated_are_drawn_apart_and_named_so() {
        let panels = panels(vec![watched(2, false, 50), watched(2, true, 50)]);
        for figure in [error_rates(&panels), error_magnitude(&panels)] {
            let svg = figure.svg().unwrap();
            assert!(svg.contains("real") && svg.contains("simulated"));
        }
        for figure in [staleness(&panels), errors_by_pass(&panels)] {
            let svg = figure.svg().unwrap();
            assert!(svg.contains("2 threads") && svg.contains("2 simulated"));
        }
    }

    #[test]
    fn tau_is_drawn_where_it_can_be_beside_what_is_allowed() {
        let moment = |pass, tau| Moment { pass, tau, tau_limit: 0.1, tau_limit_tight: 0.2 };
        let moments = vec![moment(1, Some([0.01, -0.01, 0.02])), moment(2, Some([0.0; 3]))];
        let mut panels = panels(vec![watched(2, false, 50)]);
        panels.theory = vec![Followed { workers: 2, is_simulated: false, moments }];
        let svg = tau(&panels).svg().unwrap();
        assert!(
            ["measured, 2 threads", "Theorem 1, 2", "tight, 2"].iter().all(|it| svg.contains(it))
        );
    }

    #[test]
    fn errors_of_too_few_gradients_are_not_drawn() {
        assert!(error(&watched(2, false, 9).run.passes[0]).is_none());
        assert!(error(&watched(2, false, 10).run.passes[0]).is_some());
        let few = panels(vec![watched(2, false, 9), watched(2, true, 50)]);
        assert!(!error_magnitude(&few).svg().unwrap().contains("real"));
    }
}
