//! The registry: every resource that the sandbox serves, and what about it differs. A new kind is one entry here and
//! its line in `strategy`.

/// A served resource type; the index into [`RESOURCES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Type {
    Namespaces,
    Nodes,
    Pods,
    Services,
    Endpoints,
    ConfigMaps,
    Events,
    EndpointSlices,
    Deployments,
    ReplicaSets,
    Secrets,
    ServiceAccounts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Cluster,
    Namespaced,
}

/// What a resource has beyond create, read, update and delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// `/status`; the main resource then ignores `status`.
    Status,
    /// `/scale`.
    Scale,
    /// `metadata.generation` counts changes of what is not metadata or status.
    Generation,
    /// PUT to a missing name creates.
    CreateOnUpdate,
    /// DELETE answers the object instead of a `Status`.
    DeleteAnswersObject,
}

#[derive(Debug)]
pub struct Resource {
    pub resource: Type,
    /// Empty for the core group.
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub plural: &'static str,
    pub singular: &'static str,
    pub short_names: &'static [&'static str],
    pub categories: &'static [&'static str],
    pub scope: Scope,
    pub features: &'static [Feature],
}

impl Type {
    pub fn info(self) -> &'static Resource {
        &RESOURCES[self as usize]
    }

    pub fn all() -> impl Iterator<Item = Type> {
        RESOURCES.iter().map(|info| info.resource)
    }

    pub fn find(group: &str, version: &str, plural: &str) -> Option<Type> {
        let found = |info: &&Resource| (info.group, info.version, info.plural) == (group, version, plural);
        RESOURCES.iter().find(found).map(|info| info.resource)
    }

    /// By `apiVersion` and `kind`, as objects name themselves.
    pub fn of_kind(api_version: &str, kind: &str) -> Option<Type> {
        let found = |info: &&Resource| info.kind == kind && info.api_version() == api_version;
        RESOURCES.iter().find(found).map(|info| info.resource)
    }

    pub fn is_namespaced(self) -> bool {
        self.info().scope == Scope::Namespaced
    }

    pub fn has(self, feature: Feature) -> bool {
        self.info().features.contains(&feature)
    }
}

impl Resource {
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// As messages name it: `services`, `deployments.apps`.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }
}

/// In the order of [`Type`].
pub static RESOURCES: [Resource; 12] = {
    use Feature::*;
    use Scope::*;
    const ALL: &[&str] = &["all"];
    [
        Resource {
            resource: Type::Namespaces,
            group: "",
            version: "v1",
            kind: "Namespace",
            plural: "namespaces",
            singular: "namespace",
            short_names: &["ns"],
            categories: &[],
            scope: Cluster,
            features: &[Status, DeleteAnswersObject],
        },
        Resource {
            resource: Type::Nodes,
            group: "",
            version: "v1",
            kind: "Node",
            plural: "nodes",
            singular: "node",
            short_names: &["no"],
            categories: &[],
            scope: Cluster,
            features: &[Status],
        },
        Resource {
            resource: Type::Pods,
            group: "",
            version: "v1",
            kind: "Pod",
            plural: "pods",
            singular: "pod",
            short_names: &["po"],
            categories: ALL,
            scope: Namespaced,
            features: &[Status, DeleteAnswersObject],
        },
        Resource {
            resource: Type::Services,
            group: "",
            version: "v1",
            kind: "Service",
            plural: "services",
            singular: "service",
            short_names: &["svc"],
            categories: ALL,
            scope: Namespaced,
            features: &[Status, CreateOnUpdate, DeleteAnswersObject],
        },
        Resource {
            resource: Type::Endpoints,
            group: "",
            version: "v1",
            kind: "Endpoints",
            plural: "endpoints",
            singular: "endpoints",
            short_names: &["ep"],
            categories: &[],
            scope: Namespaced,
            features: &[CreateOnUpdate],
        },
        Resource {
            resource: Type::ConfigMaps,
            group: "",
            version: "v1",
            kind: "ConfigMap",
            plural: "configmaps",
            singular: "configmap",
            short_names: &["cm"],
            categories: &[],
            scope: Namespaced,
            features: &[],
        },
        Resource {
            resource: Type::Events,
            group: "",
            version: "v1",
            kind: "Event",
            plural: "events",
            singular: "event",
            short_names: &["ev"],
            categories: &[],
            scope: Namespaced,
            features: &[CreateOnUpdate],
        },
        Resource {
            resource: Type::EndpointSlices,
            group: "discovery.k8s.io",
            version: "v1",
            kind: "EndpointSlice",
            plural: "endpointslices",
            singular: "endpointslice",
            short_names: &[],
            categories: &[],
            scope: Namespaced,
            features: &[Generation],
        },
        Resource {
            resource: Type::Deployments,
            group: "apps",
            version: "v1",
            kind: "Deployment",
            plural: "deployments",
            singular: "deployment",
            short_names: &["deploy"],
            categories: ALL,
            scope: Namespaced,
            features: &[Status, Scale, Generation],
        },
        Resource {
            resource: Type::ReplicaSets,
            group: "apps",
            version: "v1",
            kind: "ReplicaSet",
            plural: "replicasets",
            singular: "replicaset",
            short_names: &["rs"],
            categories: ALL,
            scope: Namespaced,
            features: &[Status, Scale, Generation],
        },
        Resource {
            resource: Type::Secrets,
            group: "",
            version: "v1",
            kind: "Secret",
            plural: "secrets",
            singular: "secret",
            short_names: &[],
            categories: &[],
            scope: Namespaced,
            features: &[],
        },
        Resource {
            resource: Type::ServiceAccounts,
            group: "",
            version: "v1",
            kind: "ServiceAccount",
            plural: "serviceaccounts",
            singular: "serviceaccount",
            short_names: &["sa"],
            categories: &[],
            scope: Namespaced,
            features: &[DeleteAnswersObject],
        },
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_in_the_order_of_its_types() {
        for (at, info) in RESOURCES.iter().enumerate() {
            assert_eq!(info.resource as usize, at, "{}", info.plural);
            assert_eq!(Type::find(info.group, info.version, info.plural), Some(info.resource));
            assert_eq!(Type::of_kind(&info.api_version(), info.kind), Some(info.resource));
        }
    }
}
