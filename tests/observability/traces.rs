//! The real operator, and a collector in this process that takes its traces over OTLP.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message as _;
use serde_json::json;
use testkit::operator::Settings;
use testkit::scene::{LinkOptions, Scene};
use testkit::{Operator, azure, eventually};

const PACE: &str = "0.02";
const LIMIT: Duration = Duration::from_secs(60);
const NAMESPACE: &str = "traced";
const LINK: &str = "well";
const SIGNALR: &str = "traced-signalr";
const VAULT: &str = "traced-kv";
/// What the collector is shown, and nobody else may see.
const HEADER: &str = "collector-secret";

/// What came, as it came, and the header of each request.
#[derive(Default)]
struct Received {
    requests: Vec<ExportTraceServiceRequest>,
    headers: Vec<String>,
}

/// Takes traces at this address, and keeps them.
async fn collector() -> (String, Arc<Mutex<Received>>) {
    let received = Arc::new(Mutex::new(Received::default()));
    let kept = received.clone();
    let take = move |headers: HeaderMap, body: Bytes| async move {
        let header = headers.get("authorization").map(|header| header.to_str().unwrap().to_owned());
        let mut kept = kept.lock().unwrap();
        kept.headers.push(header.unwrap_or_default());
        kept.requests.push(ExportTraceServiceRequest::decode(body).unwrap());
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/traces", post(take));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, received)
}

async fn scene() -> Scene {
    let scene =
        Scene::start(Path::new(env!("CARGO_BIN_EXE_signalr-private-link-operator")), azure::quick()).await.unwrap();
    scene.namespace(NAMESPACE).unwrap();
    scene.azure.add(SIGNALR, VAULT).await.unwrap();
    let policy = Scene::policy(NAMESPACE, NAMESPACE, SIGNALR, VAULT, &json!({}));
    scene.cluster.apply(&policy.to_string()).unwrap();
    scene
}

fn start(scene: &Scene, collector: &str) -> Operator {
    let binary = Path::new(env!("CARGO_BIN_EXE_signalr-private-link-operator"));
    let mut settings = Settings::new(binary, &scene.cluster, &scene.azure, PACE);
    settings.flags.extend(["--otlp-endpoint", collector, "--log-level", "debug"].map(str::to_owned));
    let header = format!("authorization=Bearer {HEADER}");
    for (name, value) in [("OTEL_EXPORTER_OTLP_HEADERS", header.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "200")] {
        settings.environment.push((name.to_owned(), value.to_owned()));
    }
    Operator::start(&settings).unwrap()
}

/// A link comes, is approved, and goes. Returns its uid.
async fn live(scene: &Scene) -> String {
    let options = LinkOptions { spec: json!({"approval": {"mode": "Automatic"}}), ..LinkOptions::default() };
    let manifest = Scene::manifest(NAMESPACE, LINK, SIGNALR, VAULT, &options);
    scene.cluster.apply(&manifest.to_string()).unwrap();
    let link = scene.until_reason(NAMESPACE, LINK, "Approved", LIMIT).await.unwrap();
    scene.cluster.kubectl_ok(&["delete", "spl", LINK, "-n", NAMESPACE, "--wait=false"]).unwrap();
    scene.until_gone(NAMESPACE, LINK, LIMIT).await.unwrap();
    link["metadata"]["uid"].as_str().unwrap().to_owned()
}

fn text(value: &KeyValue) -> String {
    match value.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Any::StringValue(text)) => text.clone(),
        Some(Any::IntValue(number)) => number.to_string(),
        Some(Any::BoolValue(it_is)) => it_is.to_string(),
        other => panic!("{}: {other:?} is not expected", value.key),
    }
}

/// The spans that came, by their ids.
struct Forest(BTreeMap<Vec<u8>, Span>);

impl Forest {
    fn of(received: &Received) -> Self {
        let scopes = received.requests.iter().flat_map(|r| &r.resource_spans).flat_map(|r| &r.scope_spans);
        Self(scopes.flat_map(|s| &s.spans).map(|span| (span.span_id.clone(), span.clone())).collect())
    }

    fn all(&self) -> impl Iterator<Item = &Span> {
        self.0.values()
    }

