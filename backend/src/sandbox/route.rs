//! Paths: what a URL names.

use vipscope_shared::model::Key;

use super::discovery;
use super::errors::Refusal;
use super::query;
use super::resources::{Feature, Type};
use super::reviews::Review;

/// What a path names.
#[derive(Debug)]
pub enum Route {
    Object(Target),
    Review(Review),
    /// A document that is the same for all.
    Fixed(Fixed),
    Refused(Refusal),
    /// Not a path of the API at all.
    NoPage,
}

/// Documents beside the objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fixed {
    Root,
    Version,
    Health(String),
    Core,
    Groups,
    Group(String),
    Resources(String, String),
    OpenApiIndex,
    OpenApi(String),
    Swagger,
}

/// The object or collection that a path names.
#[derive(Debug, Clone)]
pub struct Target {
    pub resource: Type,
    /// Empty for cluster-scoped kinds and for all namespaces.
    pub namespace: String,
    /// Empty for collections.
    pub name: String,
    pub sub: Option<Sub>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sub {
    Status,
    Scale,
    Eviction,
    PortForward,
    /// Of namespaces.
    Finalize,
    /// What would need a container: its name in the path.
    Container(&'static str),
}

impl Route {
    pub fn parse(path: &str) -> Route {
        let segments: Vec<String> =
            path.split('/').filter(|segment| !segment.is_empty()).map(query::decode).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let fixed = match segments.as_slice() {
            [] => Fixed::Root,
            ["version"] => Fixed::Version,
            [name @ ("healthz" | "livez" | "readyz")] => Fixed::Health((*name).to_owned()),
            [name @ ("healthz" | "livez" | "readyz"), "ping"] => Fixed::Health((*name).to_owned()),
            ["openapi", "v2"] => Fixed::Swagger,
            ["openapi", "v3"] => Fixed::OpenApiIndex,
            ["openapi", "v3", rest @ ..] => Fixed::OpenApi(rest.join("/")),
            ["api"] => Fixed::Core,
            ["apis"] => Fixed::Groups,
            ["api", version] => Fixed::Resources(String::new(), (*version).to_owned()),
            ["api", version, rest @ ..] => return Route::of_resource("", version, rest),
            // Objects of groups that are not served say so; discovery of them does as the real server.
            ["apis", group, _, rest @ ..] if !discovery::is_group(group) && !rest.is_empty() => {
                return Route::Refused(Refusal::not_in_sandbox(&format!("the API group {group}")));
            }
            ["apis", group, ..] if !discovery::is_group(group) => return Route::NoPage,
            ["apis", group] => Fixed::Group((*group).to_owned()),
            ["apis", group, version] => Fixed::Resources((*group).to_owned(), (*version).to_owned()),
            ["apis", group, version, rest @ ..] => return Route::of_resource(group, version, rest),
            _ => return Route::NoPage,
        };
        Route::Fixed(fixed)
    }

    fn of_resource(group: &str, version: &str, rest: &[&str]) -> Route {
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !matches!(rest, [] | ["status" | "finalize"]) => {
                (*namespace, rest)
            }
            rest => ("", rest),
        };
        let (plural, name, sub) = match rest {
            [plural] => (*plural, "", None),
            [plural, name] => (*plural, *name, None),
            [plural, name, sub, ..] => (*plural, *name, Some(*sub)),
            [] => return Route::Refused(Refusal::no_such_resource()),
        };
        if let ("v1", "", None, Some(review)) = (version, name, sub, Review::find(group, plural)) {
            return Route::Review(review);
        }
        let Some(resource) = Type::find(group, version, plural) else {
            let group = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
            return Route::Refused(Refusal::not_in_sandbox(&format!("{plural} of {group}")));
        };
        let sub = match sub.map(|sub| Sub::of(resource, sub)) {
            None => None,
            Some(Some(sub)) => Some(sub),
            Some(None) => {
                let what = format!("{plural}/{}", rest.get(2).unwrap_or(&""));
                return Route::Refused(Refusal::not_in_sandbox(&what));
            }
        };
        let scoped = resource.is_namespaced() || namespace.is_empty();
        let complete = name.is_empty() || !resource.is_namespaced() || !namespace.is_empty();
        if !(scoped && complete) {
            return Route::Refused(Refusal::no_such_resource());
        }
        Route::Object(Target { resource, namespace: namespace.to_owned(), name: name.to_owned(), sub })
    }
}

impl Sub {
    fn of(resource: Type, name: &str) -> Option<Sub> {
        match (resource, name) {
            (_, "status") if resource.has(Feature::Status) => Some(Sub::Status),
            (_, "scale") if resource.has(Feature::Scale) => Some(Sub::Scale),
            (Type::Namespaces, "finalize") => Some(Sub::Finalize),
            (Type::Pods, "eviction") => Some(Sub::Eviction),
            (Type::Pods, "portforward") => Some(Sub::PortForward),
            (Type::Pods, "log") => Some(Sub::Container("logs are")),
            (Type::Pods, "exec") => Some(Sub::Container("exec is")),
            (Type::Pods, "attach") => Some(Sub::Container("attach is")),
            _ => None,
        }
    }
}

impl Target {
    pub fn key(&self) -> Key {
        Key::new(self.namespace.as_str(), self.name.as_str())
    }
}
