//! Tables: what `kubectl get` prints, column for column as the real server makes them.
//!
//! Upstream: `pkg/printers/internalversion/printers.go`, `k8s.io/apimachinery/pkg/util/duration`.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::object;
use super::resources::Type;

/// Entries that a cell shows before `+ N more...`.
const SHOWN: usize = 3;
const NONE: &str = "<none>";
const UNKNOWN: &str = "<unknown>";

/// `columnDefinitions`.
pub fn columns(resource: Type) -> Value {
    let definition = |column: &str| {
        let (column, priority) = column.strip_suffix('*').map_or((column, 0), |name| (name, 1));
        let (name, kind) = column.strip_suffix('#').map_or((column, "string"), |name| (name, "integer"));
        json!({
            "name": name, "type": kind, "format": if name == "Name" { "name" } else { "" },
            "description": format!("{name} of the {}", resource.info().kind), "priority": priority,
        })
    };
    columns_of(resource).split('|').map(definition).collect()
}

/// The names of the columns: `#` is for numbers, `*` for those that only `-o wide` shows.
fn columns_of(resource: Type) -> &'static str {
    match resource {
        Type::Services => "Name|Type|Cluster-IP|External-IP|Port(s)|Age|Selector*",
        Type::Endpoints => "Name|Endpoints|Age",
        Type::EndpointSlices => "Name|AddressType|Ports|Endpoints|Age",
        Type::Pods => "Name|Ready|Status|Restarts|Age|IP*|Node*|Nominated Node*|Readiness Gates*",
        Type::Deployments => "Name|Ready|Up-to-date#|Available#|Age|Containers*|Images*|Selector*",
        Type::ReplicaSets => "Name|Desired#|Current#|Ready#|Age|Containers*|Images*|Selector*",
        Type::Nodes => {
            "Name|Status|Roles|Age|Version|Internal-IP*|External-IP*|OS-Image*|Kernel-Version*|Container-Runtime*"
        }
        Type::Namespaces => "Name|Status|Age",
        Type::Events => "Last Seen|Type|Reason|Object|Subobject*|Source*|Message|First Seen*|Count#*|Name*",
        Type::ConfigMaps => "Name|Data#|Age",
        Type::Secrets => "Name|Type|Data#|Age",
        Type::ServiceAccounts => "Name|Age",
    }
}

/// The cells of one object, in the order of [`columns`].
pub fn cells(resource: Type, object: &Value, now: Timestamp) -> Value {
    let name = object::name(object);
    let age = age(object::text(object, "/metadata/creationTimestamp"), now);
    match resource {
        Type::Services => service(object, &age),
        Type::Endpoints => json!([name, endpoints(object), age]),
        Type::EndpointSlices => {
            json!([
                name,
                object::text(object, "/addressType"),
                slice_ports(object),
                slice_endpoints(object),
                age
            ])
        }
        Type::Pods => pod(object, &age, now),
        Type::Deployments => deployment(object, &age),
        Type::ReplicaSets => replica_set(object, &age),
        Type::Nodes => node(object, &age),
        Type::Namespaces => json!([name, object::text(object, "/status/phase"), age]),
        Type::Events => event(object, now),
        Type::ConfigMaps => json!([name, entries(object, &["data", "binaryData"]), age]),
        Type::Secrets => json!([name, object::text(object, "/type"), entries(object, &["data"]), age]),
        Type::ServiceAccounts => json!([name, age]),
    }
}

fn entries(object: &Value, fields: &[&str]) -> usize {
    fields.iter().map(|field| object[*field].as_object().map_or(0, serde_json::Map::len)).sum()
}

/// Since when, as kubectl writes it.
pub fn age(stamp: &str, now: Timestamp) -> String {
    let Ok(time) = stamp.parse::<Timestamp>() else { return UNKNOWN.to_owned() };
    human(now.as_second() - time.as_second())
}

/// A duration in two units at most.
fn human(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let pair = |big: i64, unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{big}{unit}"),
        small => format!("{big}{unit}{small}{small_unit}"),
    };
    match seconds {
        ..=-2 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        _ if minutes < 10 => pair(minutes, "m", seconds % 60, "s"),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => pair(hours, "h", minutes % 60, "m"),
        _ if hours < 48 => format!("{hours}h"),
        _ if hours < 24 * 8 => pair(hours / 24, "d", hours % 24, "h"),
        _ if hours < 24 * 365 * 2 => format!("{}d", hours / 24),
        _ if hours < 24 * 365 * 8 => pair(hours / 24 / 365, "y", hours / 24 % 365, "d"),
        _ => format!("{}y", hours / 24 / 365),
    }
}