    fn parent(&self, span: &Span) -> Option<&Span> {
        self.0.get(&span.parent_span_id)
    }

    /// The spans of this name, with the names of those above them, the nearest first.
    fn paths(&self, name: &str) -> Vec<Vec<&str>> {
        let path = |span| {
            let above = std::iter::successors(self.parent(span), |span| self.parent(span));
            above.map(|span| span.name.as_str()).collect()
        };
        self.all().filter(|span| span.name == name).map(path).collect()
    }

    /// A span of this name stands directly below one of that name, which stands below a pass.
    fn has(&self, parent: &str, name: &str) -> bool {
        self.paths(name).iter().any(|path| path.first() == Some(&parent) && path.last() == Some(&"pass"))
    }
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    span.attributes.iter().find(|attribute| attribute.key == key).map(text)
}

const LINKS_OF: &str =
    "/apis/privatelink.signalr-operator.io/v1alpha1/namespaces/{namespace}/signalrsharedprivatelinks";
const SIGNALR_OF: &str = "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/Microsoft.SignalRService/signalR/{resourceName}";
const VAULT_OF: &str = "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/Microsoft.KeyVault/vaults/{vaultName}";

fn check_tree(forest: &Forest) {
    let link = format!("{SIGNALR_OF}/sharedPrivateLinkResources/{{sharedPrivateLinkResourceName}}");
    let connections = format!("{VAULT_OF}/privateEndpointConnections");
    for (parent, name) in [
        ("pass", "plan".to_owned()),
        ("pass", "read object".to_owned()),
        ("read object", format!("GET {LINKS_OF}/{{name}}")),
        ("read links", format!("GET {SIGNALR_OF}/sharedPrivateLinkResources")),
        ("read connections", format!("GET {connections}")),
        ("read permissions", "GET /api/v1/namespaces/{name}".to_owned()),
        ("write add_finalizer", format!("PATCH {LINKS_OF}/{{name}}")),
        ("write put_link", format!("GET {link}")),
        ("write put_link", format!("PUT {link}")),
        ("write approve", format!("PUT {connections}/{{privateEndpointConnectionName}}")),
        ("write delete_link", format!("DELETE {link}")),
        ("write remove_finalizer", format!("PATCH {LINKS_OF}/{{name}}")),
        ("write status", format!("PATCH {LINKS_OF}/{{name}}/status")),
        ("write event", "POST /apis/events.k8s.io/v1/namespaces/{namespace}/events".to_owned()),
    ] {
        let names: Vec<&str> = forest.all().map(|span| span.name.as_str()).collect();
        assert!(forest.has(parent, &name), "{name} is not below {parent}: {:?} of {names:?}", forest.paths(&name));
    }
    // Nothing hangs in the air, and no watch and no election begins a trace.
    for span in forest.all() {
        let begins = span.parent_span_id.is_empty();
        assert!(begins || forest.parent(span).is_some(), "{} has lost its parent", span.name);
        assert!(!begins || ["pass", "read token"].contains(&span.name.as_str()), "{} begins a trace", span.name);
        let inside = forest.parent(span).is_none_or(|parent| parent.trace_id == span.trace_id);
        assert!(inside, "{} is of another trace than its parent", span.name);
    }
}

