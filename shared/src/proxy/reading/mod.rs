//! Rules for people: grouped in the order in which a packet meets them, split into words with links between chains, and
//! explained. In: [`Rules`] of one Service on one node. Out: a [`Reading`], bounded, which says how much more there is.
//!
//! Invariants: every line of the rules is in the reading, or counted as hidden or idle, once. A line's [`LineId`] is the
//! same whether the rules are those of one Service or of the whole node, so that a trace can point at it.

mod chains;
mod choice;
mod comments;
mod graph;
mod iptables;
mod ipvs;
mod nft;
mod tokens;

use std::borrow::Cow;
use std::collections::BTreeSet;

pub use choice::{Choice, NoRules, Wanted, choose};
pub use tokens::{Role, Token};

use super::rules::{Format, Rules};
use crate::model::{ProxyMode, Text};
use crate::netfilter;
use graph::{Draft, Graph};

/// A rule, element or address, wherever it stands: its part, as [`Rules::parts`] names it, and its line there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineId {
    pub part: Text,
    pub text: Text,
}

/// What a part has to do with a Service, in the order in which a packet meets them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Finds the Service of an address.
    Dispatch,
    /// Belongs to the Service: who may come in, and which endpoint is chosen.
    Service,
    Endpoints,
    /// Table filter and its like: what is refused, dropped or let through.
    Filter,
    Masquerade,
    /// Whatever else there is: the kernel's own chains, and what is there for other Services.
    Around,
}

impl Stage {
    pub const ALL: [Stage; 6] =
        [Stage::Dispatch, Stage::Service, Stage::Endpoints, Stage::Filter, Stage::Masquerade, Stage::Around];

    /// A heading.
    pub fn title(self) -> &'static str {
        match self {
            Stage::Dispatch => "Dispatch",
            Stage::Service => "Choice of an endpoint",
            Stage::Endpoints => "Endpoints",
            Stage::Filter => "Refused or let through",
            Stage::Masquerade => "Masquerade",
            Stage::Around => "Around it",
        }
    }
}

/// What kind of thing a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PartKind {
    Chain,
    Set,
    Map,
    Ipset,
    VirtualServer,
    /// The addresses of an interface.
    Addresses,
}

impl PartKind {
    pub fn as_str(self) -> &'static str {
        match self {
            PartKind::Chain => "chain",
            PartKind::Set => "set",
            PartKind::Map => "map",
            PartKind::Ipset => "ipset",
            PartKind::VirtualServer => "virtual server",
            PartKind::Addresses => "interface",
        }
    }
}

/// One line and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub id: LineId,
    /// kube-proxy's comment on it, which `words` leave out; and what that comment is about.
    pub comment: Option<Comment>,
    /// Joined with blanks they are the line, without what names its part.
    pub words: Vec<Token>,
    /// How many items of a long list in the line are not among the words.
    pub cut: usize,
    /// What a jump leads to in the end: an endpoint.
    pub leads_to: Option<Text>,
    /// In a sentence.
    pub about: Text,
    pub is_lit: bool,
}

/// A comment in a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    pub text: Text,
    pub about: Text,
}

/// A chain, set, map or the like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// As in [`LineId`].
    pub part: Text,
    pub kind: PartKind,
    pub name: Text,
    /// Its table, if it is in one.
    pub table: &'static str,
    /// Type, hook and priority, where nft states them.
    pub declaration: Option<Text>,
    pub about: Text,
    pub lines: Vec<Line>,
    /// Lines beyond the limit.
    pub hidden: usize,
    /// Lines that lead to nothing of this Service, left out.
    pub idle: usize,
}

/// What is beyond the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hidden {
    /// Parts of which nothing is shown.
    pub parts: usize,
    /// Their lines, and the rest of the parts that are shown in part.
    pub lines: usize,
}

/// The parts of one stage, in reading order. Never without parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    pub stage: Stage,
    pub blocks: Vec<Block>,
    pub hidden: Hidden,
}

/// Rules for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    pub sections: Vec<Section>,
    /// Lines that concern the Service: all but those of [`Stage::Around`], shown or not.
    pub lines: usize,
    /// The parts in which they stand.
    pub parts: usize,
}