fn or_none(text: String) -> String {
    if text.is_empty() { NONE.to_owned() } else { text }
}

fn texts<'a>(object: &'a Value, pointer: &str) -> Vec<&'a str> {
    object::list(object, pointer).iter().filter_map(Value::as_str).collect()
}

/// `a=b,c=d`.
fn labels(map: &Value) -> String {
    let pairs = map.as_object().into_iter().flatten();
    let pairs: Vec<String> =
        pairs.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    or_none(pairs.join(","))
}

fn service(object: &Value, age: &str) -> Value {
    let port = |port: &Value| {
        let (number, protocol) = (&port["port"], object::text(port, "/protocol"));
        match port["nodePort"].as_u64() {
            Some(node_port) if node_port > 0 => format!("{number}:{node_port}/{protocol}"),
            _ => format!("{number}/{protocol}"),
        }
    };
    let ports: Vec<String> = object::list(object, "/spec/ports").iter().map(port).collect();
    let cluster_ip = or_none(object::text(object, "/spec/clusterIP").to_owned());
    json!([
        object::name(object),
        object::text(object, "/spec/type"),
        cluster_ip,
        external_ip(object),
        or_none(ports.join(",")),
        age,
        labels(&object["spec"]["selector"]),
    ])
}

fn external_ip(object: &Value) -> String {
    let external = texts(object, "/spec/externalIPs");
    match object::text(object, "/spec/type") {
        "ExternalName" => or_none(object::text(object, "/spec/externalName").to_owned()),
        "LoadBalancer" => {
            let ingress = object::list(object, "/status/loadBalancer/ingress").iter();
            let given: BTreeSet<&str> = ingress
                .map(|entry| match object::text(entry, "/ip") {
                    "" => object::text(entry, "/hostname"),
                    ip => ip,
                })
                .collect();
            let all: Vec<&str> = given.into_iter().chain(external).collect();
            if all.is_empty() { "<pending>".to_owned() } else { all.join(",") }
        }
        _ => or_none(external.join(",")),
    }
}

/// The first few, and how many more.
fn shown(all: &[String]) -> String {
    let first = all.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(",");
    match all.len().saturating_sub(SHOWN) {
        0 => first,
        more => format!("{first} + {more} more..."),
    }
}

fn endpoints(object: &Value) -> String {
    let subsets = object::list(object, "/subsets");
    if subsets.is_empty() {
        return NONE.to_owned();
    }
    let mut all = Vec::new();
    for subset in subsets {
        let addresses = object::list(subset, "/addresses");
        let ips = || addresses.iter().map(|address| object::text(address, "/ip"));
        match object::list(subset, "/ports") {
            [] => all.extend(ips().map(str::to_owned)),
            ports => {
                for port in ports {
                    let join = |ip: &str| match ip.contains(':') {
                        true => format!("[{ip}]:{}", port["port"]),
                        false => format!("{ip}:{}", port["port"]),
                    };
                    all.extend(ips().map(join));
                }
            }
        }
    }
    shown(&all)
}

fn or_unset(all: &[String]) -> String {
    if all.is_empty() { "<unset>".to_owned() } else { shown(all) }
}

fn slice_ports(object: &Value) -> String {
    let port = |port: &Value| match (&port["port"], object::text(port, "/name")) {
        (Value::Number(number), _) => number.to_string(),
        (_, "") => "*".to_owned(),
        (_, name) => name.to_owned(),
    };
    or_unset(&object::list(object, "/ports").iter().map(port).collect::<Vec<_>>())
}

fn slice_endpoints(object: &Value) -> String {
    let endpoints = object::list(object, "/endpoints").iter();
    let addresses = endpoints.flat_map(|endpoint| texts(endpoint, "/addresses"));
    or_unset(&addresses.map(str::to_owned).collect::<Vec<_>>())
}

