//! What is looked at: namespaces, selection, camera, theme, view, tab, whose rules, the trace, search. It lives in the URL, so that a
//! copied link reproduces it.
//!
//! [`ViewState`] parses from and prints to a query string; what does not parse is left out, and defaults are not printed.
//! Law: `parse(print(v)) == v`. [`crate::view::Shell`] binds it to signals and to the browser's history.

use std::collections::BTreeSet;

use vipscope_shared::model::{IpFamily, Protocol, ProxyMode, Text};
use vipscope_shared::predict::names::{Destination, Source};
use vipscope_shared::proxy::reading::Wanted;
use vipscope_shared::scene::{Camera, Target};
use vipscope_shared::whatif::edit::Edit;

use crate::asked::Asked;
use crate::canvas::Theme;
use crate::compare::Comparison;
use crate::findings::Filter;
use crate::whatif::{link_of, link_to};

/// The screens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Screen {
    #[default]
    Map,
    Table,
    Nodes,
    Findings,
    /// Two settings of kube-proxy, or two clusters, side by side.
    Compare,
    /// Only while the source is the sandbox.
    Sandbox,
}

impl Screen {
    pub const ALL: [Screen; 6] =
        [Screen::Map, Screen::Table, Screen::Nodes, Screen::Findings, Screen::Compare, Screen::Sandbox];

    pub fn as_str(self) -> &'static str {
        match self {
            Screen::Map => "map",
            Screen::Table => "table",
            Screen::Nodes => "nodes",
            Screen::Findings => "findings",
            Screen::Compare => "compare",
            Screen::Sandbox => "sandbox",
        }
    }
}

/// The inspector's tabs. Which of them a selection has is the inspector's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tab {
    Summary,
    Endpoints,
    Ladder,
    Rules,
    Dns,
    Findings,
    Details,
    Changes,
}

impl Tab {
    pub const ALL: [Tab; 8] = [
        Tab::Summary,
        Tab::Endpoints,
        Tab::Ladder,
        Tab::Rules,
        Tab::Dns,
        Tab::Findings,
        Tab::Details,
        Tab::Changes,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Tab::Summary => "summary",
            Tab::Endpoints => "endpoints",
            Tab::Ladder => "ladder",
            Tab::Rules => "rules",
            Tab::Dns => "dns",
            Tab::Findings => "findings",
            Tab::Details => "details",
            Tab::Changes => "changes",
        }
    }
}

/// Whether the chrome around the map is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Chrome {
    #[default]
    Full,
    /// `kiosk=1`: nothing but the map.
    Kiosk,
}

/// What rules and traces rest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RulesBasis {
    /// What kube-proxy should have programmed.
    #[default]
    Predicted,
    /// `basis=observed`: what the node has, where it can be read.
    Observed,
}

/// How a trace is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Telling {
    /// Step by step.
    #[default]
    Steps,
    /// `compare=1`: the same packet in every mode.
    Modes,
}

/// A packet that is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traced {
    pub from: Source,
    pub to: Destination,
    /// `None`: each port's own, TCP for a bare address.
    pub protocol: Option<Protocol>,
    /// `None`, and always for pods: where the source is at home, else the first node.
    pub node: Option<Text>,
    /// `None`: as the node's kube-proxy is set.
    pub mode: Option<ProxyMode>,
    pub telling: Telling,
    /// Which of several answers, from 0; in the URL from 1.
    pub answer: usize,
}

/// A trace as far as the query string has told it.
#[derive(Debug, Default)]
struct Parts {
    from: Option<Source>,
    to: Option<Destination>,
    protocol: Option<Protocol>,
    node: Option<Text>,
    mode: Option<ProxyMode>,
    telling: Telling,
    answer: usize,
}

