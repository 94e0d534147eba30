//! The colours of the charts.
//!
//! The series colours are those of Okabe and Ito, "Color Universal Design"
//! (2008), which people with any common colour blindness can tell apart. They
//! are written into the SVG as they are; the style sheet of the page names each
//! of them and gives its counterpart on a dark ground, so a colour that is
//! added here is added there.

use plotters::style::RGBColor;

/// Axes and text.
pub(crate) const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);
/// Remarks and reference lines.
pub(crate) const FAINT: RGBColor = RGBColor(0x70, 0x70, 0x70);
/// Grid lines.
pub(crate) const GRID: RGBColor = RGBColor(0xE4, 0xE4, 0xE4);

const SERIES: [RGBColor; 7] = [
    RGBColor(0x00, 0x72, 0xB2),
    RGBColor(0xD5, 0x5E, 0x00),
    RGBColor(0x00, 0x9E, 0x73),
    RGBColor(0xCC, 0x79, 0xA7),
    RGBColor(0xE6, 0x9F, 0x00),
    RGBColor(0x56, 0xB4, 0xE9),
    RGBColor(0x8C, 0x6B, 0x4A),
];

/// Returns the colour with number `idx`; they repeat.
pub(crate) fn series(idx: usize) -> RGBColor {
    SERIES[idx % SERIES.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_has_a_counterpart_on_a_dark_ground() {
        let style = include_str!("page.css");
        for RGBColor(r, g, b) in SERIES.into_iter().chain([INK, FAINT, GRID]) {
            let name = format!("[stroke=\"#{r:02X}{g:02X}{b:02X}\"]");
            assert!(style.contains(&name), "{name}");
        }
    }
}
