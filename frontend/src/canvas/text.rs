//! Text for a canvas: without characters that could disturb what is around it, and cut to a measured width.

use std::collections::HashMap;

use web_sys::CanvasRenderingContext2d as Context;

/// Where a text that is too long loses characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Cut {
    End,
    /// Names that differ at their end: pods.
    Middle,
}

/// Cut texts by text, font and room: measuring is slow, and the same labels come again in every tile.
#[derive(Debug, Default)]
pub(super) struct Texts {
    cut: HashMap<(String, String, u32, Cut), String>,
}

impl Texts {
    const LIMIT: usize = 8_000;

    /// `text` as it fits into `room` (in the units of the context's font, which is `font`).
    pub(super) fn fit(&mut self, ctx: &Context, font: &str, text: &str, room: f64, cut: Cut) -> String {
        let key = (text.to_owned(), font.to_owned(), room.max(0.0) as u32, cut);
        if let Some(known) = self.cut.get(&key) {
            return known.clone();
        }
        if self.cut.len() > Texts::LIMIT {
            self.cut.clear();
        }
        let width = |text: &str| ctx.measure_text(text).map_or(0.0, |metrics| metrics.width());
        let fitted = shortened(&clean(text), room, cut, &width);
        self.cut.insert(key, fitted.clone());
        fitted
    }
}

/// Without control characters, and without those that turn the direction of what follows (U+202A to U+202E, U+2066 to
/// U+2069) or hide (zero width): names are hostile text.
pub(super) fn clean(text: &str) -> String {
    let keep = |c: &char| {
        !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().filter(keep).take(300).collect()
}

/// The longest form of `text` with `…` that is not wider than `room`; empty if not even one character fits.
fn shortened(text: &str, room: f64, cut: Cut, width: &dyn Fn(&str) -> f64) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let chars: Vec<char> = text.chars().collect();
    let with = |kept: usize| -> String {
        let tail = if cut == Cut::Middle { kept / 2 } else { 0 };
        let head = &chars[..kept - tail];
        head.iter().chain(&['…']).chain(&chars[chars.len() - tail..]).collect()
    };
    let (mut low, mut high) = (0, chars.len());
    while low + 1 < high {
        let middle = (low + high) / 2;
        if width(&with(middle)) <= room { low = middle } else { high = middle }
    }
    if low == 0 { String::new() } else { with(low) }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    fn cells(text: &str) -> f64 {
        text.chars().count() as f64
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn texts_are_cut_where_they_matter_least() {
        let cut = |text, room, cut| shortened(text, room, cut, &cells);
        assert_eq!(cut("checkout", 8.0, Cut::End), "checkout");
        assert_eq!(cut("checkout", 5.0, Cut::End), "chec…");
        assert_eq!(cut("cart-5d8f-p4c2x", 9.0, Cut::Middle), "cart…4c2x");
        assert_eq!(cut("checkout", 0.5, Cut::End), "");
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn nothing_that_disturbs_its_surroundings_is_drawn() {
        assert_eq!(clean("a\u{202e}b\u{2066}c\n\u{0007}d\u{200b}"), "abcd");
        assert_eq!(clean("<img src=x>é日本"), "<img src=x>é日本");
    }
}
