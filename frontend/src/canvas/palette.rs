//! The colours of the map: the style's custom properties, as the theme has them right now.

use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement};

/// CSS colours, ready for a canvas.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Palette {
    pub(super) bg: String,
    pub(super) surface: String,
    pub(super) raised: String,
    pub(super) line: String,
    pub(super) line_soft: String,
    pub(super) text: String,
    pub(super) muted: String,
    pub(super) faint: String,
    pub(super) accent: String,
    pub(super) accent_soft: String,
    pub(super) ok: String,
    pub(super) warn: String,
    pub(super) bad: String,
    pub(super) off: String,
    pub(super) vip: String,
    pub(super) ext: String,
    pub(super) sim: String,
    pub(super) family: String,
}

impl Palette {
    /// Reads the custom properties that hold for `host`; a property that the style lacks is the dark theme's.
    pub(super) fn read(host: &HtmlElement) -> Palette {
        let style = web_sys::window()
            .and_then(|window| window.get_computed_style(host.unchecked_ref::<Element>()).ok().flatten());
        let value = |name: &str, fallback: &str| {
            let found = style.as_ref().and_then(|style| style.get_property_value(name).ok());
            let found = found.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
            found.unwrap_or_else(|| fallback.to_owned())
        };
        Palette {
            bg: value("--bg", "#0e1116"),
            surface: value("--surface", "#151a21"),
            raised: value("--raised", "#1b212a"),
            line: value("--line", "#2a323d"),
            line_soft: value("--line-soft", "#212832"),
            text: value("--text", "#e6eaf0"),
            muted: value("--muted", "#98a2b3"),
            faint: value("--faint", "#6b7686"),
            accent: value("--accent", "#6ea8fe"),
            accent_soft: value("--accent-soft", "#1d2c44"),
            ok: value("--ok", "#4cc38a"),
            warn: value("--warn", "#f0b44c"),
            bad: value("--bad", "#f2706e"),
            off: value("--off", "#667080"),
            vip: value("--vip", "#a78bfa"),
            ext: value("--ext", "#5cc8d7"),
            sim: value("--sim", "#8fb0d9"),
            family: value("font-family", "system-ui, sans-serif"),
        }
    }
}
