//! The object as vipscope keeps it, printed like YAML.

use leptos::prelude::*;
use serde_json::Value;
use vipscope_shared::model::{ClusterState, Key};
use vipscope_shared::scene::Target;

use crate::ui::Section;
use crate::view::shell::shell;

/// Every field that vipscope keeps; what it drops at the edge is not here.
#[component]
pub fn Details(target: Target) -> impl IntoView {
    let shell = shell();
    let text = Memo::new(move |_| shell.store.state(|state| yaml(&object(state, &target))));
    view! {
        <Section title="As vipscope keeps it">
            <pre class="code mono" tabindex="0">{move || text.get()}</pre>
        </Section>
    }
}

fn object(state: &ClusterState, target: &Target) -> Value {
    let value = match target {
        Target::Service(key) | Target::Port(key, _) => {
            let slices: Vec<_> = state.slices_of(key).collect();
            let service = state.services().get(key).map(serde_json::to_value);
            let slices = serde_json::to_value(slices).unwrap_or_default();
            return serde_json::json!({
                "service": service.and_then(Result::ok).unwrap_or_default(), "endpointSlices": slices
            });
        }
        Target::Pod(key) => state.pods().get(key).map(serde_json::to_value),
        Target::Node(name) => state.nodes().get(&Key::cluster(name.clone())).map(serde_json::to_value),
        Target::Namespace(_) | Target::Source(_) | Target::Address(_) => None,
    };
    value.and_then(Result::ok).unwrap_or_default()
}

/// Prints a JSON value as block YAML. Text that YAML would read as something else is quoted.
pub fn yaml(value: &Value) -> String {
    let mut out = String::new();
    block(value, 0, &mut out);
    out
}

fn block(value: &Value, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                out.push_str(&format!("{indent}{}:", scalar(&Value::from(key.as_str()))));
                nested(value, depth + 1, out);
            }
        }
        Value::Array(items) => {
            for item in items {
                let mut text = String::new();
                block(item, depth + 1, &mut text);
                out.push_str(&format!("{indent}- {}", text.trim_start()));
            }
        }
        leaf => out.push_str(&format!("{indent}{}\n", scalar(leaf))),
    }
}

fn nested(value: &Value, depth: usize, out: &mut String) {
    let is_empty =
        value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(|map| map.is_empty());
    if value.is_array() || value.is_object() {
        if is_empty {
            out.push_str(if value.is_array() { " []\n" } else { " {}\n" });
            return;
        }
        out.push('\n');
        block(value, depth, out);
    } else {
        out.push_str(&format!(" {}\n", scalar(value)));
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        // JSON text is YAML.
        value => value.to_string(),
    }
}

fn is_plain(text: &str) -> bool {
    let first = text.chars().next();
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    first.is_some_and(|c| c.is_ascii_alphabetic())
        && text.chars().all(safe)
        && !text.ends_with(':')
        && !["true", "false", "null", "yes", "no", "on", "off"].contains(&text.to_lowercase().as_str())
}
