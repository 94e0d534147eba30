//! What a chart shows: points, series, marks and bars. Drawing is elsewhere.

use serde::Serialize;

use crate::axis::Axis;
use crate::error::{Error, Result};
use crate::{bars, lines};

/// A chart with its title, its caption and the command that made its data.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    pub(crate) title: String,
    pub(crate) caption: String,
    pub(crate) command: String,
    chart: Chart,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Chart {
    Lines(LineChart),
    Bars(BarChart),
}

/// Series over two axes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct LineChart {
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) series: Vec<Series>,
    pub(crate) marks: Vec<Mark>,
}

/// Groups of bars over one axis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct BarChart {
    pub(crate) axis: Axis,
    pub(crate) groups: Vec<BarGroup>,
}

/// One line of a chart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<Point>,
    pub(crate) colour: Option<usize>,
    pub(crate) is_dashed: bool,
    pub(crate) is_reference: bool,
}

/// A point of a series, with the band around it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// A level that a chart points out, such as the best possible score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mark {
    pub(crate) y: f64,
    pub(crate) label: String,
}

/// Bars that belong together, such as one strategy with several numbers of threads.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BarGroup {
    /// What the group is called.
    pub name: String,
    /// Its bars, from top to bottom.
    pub bars: Vec<Bar>,
}

/// One bar.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bar {
    /// What the bar is called within its group; bars of one name have one colour.
    pub name: String,
    /// Its length.
    pub value: f64,
    /// The least and the greatest value behind it.
    pub range: (f64, f64),
    /// What is written at its end.
    pub text: String,
}

impl Point {
    /// Makes a point without a band.
    #[must_use]
    pub fn new(x: f64, y: f64) -> Self {
        Self { x, y, low: y, high: y }
    }

    /// Sets the band, for instance the least and the greatest value over seeds.
    #[must_use]
    pub fn with_band(self, low: f64, high: f64) -> Self {
        Self { low, high, ..self }
    }
}

impl Series {
    /// Makes a series whose points are joined in their order.
    pub fn new(name: impl Into<String>, points: impl IntoIterator<Item = Point>) -> Self {
        Self {
            name: name.into(),
            points: points.into_iter().collect(),
            colour: None,
            is_dashed: false,
            is_reference: false,
        }
    }

    /// Gives the series the colour with number `idx`; otherwise each has its own.
    #[must_use]
    pub fn colour(mut self, idx: usize) -> Self {
        self.colour = Some(idx);
        self
    }

    /// Draws the line dashed.
    #[must_use]
    pub fn dashed(mut self) -> Self {
        self.is_dashed = true;
        self
    }

    /// Draws the line faint and without points: it was not measured.
    #[must_use]
    pub fn reference(mut self) -> Self {
        self.is_reference = true;
        self
    }
}

impl Mark {
    /// Makes a mark at the height `y`.
    pub fn new(y: f64, label: impl Into<String>) -> Self {
        Self { y, label: label.into() }
    }
}

impl Figure {
    /// Makes a chart of lines, to which series are added.
    pub fn lines(title: impl Into<String>, x: Axis, y: Axis) -> Self {
        let chart = LineChart { x, y, series: Vec::new(), marks: Vec::new() };
        Self::new(title, Chart::Lines(chart))
    }

    /// Makes a chart of horizontal bars.
    pub fn bars(title: impl Into<String>, axis: Axis, groups: Vec<BarGroup>) -> Self {
        Self::new(title, Chart::Bars(BarChart { axis, groups }))
    }

    fn new(title: impl Into<String>, chart: Chart) -> Self {
        Self { title: title.into(), caption: String::new(), command: String::new(), chart }
    }

    /// Adds a series to a chart of lines; a chart of bars has none.
    #[must_use]
    pub fn series(mut self, series: Series) -> Self {
        if let Chart::Lines(chart) = &mut self.chart {
            chart.series.push(series);
        }
        self
    }

    /// Adds a mark to a chart of lines; a chart of bars has none.
    #[must_use]
    pub fn mark(mut self, mark: Mark) -> Self {
        if let Chart::Lines(chart) = &mut self.chart {
            chart.marks.push(mark);
        }
        self
    }

    /// Sets what is said under the chart.
    #[must_use]
    pub fn caption(mut self, caption: impl Into<String>) -> Self {
        self.caption = caption.into();
        self
    }

    /// Sets the command that made the data.
    #[must_use]
    pub fn command(mut self, command: impl Into<String>) -> Self {
        self.command = command.into();
        self
    }

    /// Draws the chart as SVG.
    ///
    /// # Errors
    ///
    /// [`Error::Draw`] where the drawing library fails.
    pub fn svg(&self) -> Result<String> {
        let drawn = match &self.chart {
            Chart::Lines(chart) => lines::draw(chart),
            Chart::Bars(chart) => bars::draw(chart),
        };
        drawn.map_err(|source| Error::Draw { title: self.title.clone(), source })
    }
}
