//! What leads where: which parts a packet for the Service can come to, and which lines lead nowhere for it.
//!
//! A line is idle if it leads into a part that is not there or holds only idle lines. A part concerns the Service if it
//! holds a line that is not idle, and such lines lead to it from where the kernel begins; what masquerades, only if
//! anything is sent on. Everything else is around it.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::tokens::words;
use super::{Comment, Line, LineId, PartKind, Stage, comments, iptables, ipvs, nft};
use crate::model::Text;
use crate::proxy::rules::Rules;

/// A part before it is decided how much of it is shown.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    pub part: String,
    pub kind: PartKind,
    pub stage: Stage,
    /// Orders the parts of a stage; equal ones stay as they come.
    pub rank: u8,
    pub name: String,
    pub table: &'static str,
    pub declaration: Option<String>,
    pub about: String,
    pub rows: Vec<Row<'a>>,
    /// Packets put elements into it, so it is never empty.
    pub is_dynamic: bool,
    pub start: Start,
    /// The endpoint that it stands for.
    pub endpoint: Option<SocketAddr>,
}

/// How packets come to a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// By a line that leads to it.
    Led,
    /// The kernel begins there.
    Kernel,
}

/// One line before it is printed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Row<'a> {
    Iptables(iptables::Row<'a>),
    Nft(nft::Row<'a>),
    Ipvs(ipvs::Row<'a>),
}

impl Row<'_> {
    /// As in [`LineId`].
    pub fn line(&self) -> String {
        match self {
            Row::Iptables(row) => row.line(),
            Row::Nft(row) => row.line(),
            Row::Ipvs(row) => row.line(),
        }
    }

    /// Without what names its part, and without comment.
    fn text(&self) -> String {
        match self {
            Row::Iptables(row) => row.text(),
            Row::Nft(row) => row.text(),
            Row::Ipvs(row) => row.line(),
        }
    }

    fn comment(&self) -> Option<&str> {
        match self {
            Row::Iptables(row) => row.comment(),
            Row::Nft(row) => row.comment(),
            Row::Ipvs(_) => None,
        }
    }

    /// The parts without which it does nothing.
    fn needs(&self) -> Vec<String> {
        match self {
            Row::Iptables(row) => row.needs(),
            Row::Nft(row) => row.needs(),
            Row::Ipvs(_) => Vec::new(),
        }
    }

    /// The part that a word of its text names.
    fn part_of(&self, before: &str, word: &str) -> Option<String> {
        match self {
            Row::Iptables(row) => row.part_of(before, word),
            Row::Nft(row) => row.part_of(before, word),
            Row::Ipvs(_) => None,
        }
    }

    fn about(&self, endpoint: Option<SocketAddr>) -> String {
        match self {
            Row::Iptables(row) => row.about(endpoint),
            Row::Nft(row) => row.about(endpoint),
            Row::Ipvs(row) => row.about(),
        }
    }
}

#[derive(Debug)]
pub(super) struct Graph<'a> {
    drafts: Vec<Draft<'a>>,
    by_part: HashMap<String, usize>,
    /// By draft and row.
    is_idle: Vec<Vec<bool>>,
    concerns: Vec<bool>,
}

impl<'a> Graph<'a> {
    pub fn of(rules: &'a Rules) -> Graph<'a> {
        let mut drafts = match rules {
            Rules::Userspace(tables) | Rules::Iptables(tables) => iptables::drafts(tables, rules.mode()),
            Rules::Nftables(table) => nft::drafts(table),
            Rules::Ipvs(ruleset) => ipvs::drafts(ruleset),
        };
        drafts.retain(|draft| draft.is_dynamic || !draft.rows.is_empty());
        drafts.sort_by_key(|draft| draft.rank);
        let by_part: HashMap<String, usize> =
            drafts.iter().enumerate().map(|(at, draft)| (draft.part.clone(), at)).collect();
        let needs = needs(&drafts, &by_part);
        let is_live = live(&drafts, &needs);
        let is_led = led(&drafts, &needs, &is_live);
        let idle = |row: &Needs| !row.as_ref().is_some_and(|parts| parts.iter().all(|&part| is_live[part]));
        let is_idle = needs.iter().map(|rows| rows.iter().map(idle).collect()).collect();
        let mut concerns: Vec<bool> = (0..drafts.len()).map(|at| is_live[at] && is_led[at]).collect();
        // Nothing is sent on: then nothing is masqueraded either.
        let sends = |at: usize| concerns[at] && drafts[at].stage < Stage::Filter;
        if !(0..drafts.len()).any(sends) {
            let spared =
                drafts.iter().zip(&mut concerns).filter(|(draft, _)| draft.stage == Stage::Masquerade);
            spared.for_each(|(_, concerns)| *concerns = false);
        }
        Graph { drafts, by_part, is_idle, concerns }
    }

    /// The stage's parts. Those that do not concern the Service are around it.
    pub fn of_stage(&self, stage: Stage) -> Vec<&Draft<'a>> {
        let stage_of = |at: usize| if self.concerns[at] { self.drafts[at].stage } else { Stage::Around };
        (0..self.drafts.len()).filter(|&at| stage_of(at) == stage).map(|at| &self.drafts[at]).collect()
    }