fn pod(object: &Value, age: &str, now: Timestamp) -> Value {
    let statuses = object::list(object, "/status/containerStatuses");
    let restarts: i64 = statuses.iter().filter_map(|status| status["restartCount"].as_i64()).sum();
    let last = statuses.iter().map(|status| object::text(status, "/lastState/terminated/finishedAt")).max();
    let restarts = match last {
        Some(last) if restarts > 0 && !last.is_empty() => {
            format!("{restarts} ({} ago)", self::age(last, now))
        }
        _ => restarts.to_string(),
    };
    let running = |status: &&Value| status["ready"] == true && status["state"]["running"].is_object();
    let ready = statuses.iter().filter(running).count();
    let total = object::list(object, "/spec/containers").len();
    let text = |pointer| or_none(object::text(object, pointer).to_owned());
    json!([
        object::name(object),
        format!("{ready}/{total}"),
        pod_status(object, ready > 0),
        restarts,
        age,
        text("/status/podIP"),
        text("/spec/nodeName"),
        text("/status/nominatedNodeName"),
        NONE,
    ])
}

fn pod_status(object: &Value, any_running: bool) -> String {
    let phase = object::text(object, "/status/phase");
    let mut reason = match object::text(object, "/status/reason") {
        "" => phase.to_owned(),
        reason => reason.to_owned(),
    };
    // The first container has the last word.
    for status in object::list(object, "/status/containerStatuses").iter().rev() {
        let (waiting, ended) = (&status["state"]["waiting"], &status["state"]["terminated"]);
        if !object::text(waiting, "/reason").is_empty() {
            reason = object::text(waiting, "/reason").to_owned();
        } else if !object::text(ended, "/reason").is_empty() {
            reason = object::text(ended, "/reason").to_owned();
        } else if ended.is_object() {
            reason = match ended["signal"].as_i64() {
                Some(signal) if signal != 0 => format!("Signal:{signal}"),
                _ => format!("ExitCode:{}", ended["exitCode"]),
            };
        }
    }
    if reason == "Completed" && any_running {
        let mut conditions = object::list(object, "/status/conditions").iter();
        let ready = conditions.any(|one| one["type"] == "Ready" && one["status"] == "True");
        reason = if ready { "Running" } else { "NotReady" }.to_owned();
    }
    let over = matches!(phase, "Succeeded" | "Failed");
    if object::is_terminating(object) && object::text(object, "/status/reason") == "NodeLost" {
        return "Unknown".to_owned();
    }
    if object::is_terminating(object) && !over { "Terminating".to_owned() } else { reason }
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

/// Containers, images and selector of a workload.
fn wide_cells(object: &Value) -> [String; 3] {
    let containers = object::list(object, "/spec/template/spec/containers");
    let all =
        |field: &str| containers.iter().map(|one| object::text(one, field)).collect::<Vec<_>>().join(",");
    [all("/name"), all("/image"), selector(&object["spec"]["selector"])]
}

/// A label selector as text.
fn selector(selector: &Value) -> String {
    let pairs = selector["matchLabels"].as_object().into_iter().flatten();
    let pairs = pairs.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
    let expressions = object::list(selector, "/matchExpressions").iter().map(|one| {
        let (key, values) = (object::text(one, "/key"), texts(one, "/values").join(","));
        match object::text(one, "/operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        }
    });
    or_none(pairs.chain(expressions).collect::<Vec<_>>().join(","))
}

fn deployment(object: &Value, age: &str) -> Value {
    let (spec, status) = (&object["spec"], &object["status"]);
    let [containers, images, selector] = wide_cells(object);
    json!([
        object::name(object),
        format!("{}/{}", number(&status["readyReplicas"]), number(&spec["replicas"])),
        number(&status["updatedReplicas"]),
        number(&status["availableReplicas"]),
        age,
        containers,
        images,
        selector,
    ])
}

fn replica_set(object: &Value, age: &str) -> Value {
    let (spec, status) = (&object["spec"], &object["status"]);
    let [containers, images, selector] = wide_cells(object);
    json!([
        object::name(object),
        number(&spec["replicas"]),
        number(&status["replicas"]),
        number(&status["readyReplicas"]),
        age,
        containers,
        images,
        selector,
    ])
}

fn node(object: &Value, age: &str) -> Value {
    const ROLE: &str = "node-role.kubernetes.io/";
    let mut conditions = object::list(object, "/status/conditions").iter();
    let ready = conditions.find(|condition| condition["type"] == "Ready");
    let mut status = match ready.map(|condition| condition["status"] == "True") {
        Some(true) => "Ready",
        Some(false) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if object["spec"]["unschedulable"] == true {
        status.push_str(",SchedulingDisabled");
    }
    let labels = object["metadata"]["labels"].as_object().into_iter().flatten();
    let roles: Vec<&str> = labels.filter_map(|(key, _)| key.strip_prefix(ROLE)).collect();
    let address = |kind: &str| {
        let mut addresses = object::list(object, "/status/addresses").iter();
        let found = addresses.find(|address| address["type"] == kind);
        found.map_or(NONE, |address| object::text(address, "/address"))
    };
    let info = |field: &str| match object::text(object, &format!("/status/nodeInfo/{field}")) {
        "" => UNKNOWN,
        text => text,
    };
    json!([
        object::name(object),
        status,
        or_none(roles.join(",")),
        age,
        object::text(object, "/status/nodeInfo/kubeletVersion"),
        address("InternalIP"),
        address("ExternalIP"),
        info("osImage"),
        info("kernelVersion"),
        info("containerRuntimeVersion"),
    ])
}

fn event(object: &Value, now: Timestamp) -> Value {
    let text = |pointer| object::text(object, pointer);
    let since = |pointer| match text(pointer) {
        "" => age(text("/eventTime"), now),
        stamp => age(stamp, now),
    };
    let about = format!("{}/{}", text("/involvedObject/kind").to_lowercase(), text("/involvedObject/name"));
    let source = match (text("/source/component"), text("/source/host")) {
        ("", _) => text("/reportingComponent").to_owned(),
        (component, "") => component.to_owned(),
        (component, host) => format!("{component}, {host}"),
    };
    json!([
        since("/lastTimestamp"),
        text("/type"),
        text("/reason"),
        about,
        text("/involvedObject/fieldPath"),
        source,
        text("/message").trim(),
        since("/firstTimestamp"),
        object["count"].as_i64().unwrap_or(1),
        object::name(object),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-24T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn ages() {
        let rows = [
            (-5, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (595, "9m55s"),
            (3600, "60m"),
            (3 * 3600 + 300, "3h5m"),
            (9 * 3600, "9h"),
            (50 * 3600, "2d2h"),
            (10 * 86_400, "10d"),
            (800 * 86_400, "2y70d"),
        ];
        for (seconds, expected) in rows {
            assert_eq!(human(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn every_kind_has_a_cell_for_each_column() {
        for resource in Type::all() {
            let (columns, cells) = (columns(resource), cells(resource, &json!({}), now()));
            assert_eq!(columns.as_array().unwrap().len(), cells.as_array().unwrap().len(), "{resource:?}");
        }
    }

    #[test]
    fn cells_of_services_and_endpoints() {
        let service = json!({"metadata": {"name": "web", "creationTimestamp": "2026-11-24T11:50:05Z"}, "spec": {
            "type": "LoadBalancer", "clusterIP": "10.96.138.142", "selector": {"app": "web"},
            "ports": [{"port": 80, "nodePort": 30001, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]}});
        let expected = json!([
            "web",
            "LoadBalancer",
            "10.96.138.142",
            "<pending>",
            "80:30001/TCP,53/UDP",
            "9m55s",
            "app=web"
        ]);
        assert_eq!(cells(Type::Services, &service, now()), expected);
        let addresses =
            |count: u8| (1..=count).map(|n| json!({"ip": format!("10.0.0.{n}")})).collect::<Value>();
        let rows = [
            (json!([]), "<none>"),
            (json!([{"addresses": addresses(2), "ports": [{"port": 80}]}]), "10.0.0.1:80,10.0.0.2:80"),
            (json!([{"addresses": addresses(5)}]), "10.0.0.1,10.0.0.2,10.0.0.3 + 2 more..."),
            (json!([{"notReadyAddresses": addresses(1), "ports": [{"port": 80}]}]), ""),
        ];
        for (subsets, expected) in rows {
            assert_eq!(endpoints(&json!({ "subsets": subsets })), expected);
        }
        assert_eq!(slice_ports(&json!({"ports": null})), "<unset>");
    }

    #[test]
    fn status_of_pods() {
        let state =
            |state: Value| json!({"status": {"phase": "Running", "containerStatuses": [{"state": state}]}});
        let mut going = state(json!({"running": {}}));
        assert_eq!(pod_status(&going, true), "Running");
        going["metadata"]["deletionTimestamp"] = "x".into();
        assert_eq!(pod_status(&going, true), "Terminating");
        let rows = [
            (json!({"waiting": {"reason": "CrashLoopBackOff"}}), "CrashLoopBackOff"),
            (json!({"terminated": {"exitCode": 3}}), "ExitCode:3"),
            (json!({"terminated": {"exitCode": 3, "signal": 9}}), "Signal:9"),
        ];
        for (given, expected) in rows {
            assert_eq!(pod_status(&state(given), false), expected);
        }
    }
}