/// How much is to be shown.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// Most lines of a stage, and most items of a list in a line.
    pub limit: usize,
    /// A part that is shown whatever the limit, if only its beginning.
    pub focus: Option<&'a str>,
    /// Lines that are marked, and shown whatever the limit.
    pub lit: &'a BTreeSet<LineId>,
}

/// Of a part that must be shown beyond the limit, this many lines.
const BEGINNING: usize = 20;

/// Reads rules, with the jumps from the kernel's own chains.
pub fn read(rules: &Rules, view: View<'_>) -> Reading {
    // nft's base chains have hooks, so there are no jumps to add.
    let rules = match rules {
        Rules::Nftables(_) => Cow::Borrowed(rules),
        rules => Cow::Owned(rules.clone().with_jumps()),
    };
    let graph = Graph::of(&rules);
    let mut reading = Reading { sections: Vec::new(), lines: 0, parts: 0 };
    for stage in Stage::ALL {
        let drafts = graph.of_stage(stage);
        if stage != Stage::Around {
            reading.parts += drafts.len();
            reading.lines += drafts.iter().map(|&draft| graph.shown_rows(draft).count()).sum::<usize>();
        }
        if !drafts.is_empty() {
            reading.sections.push(section(stage, &drafts, &graph, view));
        }
    }
    reading
}

fn section(stage: Stage, drafts: &[&Draft<'_>], graph: &Graph<'_>, view: View<'_>) -> Section {
    let mut section = Section { stage, blocks: Vec::new(), hidden: Hidden::default() };
    let mut left = view.limit;
    for draft in drafts {
        let must =
            view.focus == Some(draft.part.as_str()) || view.lit.iter().any(|id| *id.part == draft.part);
        let room = if must { left.max(BEGINNING) } else { left };
        if room == 0 {
            section.hidden.parts += 1;
            section.hidden.lines += graph.shown_rows(draft).count();
            continue;
        }
        let block = block(draft, graph, room, view);
        left = left.saturating_sub(block.lines.len().max(1));
        section.hidden.lines += block.hidden;
        section.blocks.push(block);
    }
    section
}

fn block(draft: &Draft<'_>, graph: &Graph<'_>, room: usize, view: View<'_>) -> Block {
    let part = Text::from(draft.part.as_str());
    let may_be_lit = view.lit.iter().any(|id| id.part == part);
    let (mut lines, mut hidden) = (Vec::new(), 0);
    for (nth, row) in graph.shown_rows(draft).enumerate() {
        if nth >= room && !may_be_lit {
            hidden += 1;
            continue;
        }
        let id = LineId { part: part.clone(), text: row.line().into() };
        let is_lit = view.lit.contains(&id);
        if nth < room || is_lit {
            lines.push(graph.line(row, id, is_lit, view.limit));
        } else {
            hidden += 1;
        }
    }
    let idle = draft.rows.len() - lines.len() - hidden;
    let name = draft.name.as_ref().into();
    let declaration = draft.declares.text().map(Text::from);
    let about = draft.about.as_ref().into();
    Block { part, kind: draft.kind, name, table: draft.table, declaration, about, lines, hidden, idle }
}

/// The rules as their tools take them, to be copied; in ipvs mode, each part under a line that names its tool.
pub fn native(rules: &Rules) -> String {
    let text = |format| rules.print(format).unwrap_or_default();
    match rules.mode() {
        ProxyMode::Ipvs => {
            format!("{}# iptables-restore --noflush\n{}", text(Format::Ipvsadm), text(Format::Native))
        }
        _ => text(Format::Native),
    }
}

/// What must hold for an iptables rule to apply: `to 10.96.0.21, TCP port 80`. Empty if it always applies.
pub fn iptables_conditions(rule: &netfilter::iptables::Rule) -> String {
    iptables::conditions(&rule.matches).join(", ")
}

/// The same of an nft rule, but for what its maps ask: that is in the element that decides.
pub fn nft_conditions(rule: &netfilter::nft::Rule) -> String {
    nft::conditions(rule).join(", ")
}

/// What an element of nft's maps of Services holds for: `to 10.96.0.21, TCP port 80`.
pub fn nft_key(key: netfilter::nft::Key) -> String {
    nft::to(key)
}
