//! Charts and tables of training runs, on one page that needs nothing else.
//!
//! | Type             | What it is                                                        |
//! | ---------------- | ----------------------------------------------------------------- |
//! | [`Page`]         | sections, text, figures and tables; written as one HTML file      |
//! | [`Figure`]       | a chart of lines or bars with a caption and the command behind it |
//! | [`Table`]        | rows of text, for the page and for a terminal                     |
//! | [`Run`]          | the events of one run, read from its `metrics.jsonl`              |
//! | [`run_report`]   | the page of one run                                               |
//! | [`races_table`]  | what races did to one run, by pass                                |
//! | [`statistics`]   | median, mean, standard deviation, time to a score                 |
//!
//! ```
//! use asyn_report::{Axis, Figure, Page, Point, Series, Table};
//!
//! let score = [(1.0, 91.2), (2.0, 93.1), (3.0, 93.5)];
//! let points = score.map(|(pass, f1)| Point::new(pass, f1).with_band(f1 - 0.1, f1 + 0.1));
//! let figure = Figure::lines("Score", Axis::new("pass"), Axis::new("F1 (%)"))
//!     .series(Series::new("serial", points))
//!     .command("asyn train crf --strategy serial");
//! let table = Table::new(["strategy", "F1"]).row(["serial", "93.5"]);
//! let html = Page::new("One run").section("Result").figure(figure).table(table).html()?;
//! assert!(html.starts_with("<!DOCTYPE html>"));
//! # Ok::<(), asyn_report::Error>(())
//! ```
//!
//! The pictures are inline SVG with text that can be searched and copied, the
//! data behind them are embedded as JSON, and nothing is loaded from elsewhere.
//! Light and dark follow the reader's system. The crate prints nothing and
//! knows nothing of models or weights.

mod axis;
mod bars;
mod colour;
mod error;
mod events;
mod figure;
mod lines;
mod page;
mod races;
mod run;
pub mod statistics;
mod table;

pub use axis::Axis;
pub use error::{Error, Result};
pub use events::{Data, End, Machine, Pass, Run, Score, Start};
pub use figure::{Bar, BarGroup, Figure, Mark, Point, Series};
pub use page::Page;
pub use races::{ErrorQuantiles, Races, RunRaces, Simulation, races_table};
pub use run::run_report;
pub use table::Table;
