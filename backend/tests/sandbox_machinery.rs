//! The API machinery, request by request: codes, reasons and words as in the reference `api-machinery.md`, sections 4 to 13.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use tower::ServiceExt;
use vipscope::sandbox::{Options, Sandbox};

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";
const APPLY: &str = "application/apply-patch+yaml";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const SERVICES: &str = "/api/v1/namespaces/default/services";

fn sandbox() -> Sandbox {
    Sandbox::start(Options { empty: true, churn: false, ..Options::default() })
}

async fn send(sandbox: &Sandbox, method: &str, path: &str, kind: &str, body: &str) -> (u16, Value) {
    with_accept(sandbox, method, path, kind, body, JSON).await
}

async fn with_accept(
    sandbox: &Sandbox,
    method: &str,
    path: &str,
    kind: &str,
    body: &str,
    accept: &str,
) -> (u16, Value) {
    let request = Request::builder().method(method).uri(path).header("content-type", kind);
    let request = request.header("accept", accept).body(Body::from(body.to_owned())).unwrap();
    let answer = sandbox.router().oneshot(request).await.unwrap();
    let code = answer.status().as_u16();
    let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    (code, serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into()))
}

async fn create(sandbox: &Sandbox, path: &str, object: Value) -> Value {
    let (code, object) = send(sandbox, "POST", path, JSON, &object.to_string()).await;
    assert_eq!(code, 201, "{object}");
    object
}

fn map(name: &str) -> Value {
    json!({"metadata": {"name": name}, "data": {"a": "1"}})
}

/// Method, path, content type, body; then the code, the reason and the message; `*` at its end is any text.
type Row<'a> = (&'a str, &'a str, &'a str, &'a str, u16, &'a str, &'a str);

