//! Label and field selectors: parse once, match many. Grammar and messages: `k8s.io/apimachinery/pkg/{labels,fields}`.

use serde_json::Value;

use super::errors::Refusal;
use super::object;
use super::resources::Type;

/// Both selectors of a list or watch. The default selects all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<FieldRequirement>,
}

impl Selector {
    pub fn parse(resource: Type, labels: &str, fields: &str) -> Result<Selector, Refusal> {
        Ok(Selector { labels: parse_labels(labels)?, fields: parse_fields(resource, fields)? })
    }

    /// A workload's `spec.selector`: `matchLabels` and `matchExpressions`. An empty one selects all.
    pub fn of_workload(selector: &Value) -> Selector {
        let pairs = selector["matchLabels"].as_object().into_iter().flatten();
        let equal = pairs.map(|(key, value)| {
            let test = Test::In(vec![value.as_str().unwrap_or_default().to_owned()]);
            Requirement { key: key.clone(), test }
        });
        let expressions = object::list(selector, "/matchExpressions").iter().map(|one| {
            let values = object::list(one, "/values").iter().filter_map(Value::as_str).map(str::to_owned);
            let test = match object::text(one, "/operator") {
                "In" => Test::In(values.collect()),
                "NotIn" => Test::NotIn(values.collect()),
                "DoesNotExist" => Test::Absent,
                _ => Test::Exists,
            };
            Requirement { key: object::text(one, "/key").to_owned(), test }
        });
        Selector { labels: equal.chain(expressions).collect(), fields: Vec::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub fn matches(&self, object: &Value) -> bool {
        self.labels.iter().all(|requirement| requirement.matches(object))
            && self.fields.iter().all(|requirement| requirement.matches(object))
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
    Above(i64),
    Below(i64),
}

impl Requirement {
    fn matches(&self, object: &Value) -> bool {
        let value = object::meta_entry(object, "labels", &self.key);
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match &self.test {
            Test::Exists => value.is_some(),
            Test::Absent => value.is_none(),
            Test::In(values) => value.is_some_and(|value| values.iter().any(|one| one == value)),
            Test::NotIn(values) => value.is_none_or(|value| !values.iter().any(|one| one == value)),
            Test::Above(bound) => number().is_some_and(|number| number > *bound),
            Test::Below(bound) => number().is_some_and(|number| number < *bound),
        }
    }
}

fn parse_labels(text: &str) -> Result<Vec<Requirement>, Refusal> {
    let parts = split_outside_parentheses(text);
    parts.into_iter().filter(|part| !part.is_empty()).map(parse_requirement).collect()
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let split = text.split(move |letter| {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        letter == ',' && depth == 0
    });
    split.map(str::trim).collect()
}

fn parse_requirement(text: &str) -> Result<Requirement, Refusal> {
    let found = |what: &str, expected: &str| {
        Refusal::bad_request(format!("unable to parse requirement: found '{what}', expected: {expected}"))
    };
    if let Some(key) = text.strip_prefix('!') {
        return Ok(Requirement { key: label_key(key.trim())?, test: Test::Absent });
    }
    for (operator, set) in [(" notin ", Test::NotIn as fn(_) -> _), (" in ", Test::In as fn(_) -> _)] {
        if let Some((key, values)) = text.replace('(', " (").split_once(operator) {
            let values = values.trim();
            let inside = values.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
            let inside = inside.ok_or_else(|| found(values, "'('"))?;
            let values = inside.split(',').map(|value| value.trim().to_owned()).collect();
            return Ok(Requirement { key: label_key(key.trim())?, test: set(values) });
        }
    }
    let at = text.find(['=', '!', '<', '>']);
    let Some(at) = at else { return Ok(Requirement { key: label_key(text)?, test: Test::Exists }) };
    let (key, rest) = text.split_at(at);
    if key.trim().is_empty() {
        return Err(found(&rest[..1], "identifier"));
    }
    let number = |value: &str| value.trim().parse().map_err(|_| found(value, "an integer"));
    let one = |value: &str| vec![value.trim().to_owned()];
    let test = if let Some(value) = rest.strip_prefix("!=") {
        Test::NotIn(one(value))
    } else if let Some(value) = rest.strip_prefix("==").or_else(|| rest.strip_prefix('=')) {
        Test::In(one(value))
    } else if let Some(value) = rest.strip_prefix('>') {
        Test::Above(number(value)?)
    } else if let Some(value) = rest.strip_prefix('<') {
        Test::Below(number(value)?)
    } else {
        return Err(found(rest, "in, notin, =, ==, !=, gt, lt"));
    };
    Ok(Requirement { key: label_key(key.trim())?, test })
}

fn label_key(key: &str) -> Result<String, Refusal> {
    let bad = key.is_empty() || key.contains(char::is_whitespace);
    if bad {
        return Err(Refusal::bad_request(format!(
            "unable to parse requirement: found '{key}', expected: identifier"
        )));
    }
    Ok(key.to_owned())
}

#[derive(Debug, Clone, PartialEq)]
struct FieldRequirement {
    /// Where the field is.
    pointer: String,
    value: String,
    equal: bool,
}

impl FieldRequirement {
    fn matches(&self, object: &Value) -> bool {
        let is = match object.pointer(&self.pointer) {
            Some(Value::String(text)) => *text == self.value,
            Some(Value::Bool(flag)) => flag.to_string() == self.value,
            Some(Value::Number(number)) => number.to_string() == self.value,
            // Absent is empty; an absent flag is false.
            _ => self.value.is_empty() || (self.value == "false" && self.pointer == "/spec/unschedulable"),
        };
        is == self.equal
    }
}

fn parse_fields(resource: Type, text: &str) -> Result<Vec<FieldRequirement>, Refusal> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| parse_field(resource, part)).collect()
}

fn parse_field(resource: Type, text: &str) -> Result<FieldRequirement, Refusal> {
    let split = text.split_once("!=").map(|(field, value)| (field, value, false));
    let split = split.or_else(|| text.split_once("==").map(|(field, value)| (field, value, true)));
    let split = split.or_else(|| text.split_once('=').map(|(field, value)| (field, value, true)));
    let (field, value, equal) = split.ok_or_else(|| {
        Refusal::bad_request(format!("invalid selector: '{text}'; can't understand '{text}'"))
    })?;
    if !is_selectable(resource, field) {
        return Err(Refusal::bad_request(match own_fields(resource) {
            [] => format!(
                "\"{field}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
            ),
            _ => format!("field label not supported: {field}"),
        }));
    }
    let pointer = match (resource, field) {
        (Type::Events, "source") => "/source/component".to_owned(),
        _ => format!("/{}", field.replace('.', "/")),
    };
    Ok(FieldRequirement { pointer, value: value.to_owned(), equal })
}

fn is_selectable(resource: Type, field: &str) -> bool {
    matches!(field, "metadata.name" | "metadata.namespace") || own_fields(resource).contains(&field)
}

/// Fields beside name and namespace.
fn own_fields(resource: Type) -> &'static [&'static str] {
    match resource {
        Type::Services => &["spec.clusterIP", "spec.type"],
        Type::Pods => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        Type::Events => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        Type::Namespaces => &["status.phase"],
        Type::Nodes => &["spec.unschedulable"],
        Type::ReplicaSets => &["status.replicas"],
        Type::Secrets => &["type"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn label_selectors() {
        let object = json!({"metadata": {"labels": {"app": "cart", "tier": "back", "n": "5"}}});
        let rows = [
            ("", true),
            ("app=cart", true),
            ("app==cart,tier=back", true),
            ("app=cart,tier=front", false),
            ("app!=web", true),
            ("nope!=x", true),
            ("app in (web, cart)", true),
            ("app in(web,cart),tier", true),
            ("app notin (web,cart)", false),
            ("!app", false),
            ("!nope", true),
            ("n>4", true),
            ("n<5", false),
        ];
        for (text, expected) in rows {
            let selector = Selector::parse(Type::Pods, text, "").unwrap();
            assert_eq!(selector.matches(&object), expected, "{text}");
        }
        let refused = Selector::parse(Type::Pods, "=x", "").unwrap_err();
        assert_eq!(refused.message, "unable to parse requirement: found '=', expected: identifier");
    }

    #[test]
    fn selectors_of_workloads() {
        let selector = Selector::of_workload(&json!({"matchLabels": {"app": "cart"}, "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["a", "b"]}, {"key": "old", "operator": "DoesNotExist"}]}));
        let rows = [
            (json!({"app": "cart", "tier": "b"}), true),
            (json!({"app": "cart", "tier": "c"}), false),
            (json!({"app": "cart", "tier": "b", "old": "1"}), false),
            (json!({"tier": "b"}), false),
        ];
        for (labels, expected) in rows {
            assert_eq!(selector.matches(&json!({"metadata": {"labels": labels}})), expected, "{labels}");
        }
    }

    #[test]
    fn field_selectors() {
        let object = json!({"metadata": {"name": "a", "namespace": "b"}, "status": {"phase": "Running"}});
        let rows = [
            ("metadata.name=a", true),
            ("metadata.name==a,status.phase!=Pending", true),
            ("metadata.namespace!=b", false),
            ("spec.nodeName=", true),
        ];
        for (text, expected) in rows {
            let selector = Selector::parse(Type::Pods, "", text).unwrap();
            assert_eq!(selector.matches(&object), expected, "{text}");
        }
        let refused = Selector::parse(Type::Services, "", "spec.foo=1").unwrap_err();
        assert_eq!(refused.message, "field label not supported: spec.foo");
    }
}
