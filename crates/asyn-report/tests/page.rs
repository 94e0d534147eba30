//! Pages: whole, self-contained, and true to the numbers behind them.

use asyn_report::{Axis, Bar, BarGroup, Figure, Mark, Page, Point, Series, Table};
use serde_json::Value;

fn figure() -> Figure {
    let points = [(0.05, 91.25), (0.1, 93.0), (0.2, 93.5)];
    let points = points.map(|(x, y)| Point::new(x, y).with_band(y - 0.125, y + 0.125));
    Figure::lines("Score <and> time", Axis::new("time (s)").log(), Axis::new("F1 (%)").from(92.0))
        .series(Series::new("serial & co", points))
        .series(Series::new("ideal", [Point::new(0.05, 93.0), Point::new(0.2, 94.0)]).reference())
        .mark(Mark::new(93.75, "best possible"))
        .caption("A caption.")
        .command("asyn train crf --train \"a b\"")
}

fn bars() -> Figure {
    let bar = |name: &str, value: f64| Bar {
        name: name.into(),
        value,
        range: (0.9 * value, 1.1 * value),
        text: format!("{value} M"),
    };
    let groups = ["serial", "asyngrad"].map(|name| BarGroup {
        name: name.into(),
        bars: vec![bar("1 thread", 4.25), bar("2 threads", 7.5)],
    });
    Figure::bars("Speed", Axis::new("million tokens/s"), groups.into())
}

fn page() -> Page {
    let table =
        Table::new(["strategy", "F1"]).row(["a </script> b", "93.50 ± 0.04"]).note("A note.");
    Page::new("A page").section("Part").text("Words.").figure(figure()).figure(bars()).table(table)
}

/// Returns the names of elements that are opened and not closed, or the reverse.
fn unbalanced(html: &str) -> Vec<String> {
    let mut open = Vec::new();
    let mut wrong = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        let tag = &rest[start + 1..start + rest[start..].find('>').expect("a tag ends")];
        rest = &rest[start + tag.len() + 2..];
        let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap();
        if tag.starts_with('!') || tag.ends_with('/') || name == "meta" {
            continue;
        }
        if tag.starts_with('/') {
            match open.pop() {
                Some(last) if last == name => {}
                last => wrong.push(format!("{last:?} closed by {name}")),
            }
            continue;
        }
        open.push(name);
        // What is in these elements is not markup.
        if name == "script" || name == "style" {
            let end = rest.find(&format!("</{name}>")).expect("it ends");
            rest = &rest[end..];
        }
    }
    wrong.extend(open.into_iter().map(str::to_owned));
    wrong
}

fn data(html: &str) -> Value {
    let opening = "<script type=\"application/json\" id=\"data\">";
    let start = html.find(opening).unwrap() + opening.len();
    let end = start + html[start..].find("</script>").unwrap();
    serde_json::from_str(&html[start..end]).unwrap()
}

#[test]
fn a_page_is_well_formed() {
    let html = page().html().unwrap();
    assert_eq!(unbalanced(&html), Vec::<String>::new());
    assert!(html.contains("a &lt;/script&gt; b"));
    assert!(html.contains("--train &quot;a b&quot;"));
}

#[test]
fn a_page_loads_nothing() {
    let html = page().html().unwrap().replace("http://www.w3.org/2000/svg", "");
    for reference in ["http:", "https:", "src=", "url(", "@import", "<link", "href="] {
        assert!(!html.contains(reference), "{reference}");
    }
}

#[test]
fn the_numbers_behind_a_page_are_in_it() {
    let data = data(&page().html().unwrap());
    let lines = &data["blocks"][2]["figure"]["chart"]["lines"];
    assert_eq!(lines["series"][0]["points"][1]["x"], 0.1);
    assert_eq!(lines["series"][0]["points"][1]["low"], 92.875);
    assert_eq!(data["blocks"][4]["table"]["rows"][0][1], "93.50 ± 0.04");
    assert_eq!(data["blocks"][4]["table"]["rows"][0][0], "a </script> b");
}

#[test]
fn text_in_pictures_is_text() {
    let svg = figure().svg().unwrap();
    for text in ["serial &amp; co", "best possible", "time (s)", "F1 (%)", "0.1", "93.0"] {
        let has_text = svg.split("<text").skip(1).any(|part| part.contains(text));
        assert!(has_text, "{text}");
    }
    let svg = bars().svg().unwrap();
    assert!(svg.contains("7.5 M") && svg.contains("2 threads"));
}

#[test]
fn no_data_and_no_numbers_are_drawn_without_harm() {
    let empty = || Figure::lines("Empty", Axis::new("x").log(), Axis::new("y"));
    let strange = [f64::NAN, f64::INFINITY, -1.0, 0.0].map(|x| Point::new(x, x));
    for figure in [
        empty(),
        empty().series(Series::new("none", [])),
        empty().series(Series::new("strange", strange)),
        empty().series(Series::new("one", [Point::new(1.0, 1.0)]).dashed()),
        Figure::bars("Empty", Axis::new("x"), Vec::new()),
    ] {
        let svg = figure.svg().unwrap();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}

#[test]
fn a_page_that_cannot_be_written_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("page.html");
    page().write(&path).unwrap();
    assert!(path.is_file());
    let error = page().write(folder.path().join("none/page.html")).unwrap_err();
    assert!(error.to_string().contains("page.html"), "{error}");
}