async fn check(sandbox: &Sandbox, rows: &[Row<'_>]) {
    let mut faults = Vec::new();
    for (method, path, kind, body, code, reason, message) in rows {
        let (got, status) = send(sandbox, method, path, kind, body).await;
        let text = status["message"].as_str().unwrap_or_default();
        let fits = match message.strip_suffix('*') {
            Some(start) => text.starts_with(start),
            None => text == *message,
        };
        let (said, number) = (status["reason"].as_str().unwrap_or_default(), &status["code"]);
        if got != *code || said != *reason || !fits || *number != *code {
            faults.push(format!(
                "{method} {path} {body}\nexpected {code} {reason}: {message}\ngot      {got} {said}: {text}"
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

#[tokio::test]
async fn creations_that_are_refused() {
    let sandbox = sandbox();
    create(&sandbox, MAPS, map("two")).await;
    let unreadable = "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: *";
    check(&sandbox, &[
        ("POST", MAPS, JSON, r#"{"metadata":{"name":"two"}}"#, 409, "AlreadyExists", "configmaps \"two\" already exists"),
        ("POST", MAPS, JSON, "{}", 422, "Invalid", "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required"),
        ("POST", MAPS, JSON, r#"{"metadata":{"name":"x","namespace":"other"}}"#, 400, "BadRequest", "the namespace of the provided object does not match the namespace sent on the request"),
        ("POST", MAPS, JSON, r#"{"metadata":{"name":"x","resourceVersion":"5"}}"#, 500, "", "resourceVersion should not be set on objects to be created"),
        ("POST", MAPS, JSON, "{", 400, "BadRequest", unreadable),
        ("POST", MAPS, "text/plain", "{}", 415, "UnsupportedMediaType", "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf"),
        ("POST", MAPS, JSON, r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"x"}}"#, 400, "BadRequest", "Pod in version \"v1\" cannot be handled as a ConfigMap: *"),
        ("POST", "/api/v1/namespaces/nons/configmaps", JSON, r#"{"metadata":{"name":"x"}}"#, 404, "NotFound", "namespaces \"nons\" not found"),
        ("POST", &format!("{MAPS}?dryRun=foo"), JSON, r#"{"metadata":{"name":"x"}}"#, 422, "Invalid", "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"foo\"]: supported values: \"All\""),
        ("POST", &format!("{MAPS}?fieldValidation=foo"), JSON, r#"{"metadata":{"name":"x"}}"#, 422, "Invalid", "CreateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: \"foo\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\""),
        ("POST", &format!("{MAPS}?fieldValidation=Strict"), JSON, r#"{"metadata":{"name":"x"},"data":{"a":"1","a":"2"}}"#, 400, "BadRequest", "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: duplicate field \"data.a\""),
        ("POST", &format!("{SERVICES}?fieldValidation=Strict"), JSON, r#"{"metadata":{"name":"x"},"spec":{"selektor":{},"ports":[{"port":80,"foo":1}]}}"#, 400, "BadRequest", "Service in version \"v1\" cannot be handled as a Service: strict decoding error: unknown field \"spec.ports[0].foo\", unknown field \"spec.selektor\""),
        ("POST", &format!("{MAPS}/two"), JSON, "{}", 405, "MethodNotAllowed", "the server does not allow this method on the requested resource"),
        ("PUT", MAPS, JSON, "{}", 405, "MethodNotAllowed", "the server does not allow this method on the requested resource"),
        ("POST", MAPS, JSON, r#"{"metadata":{"name":"x","finalizers":["x"]}}"#, 422, "Invalid", "ConfigMap \"x\" is invalid: metadata.finalizers[0]: Invalid value: \"x\": name is neither a standard finalizer name nor is it fully qualified"),
        ("GET", "/api/v1/nothings", JSON, "", 404, "NotFound", "the sandbox does not serve nothings of v1: *"),
        ("GET", "/apis/batch/v1/jobs", JSON, "", 404, "NotFound", "the sandbox does not serve the API group batch: *"),
        ("GET", "/api/v1/namespaces/default/pods/x/log", JSON, "", 400, "BadRequest", "logs are not available in the sandbox: *"),
    ]).await;
    let generated =
        create(&sandbox, MAPS, json!({"metadata": {"generateName": "gen-", "creationTimestamp": null}}))
            .await;
    let name = generated["metadata"]["name"].as_str().unwrap().strip_prefix("gen-").unwrap();
    assert!(
        name.len() == 5 && name.bytes().all(|letter| b"bcdfghjklmnpqrstvwxz2456789".contains(&letter)),
        "{name}"
    );
    assert_eq!(generated["metadata"]["generateName"], "gen-");
    let (code, list) = send(&sandbox, "GET", "/api/v1/namespaces/nons/configmaps", JSON, "").await;
    assert_eq!((code, &list["items"]), (200, &json!([])));
    // YAML is read, and unknown fields go.
    let (code, made) = send(
        &sandbox,
        "POST",
        MAPS,
        "application/yaml",
        "metadata:\n  name: yaml\nnonsense: 1\ndata: {b: '2'}\n",
    )
    .await;
    assert_eq!((code, &made["data"]["b"], &made["nonsense"]), (201, &json!("2"), &Value::Null));
}

#[tokio::test]
async fn updates_and_patches_that_are_refused() {
    let sandbox = sandbox();
    let made = create(&sandbox, MAPS, map("cm2")).await;
    create(&sandbox, SERVICES, json!({"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}})).await;
    let uid = made["metadata"]["uid"].as_str().unwrap();
    let (cm, web) = (format!("{MAPS}/cm2"), format!("{SERVICES}/web"));
    let conflict = "Operation cannot be fulfilled on configmaps \"cm2\": the object has been modified; please apply your changes to the latest version and try again";
    let uids = format!(
        "Operation cannot be fulfilled on configmaps \"cm2\": Precondition failed: UID in precondition: zz, UID in object meta: {uid}"
    );
    let gone = format!(
        "Operation cannot be fulfilled on ConfigMap \"cm2\": the UID in the precondition (aaa) does not match the UID in record ({uid}). The object might have been deleted and then recreated"
    );
    check(&sandbox, &[
        ("PUT", &cm, JSON, r#"{"metadata":{"name":"cm2","resourceVersion":"5"}}"#, 409, "Conflict", conflict),
        ("PUT", &cm, JSON, r#"{"metadata":{"name":"cm2","uid":"zz"}}"#, 409, "Conflict", &uids),
        ("PUT", &cm, JSON, r#"{"metadata":{"name":"cm3"}}"#, 400, "BadRequest", "the name of the object (cm3) does not match the name on the URL (cm2)"),
        ("PUT", &format!("{MAPS}/nope"), JSON, r#"{"metadata":{"name":"nope"}}"#, 404, "NotFound", "configmaps \"nope\" not found"),
        ("PATCH", &cm, "text/plain", "{}", 415, "UnsupportedMediaType", "415: Unsupported Media Type"),
        ("PATCH", &format!("{MAPS}/nope"), MERGE, "{}", 404, "NotFound", "configmaps \"nope\" not found"),
        ("PATCH", &cm, JSON_PATCH, r#"[{"op":"test","path":"/data/a","value":"2"}]"#, 422, "Invalid", "the server rejected our request due to an error in our request"),
        ("PATCH", &cm, JSON_PATCH, "{}", 400, "BadRequest", "error decoding patch: *"),
        ("PATCH", &cm, MERGE, r#"{"metadata":{"resourceVersion":"5"}}"#, 409, "Conflict", conflict),
        ("PATCH", &format!("{cm}?force=true"), MERGE, "{}", 422, "Invalid", "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch"),
        ("PATCH", &web, STRATEGIC, r#"{"spec":{"ports":[{"name":"x"}]}}"#, 500, "", "map: map[name:x] does not contain declared merge key: port"),
        ("PATCH", &cm, APPLY, "{}", 422, "Invalid", "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch"),
        ("PATCH", &format!("{cm}?fieldManager=m"), APPLY, "{}", 400, "BadRequest", "invalid object type: /, Kind="),
        ("PATCH", &format!("{cm}?fieldManager=m"), APPLY, r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"managedFields":[]}}"#, 400, "BadRequest", "metadata.managedFields must be nil"),
        ("DELETE", &cm, JSON, r#"{"preconditions":{"uid":"aaa"}}"#, 409, "Conflict", &gone),
        ("DELETE", &cm, JSON, r#"{"propagationPolicy":"Foreground","orphanDependents":true}"#, 422, "Invalid", "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Invalid value: \"Foreground\": orphanDependents and deletionPropagation cannot be both set"),
        ("DELETE", &format!("{MAPS}/nope"), JSON, "", 404, "NotFound", "configmaps \"nope\" not found"),
    ]).await;
    // What changes nothing writes nothing.
    let (_, same) = send(&sandbox, "PATCH", &cm, MERGE, r#"{"data":{"a":"1"}}"#).await;
    assert_eq!(same["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"]);
    let (code, dry) = send(&sandbox, "DELETE", &cm, JSON, r#"{"dryRun":["All"]}"#).await;
    assert_eq!((code, &dry["status"]), (200, &json!("Success")));
    let (code, status) = send(&sandbox, "DELETE", &cm, JSON, "").await;
    let details = json!({"name": "cm2", "group": "", "kind": "configmaps", "uid": uid});
    assert_eq!((code, &status["details"]), (200, &details), "{status}");
}

#[tokio::test]
async fn lists_and_watches_that_are_refused() {
    let sandbox = sandbox();
    for name in ["a", "b", "c"] {
        create(&sandbox, MAPS, map(name)).await;
    }
    let (_, list) = send(&sandbox, "GET", MAPS, JSON, "").await;
    let current: u64 = list["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
    let (_, page) = send(&sandbox, "GET", &format!("{MAPS}?limit=2"), JSON, "").await;
    let token = page["metadata"]["continue"].as_str().unwrap();
    assert_eq!(page["metadata"]["remainingItemCount"], 1);
    let options = "ListOptions.meta.k8s.io \"\" is invalid: ";
    let at = |query: &str| format!("{MAPS}?{query}");
    let invalid = |why: &str| format!("{options}{why}");
    check(&sandbox, &[
        ("GET", &at("resourceVersion=abc"), JSON, "", 400, "BadRequest", "invalid resource version: resourceVersion: Invalid value: \"abc\": strconv.ParseUint: parsing \"abc\": invalid syntax"),
        ("GET", &at("resourceVersion=99999999999999999"), JSON, "", 504, "Timeout", &format!("Timeout: Too large resource version: 99999999999999999, current: {current}")),
        ("GET", &at("resourceVersionMatch=Exact"), JSON, "", 422, "Invalid", &invalid("resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided")),
        ("GET", &at("resourceVersionMatch=Foo&resourceVersion=1"), JSON, "", 422, "Invalid", &invalid("resourceVersionMatch: Unsupported value: \"Foo\": supported values: \"Exact\", \"NotOlderThan\", \"\"")),
        ("GET", &at("resourceVersionMatch=Exact&resourceVersion=0"), JSON, "", 422, "Invalid", &invalid("resourceVersionMatch: Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"")),
        ("GET", &at("resourceVersionMatch=Exact&resourceVersion=1"), JSON, "", 410, "Expired", "The resourceVersion for the provided list is too old."),
        ("GET", &at("sendInitialEvents=true"), JSON, "", 422, "Invalid", &invalid("sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list")),
        ("GET", &at(&format!("continue={token}&resourceVersion=1")), JSON, "", 400, "BadRequest", "specifying resource version is not allowed when using continue"),
        ("GET", &at("continue=nonsense"), JSON, "", 400, "BadRequest", "invalid continue token: continue key is not valid: *"),
        ("GET", &at("labelSelector==x"), JSON, "", 400, "BadRequest", "unable to parse requirement: found '=', expected: identifier"),
        ("GET", &at("fieldSelector=data.a=1"), JSON, "", 400, "BadRequest", "\"data.a\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""),
        ("GET", &format!("{SERVICES}?fieldSelector=spec.foo=1"), JSON, "", 400, "BadRequest", "field label not supported: spec.foo"),
        ("GET", &at("watch=true&sendInitialEvents=true"), JSON, "", 422, "Invalid", &invalid("resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")),
        ("GET", &at("watch=true&resourceVersionMatch=NotOlderThan"), JSON, "", 422, "Invalid", &invalid("resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided")),
    ]).await;
    // A page that is too old says where one could go on, though not consistently.
    create(&sandbox, MAPS, map("d")).await;
    sandbox.compact();
    let (code, status) = send(&sandbox, "GET", &at(&format!("limit=2&continue={token}")), JSON, "").await;
    assert_eq!((code, &status["reason"]), (410, &json!("Expired")));
    assert!(
        status["message"]
            .as_str()
            .unwrap()
            .starts_with("The provided continue parameter is too old to display a consistent list result.")
    );
    let fresh = status["metadata"]["continue"].as_str().unwrap();
    let (code, rest) = send(&sandbox, "GET", &at(&format!("limit=5&continue={fresh}")), JSON, "").await;
    let names: Vec<&str> = rest["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["metadata"]["name"].as_str().unwrap())
        .collect();
    assert_eq!((code, names), (200, vec!["c", "d"]));
}

#[tokio::test]
async fn forms_of_answers() {
    let sandbox = sandbox();
    create(&sandbox, MAPS, map("a")).await;
    let path = format!("{MAPS}/a");
    let rows = [
        ("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1", "PartialObjectMetadata", 200),
        ("application/json;as=Table;g=meta.k8s.io;v=v1", "Table", 200),
        ("application/yaml", "ConfigMap", 200),
        ("text/html, */*", "ConfigMap", 200),
        ("application/vnd.kubernetes.protobuf", "Status", 406),
        ("application/json;as=Nonsense;g=meta.k8s.io;v=v1", "Status", 406),
    ];
    for (accept, kind, expected) in rows {
        let (code, answer) = with_accept(&sandbox, "GET", &path, JSON, "", accept).await;
        assert_eq!((code, &answer["kind"]), (expected, &json!(kind)), "{accept}: {answer}");
    }
    let table = "application/json;as=Table;g=meta.k8s.io;v=v1";
    for (include, carried) in
        [("None", Value::Null), ("Metadata", json!("PartialObjectMetadata")), ("Object", json!("ConfigMap"))]
    {
        let (_, answer) =
            with_accept(&sandbox, "GET", &format!("{MAPS}?includeObject={include}"), JSON, "", table).await;
        let row = &answer["rows"][0];
        assert_eq!((&row["cells"][0], &row["object"]["kind"]), (&json!("a"), &carried), "{answer}");
    }
    let (code, refused) =
        with_accept(&sandbox, "GET", &format!("{MAPS}?includeObject=bad"), JSON, "", table).await;
    assert_eq!((code, &refused["reason"]), (400, &json!("BadRequest")));
    for (path, text) in [
        ("/readyz", "ok"),
        ("/livez?verbose", "[+]ping ok\nlivez check passed\n"),
        ("/nope", "404 page not found\n"),
    ] {
        assert_eq!(send(&sandbox, "GET", path, JSON, "").await.1, json!(text), "{path}");
    }
    let discovery = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let (_, groups) = with_accept(&sandbox, "GET", "/apis", JSON, "", discovery).await;
    assert_eq!(
        (&groups["kind"], &groups["apiVersion"]),
        (&json!("APIGroupDiscoveryList"), &json!("apidiscovery.k8s.io/v2"))
    );
    let (_, plain) = send(&sandbox, "GET", "/apis", JSON, "").await;
    assert_eq!(plain["kind"], "APIGroupList");
    // Everything that the one lists, the other does.
    let names = |list: &Value, name: fn(&Value) -> &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|one| name(one).as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        names(&groups["items"], |one| &one["metadata"]["name"]),
        names(&plain["groups"], |one| &one["name"])
    );
}

#[tokio::test]
async fn finalizers_and_reviews() {
    let sandbox = sandbox();
    create(&sandbox, MAPS, json!({"metadata": {"name": "held", "finalizers": ["example.com/x"]}})).await;
    let held = format!("{MAPS}/held");
    let (code, marked) = send(&sandbox, "DELETE", &held, JSON, "").await;
    assert_eq!((code, &marked["metadata"]["deletionGracePeriodSeconds"]), (200, &json!(0)));
    check(&sandbox, &[(
        "PATCH", &held, MERGE, r#"{"metadata":{"finalizers":["example.com/x","example.com/y"]}}"#, 422, "Invalid",
        "ConfigMap \"held\" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{\"example.com/y\"}",
    )]).await;
    let (code, _) = send(&sandbox, "PATCH", &held, MERGE, r#"{"metadata":{"finalizers":null}}"#).await;
    assert_eq!((code, send(&sandbox, "GET", &held, JSON, "").await.0), (200, 404));
    let access = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let asked = json!({"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}).to_string();
    let (code, answer) = send(&sandbox, "POST", access, JSON, &asked).await;
    assert_eq!(
        (code, &answer["status"]["allowed"], &answer["spec"]["resourceAttributes"]["verb"]),
        (201, &json!(true), &json!("get"))
    );
    assert_eq!(send(&sandbox, "POST", access, JSON, r#"{"spec":{}}"#).await.0, 422);
    for (path, pointer) in [
        ("/apis/authentication.k8s.io/v1/selfsubjectreviews", "/status/userInfo/username"),
        ("/apis/authentication.k8s.io/v1/tokenreviews", "/status/user/username"),
        ("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", "/status/resourceRules/0/verbs/0"),
    ] {
        let (code, answer) = send(&sandbox, "POST", path, JSON, "{}").await;
        assert!(code == 201 && answer.pointer(pointer).is_some(), "{path}: {answer}");
    }
    // A namespace that is going away takes nothing new.
    create(&sandbox, "/api/v1/namespaces", json!({"metadata": {"name": "going"}})).await;
    create(
        &sandbox,
        "/api/v1/namespaces/going/configmaps",
        json!({"metadata": {"name": "held", "finalizers": ["example.com/x"]}}),
    )
    .await;
    assert_eq!(send(&sandbox, "DELETE", "/api/v1/namespaces/going", JSON, "").await.0, 200);
    let (code, refused) =
        send(&sandbox, "POST", "/api/v1/namespaces/going/configmaps", JSON, r#"{"metadata":{"name":"new"}}"#)
            .await;
    assert_eq!((code, &refused["details"]["causes"][0]["reason"]), (403, &json!("NamespaceTerminating")));
    sandbox.settled().await;
    let (_, namespace) = send(&sandbox, "GET", "/api/v1/namespaces/going", JSON, "").await;
    assert_eq!(namespace["status"]["phase"], "Terminating");
    send(
        &sandbox,
        "PATCH",
        "/api/v1/namespaces/going/configmaps/held",
        MERGE,
        r#"{"metadata":{"finalizers":null}}"#,
    )
    .await;
    sandbox.settled().await;
    assert_eq!(send(&sandbox, "GET", "/api/v1/namespaces/going", JSON, "").await.0, 404);
}
