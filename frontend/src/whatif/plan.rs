//! The edit list as the reader builds it, with undo and redo. An edit of what was edited before replaces it.

use serde_json::Value;
use vipscope_shared::whatif::edit::Edit;

/// A list of edits and how it came about.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    now: Vec<Edit>,
    past: Vec<Vec<Edit>>,
    future: Vec<Vec<Edit>>,
    /// The list before the text that is being typed: all of the typing is one step.
    typing: Option<Vec<Edit>>,
}

impl Plan {
    pub fn of(edits: Vec<Edit>) -> Plan {
        Plan { now: edits, ..Plan::default() }
    }

    pub fn edits(&self) -> &[Edit] {
        &self.now
    }

    /// Another list: one step to undo, unless it is the same.
    pub fn set(&mut self, edits: Vec<Edit>) {
        self.typing = None;
        if edits != self.now {
            self.past.push(std::mem::replace(&mut self.now, edits));
            self.future.clear();
        }
    }

    /// Adds an edit; one that it makes void goes.
    pub fn put(&mut self, edit: Edit) {
        let mut edits = self.now.clone();
        let slot = slot(&edit);
        match edits.iter().position(|old| self::slot(old) == slot) {
            Some(nth) => edits[nth] = edit,
            None => edits.push(edit),
        }
        self.set(edits);
    }

    /// Takes away what `edit` would replace: the thing stays as it is.
    pub fn drop_like(&mut self, edit: &Edit) {
        let slot = slot(edit);
        self.set(self.now.iter().filter(|old| self::slot(old) != slot).cloned().collect());
    }

    /// Another list while text is typed: all of it is one step to undo.
    pub fn type_in(&mut self, edits: Vec<Edit>) {
        let base = self.typing.take().unwrap_or_else(|| self.now.clone());
        match (self.now == base, edits == base) {
            (true, false) => {
                self.past.push(base.clone());
                self.future.clear();
            }
            (false, true) => drop(self.past.pop()),
            _ => {}
        }
        self.now = edits;
        self.typing = Some(base);
    }

    /// [`Plan::put`] while text is typed.
    pub fn type_over(&mut self, edit: Edit) {
        let mut next = Plan::of(self.typing.clone().unwrap_or_else(|| self.now.clone()));
        next.put(edit);
        self.type_in(next.now);
    }

    pub fn remove(&mut self, nth: usize) {
        let mut edits = self.now.clone();
        if nth < edits.len() {
            edits.remove(nth);
        }
        self.set(edits);
    }

    /// The edit that is in the way of `edit`.
    pub fn like(&self, edit: &Edit) -> Option<&Edit> {
        let slot = slot(edit);
        self.now.iter().find(|old| self::slot(old) == slot)
    }

    pub fn undo(&mut self) {
        self.typing = None;
        if let Some(edits) = self.past.pop() {
            self.future.push(std::mem::replace(&mut self.now, edits));
        }
    }

    pub fn redo(&mut self) {
        self.typing = None;
        if let Some(edits) = self.future.pop() {
            self.past.push(std::mem::replace(&mut self.now, edits));
        }
    }

    pub fn can_undo(&self) -> bool {
        !self.past.is_empty()
    }

    pub fn can_redo(&self) -> bool {
        !self.future.is_empty()
    }
}

/// What an edit decides: of two edits with the same slot only the last one counts.
fn slot(edit: &Edit) -> String {
    match edit {
        Edit::Scale { workload, .. } => format!("scale {workload}"),
        Edit::Pod { pod, .. } => format!("pod {pod}"),
        Edit::Move { pod, .. } => format!("move {pod}"),
        Edit::Node { node, .. } => format!("node {node}"),
        Edit::Zone { node, .. } => format!("zone {node}"),
        Edit::Apply { manifest } => format!("apply {}", manifest_name(manifest)),
        Edit::Patch { object, patch } => format!("patch {object} {}", paths(patch).join(" ")),
        Edit::Delete { object } => format!("delete {object}"),
        Edit::Proxy { node, set } => format!("proxy {node} {}", paths(set).join(" ")),
    }
}

/// `Kind/namespace/name` of a manifest, as far as it says.
pub fn manifest_name(manifest: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let meta = &manifest["metadata"];
    let parts = [text(&manifest["kind"]), text(&meta["namespace"]), text(&meta["name"])];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
}

/// The paths of the fields that a merge patch sets. A selector and its like count as one field.
pub(super) fn paths(patch: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(patch, "", &mut found);
    found
}

fn walk(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() && !path.ends_with("selector") => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                walk(value, &path, found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}
