//! What is asked in the inspector's Ladder and DNS tabs: which pod, on which node, which way; which name, asked by whom.
//! Part of the URL. [`Asked::read`] and [`Asked::print`] undo each other.

use vipscope_shared::model::{Key, Text};
use vipscope_shared::proxy::Via;

/// Choices that outlive a change of tab; `None` and empty: the tab's own choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The pod that the ladder climbs to.
    pub pod: Option<Key>,
    /// The node whose rules the traffic meets.
    pub node: Option<Text>,
    pub via: Via,
    /// The name that is looked up.
    pub name: String,
    /// The pod that looks it up.
    pub asker: Option<Key>,
}

impl Default for Asked {
    fn default() -> Asked {
        Asked { pod: None, node: None, via: Via::ClusterIp, name: String::new(), asker: None }
    }
}

impl Asked {
    /// True if the pair of the URL was about this.
    pub fn read(&mut self, name: &str, value: &str) -> bool {
        match name {
            "why" => self.pod = key(value),
            "why-node" => self.node = Some(value).filter(|name| !name.is_empty()).map(Text::from),
            "why-via" => self.via = if value == "outside" { Via::External } else { Via::ClusterIp },
            "lookup" => self.name = value.to_owned(),
            "asker" => self.asker = key(value),
            _ => return false,
        }
        true
    }

    /// Pairs for the URL, not encoded; defaults are left out.
    pub fn print(&self) -> Vec<(&'static str, String)> {
        let mut pairs = Vec::new();
        pairs.extend(self.pod.as_ref().map(|pod| ("why", pod.to_string())));
        pairs.extend(self.node.as_ref().map(|node| ("why-node", node.to_string())));
        pairs.extend((self.via == Via::External).then(|| ("why-via", "outside".to_owned())));
        pairs.extend((!self.name.is_empty()).then(|| ("lookup", self.name.clone())));
        pairs.extend(self.asker.as_ref().map(|pod| ("asker", pod.to_string())));
        pairs
    }
}

/// `NAMESPACE/NAME`.
pub fn key(text: &str) -> Option<Key> {
    let (namespace, name) = text.trim().split_once('/')?;
    let whole = !namespace.is_empty() && !name.is_empty() && !name.contains('/');
    whole.then(|| Key::new(namespace, name))
}