impl Parts {
    /// True if the pair was about the trace.
    fn read(&mut self, name: &str, value: &str) -> bool {
        match name {
            "from" => self.from = value.parse().ok(),
            "to" => self.to = value.parse().ok(),
            "protocol" => self.protocol = value.parse().ok(),
            "via" => self.node = Some(value).filter(|name| !name.is_empty()).map(Text::from),
            "via-mode" => self.mode = value.parse().ok(),
            "compare" => self.telling = if value == "1" { Telling::Modes } else { Telling::Steps },
            "answer" => self.answer = value.parse::<usize>().unwrap_or(1).saturating_sub(1),
            _ => return false,
        }
        true
    }

    /// Nothing without both ends.
    fn traced(self) -> Option<Traced> {
        let Parts { from, to, protocol, node, mode, telling, answer } = self;
        Some(Traced { from: from?, to: to?, protocol, node, mode, telling, answer })
    }
}

impl Traced {
    fn print(&self, pairs: &mut Vec<(&str, String)>) {
        pairs.push(("from", encode(&self.from.to_string())));
        pairs.push(("to", encode(&self.to.to_string())));
        pairs.extend(self.protocol.map(|protocol| ("protocol", protocol.lower().to_owned())));
        pairs.extend(self.node.as_ref().map(|node| ("via", encode(node))));
        pairs.extend(self.mode.map(|mode| ("via-mode", mode.as_str().to_owned())));
        pairs.extend((self.telling == Telling::Modes).then(|| ("compare", "1".to_owned())));
        pairs.extend((self.answer > 0).then(|| ("answer", (self.answer + 1).to_string())));
    }
}

/// Everything about the view that a link carries.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ViewState {
    /// Empty = all.
    pub namespaces: BTreeSet<Text>,
    pub selected: Option<Target>,
    /// `None` = fit.
    pub camera: Option<Camera>,
    /// `None` = as the system or the last choice says.
    pub theme: Option<Theme>,
    pub chrome: Chrome,
    pub screen: Screen,
    /// `None` = the selection's first tab.
    pub tab: Option<Tab>,
    /// On which node, in which mode and family rules are shown.
    pub rules: Wanted,
    pub basis: RulesBasis,
    pub trace: Option<Traced>,
    /// Which findings are listed.
    pub findings: Filter,
    /// What the Ladder and DNS tabs are asked.
    pub asked: Asked,
    /// The edits of the what-if drawer; `None`: it is closed.
    pub whatif: Option<Vec<Edit>>,
    /// What the compare view holds against each other.
    pub compare: Comparison,
    pub query: String,
}

impl ViewState {
    /// Reads a query string, with or without its `?`.
    pub fn parse(search: &str) -> ViewState {
        let mut view = ViewState::default();
        let mut trace = Parts::default();
        for pair in search.trim_start_matches('?').split('&') {
            let (name, raw) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decode(raw);
            let is_read = trace.read(name, &value)
                || view.findings.read(name, &value)
                || view.asked.read(name, &value)
                || view.compare.read(name, &value);
            if !is_read {
                view.read(name, raw);
            }
        }
        view.trace = trace.traced();
        view
    }

    fn read(&mut self, name: &str, raw: &str) {
        let value = || decode(raw);
        match name {
            "ns" => {
                self.namespaces =
                    raw.split(',').map(decode).filter(|n| !n.is_empty()).map(Text::from).collect()
            }
            "sel" => self.selected = value().parse().ok(),
            "cam" => self.camera = camera(&value()),
            "theme" => self.theme = theme(&value()),
            "kiosk" => self.chrome = if raw == "1" { Chrome::Kiosk } else { Chrome::Full },
            "view" => self.screen = named(&Screen::ALL, Screen::as_str, &value()).unwrap_or_default(),
            "tab" => self.tab = named(&Tab::ALL, Tab::as_str, &value()),
            "node" => self.rules.node = Some(value()).filter(|name| !name.is_empty()).map(Text::from),
            "mode" => self.rules.mode = value().parse().ok(),
            "family" => self.rules.family = named(&IpFamily::BOTH, family_name, &value()),
            "whatif" => self.whatif = link_to(&value()),
            "basis" if raw == "observed" => self.basis = RulesBasis::Observed,
            "q" => self.query = value(),
            _ => {}
        }
    }

