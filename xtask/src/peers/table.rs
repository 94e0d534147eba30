//! The tables of `cargo xtask peers`.

use asyn_report::Table;

use super::Row;

/// Returns the table of measured values.
pub(super) fn values(rows: &[Row], target: f64) -> Table {
    let number = |value: Option<f64>, n_digits: usize| {
        value.map_or_else(|| "–".to_owned(), |value| format!("{value:.n_digits$}"))
    };
    let to_target = |what: &str| format!("{what} to F1 {target}");
    let header = [
        "program",
        "threads",
        "passes",
        "s a pass",
        "s training",
        "s text to model",
        "F1 (%)",
        &to_target("passes"),
        &to_target("s training"),
        &to_target("s text to model"),
        "thousand tokens/s text to text",
        "attributes ready",
        "peak MB",
    ];
    rows.iter().fold(Table::new(header), |table, row| {
        let memory = row.peak_memory_bytes.map(|bytes| bytes.div_ceil(1_000_000).to_string());
        table.row([
            row.name.clone(),
            row.threads.to_string(),
            row.n_passes.to_string(),
            number(row.seconds_a_pass, 4),
            number(Some(row.train_seconds), 2),
            number(Some(row.all_seconds), 2),
            number(Some(row.f1), 2),
            row.to_target.map_or_else(|| "–".to_owned(), |it| it.n_passes.to_string()),
            number(row.to_target.map(|it| it.train_seconds), 2),
            number(row.to_target.map(|it| it.all_seconds), 2),
            number(row.tag_tokens_per_second.map(|speed| speed / 1e3), 0),
            number(row.decode_tokens_per_second.map(|speed| speed / 1e3), 0),
            memory.unwrap_or_else(|| "–".to_owned()),
        ])
    })
}

/// Returns how many times as much each peer needs as `asyn` on all cores.
pub(super) fn ratios(rows: &[Row]) -> Table {
    let asyn = rows.iter().filter(|row| row.name == "asyn").max_by_key(|row| row.threads);
    let n_threads = asyn.map_or(1, |row| row.threads);
    let header = [
        "times as much as asyn",
        "s a pass",
        "s training",
        "s text to model",
        "s training to target",
        "s text to model, target",
        "text to text",
        "tagging alone",
        "memory",
    ];
    let note = format!(
        "asyn with its defaults on {n_threads} threads; the peers have one thread. In \"tagging \
         alone\" their attributes are ready, while asyn still goes from text to text."
    );
    let peers = rows.iter().filter(|row| row.name != "asyn");
    peers.fold(Table::new(header).note(note), |table, peer| {
        let ratio = |value: &dyn Fn(&Row) -> Option<f64>| {
            let ratio = asyn.and_then(|asyn| Some(value(peer)? / value(asyn)?));
            ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.1}"))
        };
        #[allow(clippy::cast_precision_loss, reason = "a ratio of memories needs few digits")]
        let memory = |row: &Row| row.peak_memory_bytes.map(|bytes| bytes as f64);
        table.row([
            peer.name.clone(),
            ratio(&|row| row.seconds_a_pass),
            ratio(&|row| Some(row.train_seconds)),
            ratio(&|row| Some(row.all_seconds)),
            ratio(&|row| Some(row.to_target?.train_seconds)),
            ratio(&|row| Some(row.to_target?.all_seconds)),
            ratio(&|row| row.tag_tokens_per_second.map(f64::recip)),
            ratio(&|row| {
                row.decode_tokens_per_second.or(row.tag_tokens_per_second).map(f64::recip)
            }),
            ratio(&memory),
        ])
    })
}

#[cfg(test)]
mod tests {
    use super::super::ToTarget;
    use super::*;

    fn row(name: &str, threads: u32, seconds: f64) -> Row {
        Row {
            name: name.to_owned(),
            threads,
            n_passes: 10,
            seconds_a_pass: Some(seconds / 10.0),
            train_seconds: seconds,
            all_seconds: 2.0 * seconds,
            f1: 93.7,
            to_target: Some(ToTarget {
                n_passes: 5,
                train_seconds: seconds / 2.0,
                all_seconds: seconds,
            }),
            tag_tokens_per_second: Some(1000.0 / seconds),
            decode_tokens_per_second: None,
            peak_memory_bytes: None,
        }
    }

    #[test]
    fn peers_are_compared_with_the_fastest_row_of_asyn() {
        let rows = [row("asyn", 1, 2.0), row("asyn", 2, 1.0), row("CRFsuite", 1, 15.0)];
        let text = ratios(&rows).to_string();
        let cells: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(
            cells,
            ["CRFsuite", "15.0", "15.0", "15.0", "15.0", "15.0", "15.0", "15.0", "–"]
        );
        assert_eq!(values(&rows, 93.5).to_string().lines().count(), 4);
    }
}
