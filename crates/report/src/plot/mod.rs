//! Plots as SVG: colours are classes of one style sheet, so that a plot follows dark mode in a page and
//! stands alone as a file. Every plot carries a title and a description in words.
mod bars;
mod dumbbell;
mod forest;
mod heat;
mod line;
mod scale;
mod scatter;

pub(crate) use bars::histograms;
pub(crate) use dumbbell::{Paired, dumbbells, slopes};
pub(crate) use forest::{Estimate, forest};
pub(crate) use heat::heat;
pub(crate) use line::{Series, legend_key, lines};
pub(crate) use scale::Scale;
pub(crate) use scatter::{Moved, scatter};

use std::fmt::{self, Display, Write};

use crate::markup::Text;

/// Style of the plots, for the page and for files.
pub(crate) const STYLE: &str = include_str!("plot.css");

/// Width of a letter at 12 px type in pixels, with room for wide fonts and capitals.
const LETTER: f64 = 7.1;

/// Where a text is tied to its position.
#[derive(Clone, Copy)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// A drawing in pixels, y downwards.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Svg {
    width: f64,
    height: f64,
    title: String,
    description: String,
    body: String,
}

/// A coordinate with at most one decimal: finer is not seen and makes the page large.
pub(crate) struct At(pub f64);

impl Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0 * 10.0).round() as i64;
        if tenths % 10 == 0 {
            write!(f, "{}", tenths / 10)
        } else {
            write!(f, "{}", tenths as f64 / 10.0)
        }
    }
}

impl Svg {
    pub(crate) fn new(width: f64, height: f64, title: &str, description: &str) -> Self {
        let (title, description) = (title.to_owned(), description.to_owned());
        Self { width, height, title, description, body: String::new() }
    }

    /// For inside a page. The name comes before the drawing, so that a screen reader says it.
    pub(crate) fn inline(&self) -> String {
        self.element("")
    }

    /// A file of its own.
    pub(crate) fn file(&self) -> String {
        let element = self.element(" xmlns=\"http://www.w3.org/2000/svg\"");
        let style = format!("<style>svg{{background:#fff}}{STYLE}</style>");
        element.replacen("<title>", &format!("{style}<title>"), 1)
    }

    fn element(&self, attributes: &str) -> String {
        let Self { width, height, title, description, body } = self;
        format!(
            "<svg{attributes} class=\"plot\" role=\"img\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" \
             height=\"{h}\"><title>{}</title><desc>{}</desc>{body}</svg>",
            Text(title),
            Text(description),
            w = At(*width),
            h = At(*height),
        )
    }

    // Writing to a String cannot fail, which is why the results below are dropped.

    pub(crate) fn line(&mut self, class: &str, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2]) {
        self.path(class, &format!("M{} {}L{} {}", At(x1), At(y1), At(x2), At(y2)), "");
    }

    /// `data` as in SVG paths; `tip` is shown on hover.
    pub(crate) fn path(&mut self, class: &str, data: &str, tip: &str) {
        let _ = write!(self.body, "<path class=\"{class}\" d=\"{data}\"{}", Tip(tip, "path"));
    }

    pub(crate) fn circle(&mut self, class: &str, [x, y]: [f64; 2], radius: f64, tip: &str) {
        let (x, y, r) = (At(x), At(y), At(radius));
        let tip = Tip(tip, "circle");
        let _ = write!(self.body, "<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{r}\"{tip}");
    }

    pub(crate) fn rect(&mut self, class: &str, [x, y]: [f64; 2], [w, h]: [f64; 2], more: &str) {
        let (x, y, w, h) = (At(x), At(y), At(w), At(h));
        let _ = write!(
            self.body,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\"{more}/>"
        );
    }

    pub(crate) fn text(&mut self, class: &str, [x, y]: [f64; 2], anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let (x, y) = (At(x), At(y));
        let _ = write!(
            self.body,
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\"{anchor}>{}</text>",
            Text(text)
        );
    }

    /// A vertical axis title beside the plot's left edge.
    pub(crate) fn vertical_text(&mut self, [x, y]: [f64; 2], text: &str) {
        let (x, y) = (At(x), At(y));
        let _ = write!(
            self.body,
            "<text class=\"t\" text-anchor=\"middle\" transform=\"translate({x} {y})rotate(-90)\">{}</text>",
            Text(text)
        );
    }
}

/// End of an element, with its tool tip where there is one.
struct Tip<'a>(&'a str, &'a str);

impl Display for Tip<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => f.write_str("/>"),
            tip => write!(f, "><title>{}</title></{}>", Text(tip), self.1),
        }
    }
}

/// A text cut to what fits in about `pixels`, at 12 px type.
pub(crate) fn shortened(text: &str, pixels: f64) -> String {
    let fits = (pixels / LETTER).max(2.0) as usize;
    if text.chars().count() <= fits {
        return text.to_owned();
    }
    let head: String = text.chars().take(fits - 1).collect();
    format!("{}…", head.trim_end())
}

/// About how wide a text is at 12 px type.
pub(crate) fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * LETTER
}
