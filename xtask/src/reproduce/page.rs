//! The page of a reproduction: its words and tables.

use asyn_report::{Page, Table};

use super::end_to_end;
use super::experiment::Model;
use super::figures;
use super::host::Host;
use super::panel_figures;
use super::panels::sample_size;
use super::summary::Summary;
use super::{Made, Results, Settings};

/// What is said above the panels on races.
const RACES: &str = "Simulated workers run the real code of the model and of the strategy, one at \
                     a time, on virtual clocks; they are predictions, exact for the costs that \
                     the simulator assumes, and not measurements. Real threads run as far as \
                     there are cores. Nothing is extrapolated. All runs are at plain settings.";

/// Makes the page of all experiments.
pub(super) fn page(host: &Host, settings: &Settings, made: &Made) -> Page {
    let mut page =
        Page::new("Asynchronous training against serial, locked and synchronous training")
            .text(
                "A tagger is trained on one shared weight vector, by each strategy, on the \
             same kernels. AsynGrad (Sun, COLING 2016) is the one whose workers read and write \
             without a lock.",
            )
            .text(
                "Settings and the number of passes were fixed beforehand, and the score is that \
             after the last pass, never the best one. Plain settings are those of the source, \
             with one example a step: SGD for a CRF, Adam for a Bi-LSTM. Tuned ones are the \
             defaults of asyn for a CRF, and eight sentences a step for a Bi-LSTM; serial training \
             has them too.",
            )
            .command(&host.command)
            .table(machine(host, settings));
    for results in &made.all {
        page = page.section(results.experiment.title).text(results.experiment.about);
        for line in verdicts(results) {
            page = page.text(line);
        }
        page = page
            .table(table(results))
            .figure(figures::score_by_time(results).command(&host.command))
            .figure(figures::time_a_pass(results).command(&host.command));
        if settings.threads.len() > 1 {
            page = page.figure(figures::speed_up(results, settings).command(&host.command));
        }
        if let Some(panels) = &results.panels {
            page = page.section(format!("{}: what races do", results.experiment.title)).text(RACES);
            if results.experiment.model == Model::BiLstm {
                page = page.text(format!(
                    "All runs but those of the score by pass and of the real speeds are on the \
                     first {} sentences of the training text.",
                    sample_size(Model::BiLstm)
                ));
            }
            for figure in panel_figures::all(results, panels, settings.n_cores) {
                page = page.figure(figure.command(&host.command));
            }
        }
    }
    let studies = made.studies.iter();
    let page = studies.fold(page, |page, study| study.add_to(page, &host.command));
    match &made.end_to_end {
        Some(measured) => page.section("What a user waits for").table(end_to_end::table(measured)),
        None => page,
    }
}

fn machine(host: &Host, settings: &Settings) -> Table {
    let threads: Vec<String> = settings.threads.iter().map(u32::to_string).collect();
    Table::new(["what", "value"])
        .row(["processor", &host.cpu])
        .row(["cores", &host.cores.to_string()])
        .row(["kernels", &host.kernels])
        .row(["threads", &threads.join(", ")])
        .row(["seeds", &settings.n_seeds.to_string()])
        .row(["date", &host.date])
        .row(["version", &host.version])
        .row(["commit", host.commit.as_deref().unwrap_or("–")])
}

/// Returns the table of one experiment, for the page and for the terminal.
pub(super) fn table(results: &Results) -> Table {
    let to_target = match results.target {
        Some(target) => format!("s to {target:.2} %"),
        None => "s to a score".to_owned(),
    };
    let header = [
        "strategy",
        "threads",
        "score (%)",
        "± over seeds",
        "loss at most",
        "thousand tokens/s",
        "s a pass",
        "× serial",
        "× round-robin",
        "× locked",
        &to_target,
    ];
    let mut table = Table::new(header);
    for row in &results.summaries {
        table = table.row([
            row.contender.name.to_owned(),
            row.threads.to_string(),
            number(Some(row.score), 2),
            number(row.score_deviation, 2),
            number(row.most_loss, 2),
            number(Some(row.tokens_per_second / 1e3), 1),
            number(Some(row.seconds_a_pass), 4),
            number(row.over_serial, 2),
            number(row.over_round_robin, 2),
            number(row.over_locked, 2),
            number(row.seconds_to_target, 3),
        ]);
    }
    for theirs in results.experiment.theirs {
        let mut cells = vec!["–".to_owned(); header.len()];
        cells[0] = theirs.name.to_owned();
        cells[1] = theirs.threads.to_string();
        cells[2] = number(Some(theirs.score), 2);
        cells[6] = number(Some(theirs.seconds_a_pass), 2);
        cells[7] = number(theirs.over_serial, 2);
        table = table.row(cells);
    }
    let n_seeds = results.summaries.iter().map(|row| row.n_seeds).max().unwrap_or(0);
    let fewer = results.summaries.iter().find(|row| row.n_seeds < n_seeds);
    let passes = results.experiment.passes;
    let mut note = format!(
        "{passes} passes, {n_seeds} seeds{}. Loss: points below the serial score of the same seed \
         at the same settings, the one-sided 95 % bound of the mean by Student's t. Speeds are \
         medians, and are compared with the same settings and, but \
         for serial, the same threads. Times are those of training, without evaluation, to the \
         first pass at which the mean score is there.",
        fewer
            .map_or_else(String::new, |row| format!(", {} of {}", row.n_seeds, row.contender.name)),
    );
    if let Some(best) = results.experiment.best_possible {
        note += &format!(" The best possible F1 is {best:.2}.");
    }
    table.note(note)
}

/// Returns what the numbers come to, in sentences.
pub(super) fn verdicts(results: &Results) -> Vec<String> {
    let find = |name: &str| {
        let rows = results.summaries.iter().filter(|row| row.contender.name == name);
        rows.max_by_key(|row| row.threads)
    };
    let score = |row: &Summary| match row.score_deviation {
        Some(deviation) => format!("{:.2} ± {deviation:.2}", row.score),
        None => format!("{:.2}", row.score),
    };
    let verdict = |(racy, serial): (&str, &str)| {
        let (racy, serial) = (find(racy)?, find(serial)?);
        let loss = match racy.most_loss {
            Some(loss) => format!(" The loss is below {loss:.2} points (one-sided 95 % bound)."),
            None => String::new(),
        };
        Some(format!(
            "{} on {} trains {:.2} times as many tokens a second as {}, at a score of {} against \
             {}.{loss}",
            racy.contender.name,
            threads(racy.threads),
            racy.tokens_per_second / serial.tokens_per_second,
            serial.contender.name,
            score(racy),
            score(serial)
        ))
    };
    let pairs = [
        ("AsynGrad", "serial"),
        ("AsynGrad, tuned", "serial, tuned"),
        ("AsynGrad, 8 a step", "serial, 8 a step"),
    ];
    pairs.into_iter().filter_map(verdict).collect()
}

fn number(value: Option<f64>, n_digits: usize) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.n_digits$}"))
}

/// Returns a number of threads in words.
pub(super) fn threads(n: u32) -> String {
    if n == 1 { "1 thread".to_owned() } else { format!("{n} threads") }
}