    /// The rows of a part that are not idle; all rows of a part that is around.
    pub fn shown_rows<'b>(&'b self, draft: &'b Draft<'a>) -> impl Iterator<Item = &'b Row<'a>> {
        let at = self.by_part.get(&draft.part).copied();
        let whole = draft.stage == Stage::Around || at.is_none_or(|at| !self.concerns[at]);
        let idle = at.map(|at| self.is_idle[at].as_slice()).unwrap_or_default();
        let is_idle = move |nth: usize| idle.get(nth).copied().unwrap_or_default();
        draft.rows.iter().enumerate().filter(move |(nth, _)| whole || !is_idle(*nth)).map(|(_, row)| row)
    }

    pub fn line(&self, row: &Row<'_>, id: LineId, is_lit: bool, limit: usize) -> Line {
        let named = |before: &str, word: &str| {
            row.part_of(before, word).filter(|part| self.by_part.contains_key(part)).map(Text::from)
        };
        let (words, cut) = words(&row.text(), limit, named);
        let comment =
            row.comment().map(|text| Comment { text: text.into(), about: comments::about(text).into() });
        let endpoint = self.endpoint(row);
        let about = row.about(endpoint).into();
        let leads_to = endpoint.map(|endpoint| endpoint.to_string().into());
        Line { id, comment, words, cut, leads_to, about, is_lit }
    }

    /// The endpoint to which a row leads, if it leads to just one part and that is an endpoint's.
    fn endpoint(&self, row: &Row<'_>) -> Option<SocketAddr> {
        let needs = row.needs();
        let mut endpoints = needs.iter().filter_map(|part| self.drafts[*self.by_part.get(part)?].endpoint);
        endpoints.next().filter(|_| endpoints.next().is_none())
    }
}

/// The parts that a row needs, by index; `None` if one of them is not there.
type Needs = Option<Vec<usize>>;

fn needs(drafts: &[Draft<'_>], by_part: &HashMap<String, usize>) -> Vec<Vec<Needs>> {
    let of_row = |row: &Row<'_>| row.needs().iter().map(|part| by_part.get(part).copied()).collect();
    drafts.iter().map(|draft| draft.rows.iter().map(of_row).collect()).collect()
}

/// Which parts hold a row that does something.
fn live(drafts: &[Draft<'_>], needs: &[Vec<Needs>]) -> Vec<bool> {
    let mut is_live = vec![true; needs.len()];
    loop {
        let lives = |row: &Needs| row.as_ref().is_some_and(|parts| parts.iter().all(|&part| is_live[part]));
        let parts = drafts.iter().zip(needs);
        let next: Vec<bool> = parts.map(|(draft, rows)| draft.is_dynamic || rows.iter().any(lives)).collect();
        if next == is_live {
            return is_live;
        }
        is_live = next;
    }
}

/// Which parts packets come to.
fn led(drafts: &[Draft<'_>], needs: &[Vec<Needs>], is_live: &[bool]) -> Vec<bool> {
    let mut is_led = vec![false; drafts.len()];
    let mut open: Vec<usize> = (0..drafts.len()).filter(|&at| drafts[at].start == Start::Kernel).collect();
    while let Some(at) = open.pop() {
        if std::mem::replace(&mut is_led[at], true) {
            continue;
        }
        let rows = needs[at].iter().flatten().filter(|parts| parts.iter().all(|&part| is_live[part]));
        open.extend(rows.flatten().copied());
    }
    is_led
}