    /// The query string, without `?`; empty if everything is as by default.
    pub fn print(&self) -> String {
        let mut pairs: Vec<(&str, String)> = Vec::new();
        if self.screen != Screen::Map {
            pairs.push(("view", self.screen.as_str().to_owned()));
        }
        if !self.namespaces.is_empty() {
            pairs.push(("ns", self.namespaces.iter().map(|n| encode(n)).collect::<Vec<_>>().join(",")));
        }
        pairs.extend(self.selected.as_ref().map(|target| ("sel", encode(&target.to_string()))));
        pairs.extend(self.tab.map(|tab| ("tab", tab.as_str().to_owned())));
        pairs.extend(self.rules.node.as_ref().map(|node| ("node", encode(node))));
        pairs.extend(self.rules.mode.map(|mode: ProxyMode| ("mode", mode.as_str().to_owned())));
        pairs.extend(self.rules.family.map(|family| ("family", family_name(family).to_owned())));
        if self.basis == RulesBasis::Observed {
            pairs.push(("basis", "observed".to_owned()));
        }
        if let Some(trace) = &self.trace {
            trace.print(&mut pairs);
        }
        let own = self.findings.print().into_iter().chain(self.asked.print());
        pairs.extend(own.map(|(name, value)| (name, encode(&value))));
        pairs.extend(self.whatif.as_ref().map(|edits| ("whatif", encode(&link_of(edits)))));
        pairs.extend(self.compare.print().into_iter().map(|(name, value)| (name, encode(&value))));
        pairs.extend(self.camera.map(|camera| ("cam", print_camera(camera))));
        pairs.extend(self.theme.map(|theme| ("theme", theme_name(theme).to_owned())));
        if !self.query.is_empty() {
            pairs.push(("q", encode(&self.query)));
        }
        if self.chrome == Chrome::Kiosk {
            pairs.push(("kiosk", "1".to_owned()));
        }
        pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
    }
}

fn named<T: Copy>(all: &[T], name: fn(T) -> &'static str, text: &str) -> Option<T> {
    all.iter().copied().find(|&one| name(one) == text)
}

/// As the command line spells it.
fn family_name(family: IpFamily) -> &'static str {
    match family {
        IpFamily::IPv4 => "ipv4",
        IpFamily::IPv6 => "ipv6",
    }
}

/// `light` or `dark`, as URLs, storage and `data-theme` say it.
pub fn theme_name(theme: Theme) -> &'static str {
    match theme {
        Theme::Light => "light",
        Theme::Dark => "dark",
    }
}

/// The theme of that name.
pub fn theme(text: &str) -> Option<Theme> {
    [Theme::Light, Theme::Dark].into_iter().find(|&theme| theme_name(theme) == text)
}

fn camera(text: &str) -> Option<Camera> {
    let numbers: Vec<f64> = text.split(',').map_while(|part| part.parse().ok()).collect();
    let [x, y, zoom] = numbers[..] else { return None };
    let sane = x.is_finite() && y.is_finite() && zoom.is_finite() && zoom > 0.0;
    sane.then_some(Camera { x, y, zoom })
}

/// Tenths of a unit and thousandths of a zoom: nothing that an eye could tell apart.
fn print_camera(camera: Camera) -> String {
    let short = |value: f64, digits: usize| {
        let text = format!("{value:.digits$}");
        let text = text.trim_end_matches('0').trim_end_matches('.').to_owned();
        if text == "-0" { "0".to_owned() } else { text }
    };
    format!("{},{},{}", short(camera.x, 1), short(camera.y, 1), short(camera.zoom, 3))
}

/// Percent-encodes all but what a query value may hold and reads well.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The opposite; `+` is a space, broken escapes stay as they are, and bytes that are no UTF-8 are replaced.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = (bytes[at] == b'%').then(|| bytes.get(at + 1..at + 3)).flatten();
        let escape = escape.filter(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        let escaped = escape.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match escaped {
            Some(byte) => {
                out.push(byte);
                at += 2;
            }
            None if bytes[at] == b'+' => out.push(b' '),
            None => out.push(bytes[at]),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}
