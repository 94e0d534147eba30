//! A page: one HTML file that holds everything it shows.
//!
//! Style, script and pictures are in the file, and so are the data of every
//! figure and table, as JSON in the element with the id `data`. No address is
//! opened when the page is read.

use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::figure::Figure;
use crate::table::Table;

/// A page of text, figures and tables, in the order in which they are added.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page {
    title: String,
    blocks: Vec<Block>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Block {
    Section(String),
    Text(String),
    Command(String),
    Figure(Box<Figure>),
    Table(Table),
}

impl Page {
    /// Makes an empty page.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), blocks: Vec::new() }
    }

    /// Starts a section with this heading.
    #[must_use]
    pub fn section(self, heading: impl Into<String>) -> Self {
        self.with(Block::Section(heading.into()))
    }

    /// Adds a paragraph.
    #[must_use]
    pub fn text(self, text: impl Into<String>) -> Self {
        self.with(Block::Text(text.into()))
    }

    /// Adds a command with a button that copies it.
    #[must_use]
    pub fn command(self, command: impl Into<String>) -> Self {
        self.with(Block::Command(command.into()))
    }

    /// Adds a figure.
    #[must_use]
    pub fn figure(self, figure: Figure) -> Self {
        self.with(Block::Figure(Box::new(figure)))
    }

    /// Adds a table.
    #[must_use]
    pub fn table(self, table: Table) -> Self {
        self.with(Block::Table(table))
    }

    fn with(mut self, block: Block) -> Self {
        self.blocks.push(block);
        self
    }

    /// Returns the page as HTML.
    ///
    /// # Errors
    ///
    /// [`Error::Draw`] where a figure cannot be drawn.
    ///
    /// # Panics
    ///
    /// Never: every value of a page has a form in JSON.
    pub fn html(&self) -> Result<String> {
        let title = escape(&self.title);
        let mut body = format!("<h1>{title}</h1>\n");
        for block in &self.blocks {
            body += &match block {
                Block::Section(heading) => format!("<h2>{}</h2>\n", escape(heading)),
                Block::Text(text) => format!("<p>{}</p>\n", escape(text)),
                Block::Command(command) => command_html(command),
                Block::Figure(figure) => figure_html(figure)?,
                Block::Table(table) => table_html(table),
            };
        }
        let data = serde_json::to_string(self).expect("strings and numbers have a form in JSON");
        // A text of the data may not end the element that holds them.
        let data = data.replace("</", "<\\/");
        let (style, script) = (include_str!("page.css"), include_str!("page.js"));
        Ok(format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n{body}\
             <script type=\"application/json\" id=\"data\">{data}</script>\n\
             <script>\n{script}</script>\n</body>\n</html>\n"
        ))
    }

    /// Writes the page into the file `path`.
    ///
    /// # Errors
    ///
    /// [`Error::Draw`] where a figure cannot be drawn, [`Error::Write`] where
    /// the file cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let html = self.html()?;
        fs::write(path, html).map_err(|source| Error::Write { path: path.to_owned(), source })
    }
}

fn figure_html(figure: &Figure) -> Result<String> {
    let svg = figure.svg()?;
    let title = escape(&figure.title);
    let svg = svg.replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"{title}\" "), 1);
    let caption = match figure.caption.as_str() {
        "" => String::new(),
        caption => format!("<figcaption>{}</figcaption>\n", escape(caption)),
    };
    let command = match figure.command.as_str() {
        "" => String::new(),
        command => command_html(command),
    };
    Ok(format!("<figure>\n<h3>{title}</h3>\n{svg}{caption}{command}</figure>\n"))
}

fn command_html(command: &str) -> String {
    let command = escape(command);
    format!(
        "<div class=\"command\"><code>{command}</code><button type=\"button\">copy</button></div>\n"
    )
}

fn table_html(table: &Table) -> String {
    let row = |cells: &[String], tag: &str| {
        let cell = |(idx, cell): (usize, &String)| {
            let class = if table.is_numeric(idx) { " class=\"number\"" } else { "" };
            format!("<{tag}{class}>{}</{tag}>", escape(cell))
        };
        format!("<tr>{}</tr>\n", cells.iter().enumerate().map(cell).collect::<String>())
    };
    let rows: String = table.rows.iter().map(|cells| row(cells, "td")).collect();
    let header = row(&table.header, "th");
    let note = match table.note.as_str() {
        "" => String::new(),
        note => format!("<p class=\"note\">{}</p>\n", escape(note)),
    };
    format!(
        "<div class=\"scroll\"><table>\n<thead>{header}</thead>\n<tbody>\n{rows}</tbody>\n\
         </table></div>\n{note}"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