fn check_attributes(forest: &Forest, uid: &str) {
    let passes: Vec<&Span> = forest.all().filter(|span| span.name == "pass").collect();
    assert!(passes.len() > 5, "{} passes", passes.len());
    for pass in &passes {
        assert_eq!(attribute(pass, "k8s.namespace.name").as_deref(), Some(NAMESPACE));
        assert_eq!(attribute(pass, "link.name").as_deref(), Some(LINK));
        assert!(attribute(pass, "pass.outcome").is_some(), "{pass:?}");
        assert!(attribute(pass, "pass.number").unwrap().parse::<u64>().unwrap() > 0);
    }
    let approved = |pass: &&&Span| attribute(pass, "link.reason").as_deref() == Some("Approved");
    let approved = passes.iter().find(approved).expect("a pass that told Approved");
    assert_eq!(attribute(approved, "link.uid").as_deref(), Some(uid));
    assert!(attribute(approved, "link.generation").is_some());
    let put = format!("PUT {SIGNALR_OF}/sharedPrivateLinkResources/{{sharedPrivateLinkResourceName}}");
    let put = forest.all().find(|span| span.name == put).unwrap();
    assert_eq!(put.kind, SpanKind::Client as i32);
    for (key, expected) in [
        ("http.request.method", "PUT"),
        ("server.address", "localhost"),
        ("azure.operation", "put_link"),
        ("azure.resource_provider.namespace", "Microsoft.SignalRService"),
    ] {
        assert_eq!(attribute(put, key).as_deref(), Some(expected), "{put:?}");
    }
    for key in ["url.template", "server.port", "azure.correlation_id"] {
        assert!(attribute(put, key).is_some(), "{key} is missing: {put:?}");
    }
    let status: u16 = attribute(put, "http.response.status_code").unwrap().parse().unwrap();
    assert!((200..300).contains(&status), "{put:?}");
    for key in ["plan.read", "plan.action", "plan.reason"] {
        assert!(forest.all().any(|span| span.name == "plan" && attribute(span, key).is_some()), "no plan has {key}");
    }
}

/// The log's line about the same write leads to the same call.
fn check_log(forest: &Forest, log: &str) {
    let is_put = |span: &&Span| attribute(span, "azure.operation").as_deref() == Some("put_link");
    let put = forest.all().find(is_put).unwrap();
    let line = log.lines().find(|line| line.contains("action finished") && line.contains("action=\"put_link\""));
    let line = line.expect("a line about the link that was put");
    let correlation = attribute(put, "azure.correlation_id").unwrap();
    let status = attribute(put, "http.response.status_code").unwrap();
    for part in [format!("correlation=\"{correlation}\""), format!("status={status} "), "operation=\"put_link\"".into()]
    {
        assert!(line.contains(&part), "{part} is missing in {line}");
    }
}

/// No token, no secret, no signed URL, and no id of Azure's.
fn check_secrecy(received: &Received) {
    let everything = format!("{:?}", received.requests);
    let secret = azure_sim::Config::preset().client_secret;
    // The header of a JWT; the parts of an operation's URL; any URL at all.
    let bad = [
        secret.as_str(),
        HEADER,
        "Bearer",
        "eyJ",
        "&s=",
        "api-version",
        azure::SUBSCRIPTION,
        azure::MICROSOFT,
        "https://",
    ];
    for bad in bad {
        if let Some((before, _)) = everything.split_once(bad) {
            let near: Vec<char> = before.chars().rev().take(300).collect();
            panic!("{bad} is in a trace, after {}", near.iter().rev().collect::<String>());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_the_life_of_a_link() {
    let (address, received) = collector().await;
    let scene = scene().await;
    let operator = start(&scene, &address);
    let uid = live(&scene).await;
    let log = operator.log();
    assert!(operator.terminate().unwrap().success(), "{log}");
    // What was left has been sent before the process ended.
    let received = received.lock().unwrap();
    let forest = Forest::of(&received);
    check_tree(&forest);
    check_attributes(&forest, &uid);
    check_log(&forest, &log);
    check_secrecy(&received);
    assert!(received.headers.iter().all(|header| header == &format!("Bearer {HEADER}")), "{:?}", received.headers);
    let resource = received.requests[0].resource_spans[0].resource.as_ref().unwrap();
    let named = |key: &str| resource.attributes.iter().find(|a| a.key == key).map(text);
    assert_eq!(named("service.name").as_deref(), Some("signalr-private-link-operator"));
    assert!(named("service.version").is_some());
    // Spans are none of the log's business.
    assert!(!log.contains("read object") && !log.contains(HEADER), "{log}");
}

/// It takes the connection, and never answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_hangs_changes_nothing() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let scene = scene().await;
    let operator = start(&scene, &format!("http://{}", silent.local_addr().unwrap()));
    live(&scene).await;
    eventually("the operator to say so", LIMIT, || async {
        let log = operator.log();
        Ok(if log.contains("traces could not be sent") { Ok(()) } else { Err("it does not".to_owned()) })
    })
    .await
    .unwrap();
    let begun = Instant::now();
    assert!(operator.terminate().unwrap().success());
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}
