//! The operator's process: everything it remembers, made anew after every crash.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::{Error, ErrorKind};
use bytes::Bytes;
use futures::FutureExt as _;
use http::{Request, Response};
use kube::Client;
use kube::runtime::watcher::Event;
use signalr_private_link_core::Limits;
use signalr_private_link_operator::azure::{ArmClient, ArmSetup, Lost, TokenSource, Transport, WriteKind};
use signalr_private_link_operator::controller::{self, Setup};
use signalr_private_link_operator::health::Readiness;
use signalr_private_link_operator::kubernetes::{Events, Objects, deadline};
use signalr_private_link_operator::metrics::Metrics;
use signalr_private_link_operator::reconcile::{self, Context, Index, Lanes, Memories, ObjectKey, Sequel};
use testkit::azure::SUBSCRIPTION;
use testkit::kube_client::connection;
use tokio::sync::mpsc;
use tower::Layer as _;

use crate::boundary::{Boundary, ENDPOINT, Side};
use crate::circumstances::Circumstances;

/// The network between the ARM client and Azure.
struct Wire(Arc<Boundary>);

#[async_trait::async_trait]
impl Transport for Wire {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Lost> {
        let sent = self.0.clone().send(Side::Azure, request).await;
        sent.map_err(|broken| Lost { sent: true, why: broken.to_string() })
    }
}

/// A credential that asks the token endpoint as azure_identity does, over the same network. (That
/// one's own transport has its tests in `e2e`, over TLS.)
struct Credential(Arc<Boundary>);

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential")
    }
}

#[async_trait::async_trait]
impl TokenCredential for Credential {
    async fn get_token(&self, _: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
        let failed = |why: String| Error::with_message(ErrorKind::Credential, why);
        let config = azure_sim::Config::preset();
        let form = format!(
            "grant_type=client_credentials&client_id={}&client_secret={}&scope=https%3A%2F%2Fmanagement.azure.com%2F.default",
            config.client_id, config.client_secret
        );
        let request = Request::post(format!("{ENDPOINT}/{}/oauth2/v2.0/token", config.tenant_id))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Bytes::from(form));
        let request = request.map_err(|error| failed(error.to_string()))?;
        let answer = self.0.clone().send(Side::Azure, request).await.map_err(|broken| failed(broken.to_string()))?;
        let body: serde_json::Value =
            serde_json::from_slice(answer.body()).map_err(|error| failed(error.to_string()))?;
        let token = body["access_token"].as_str().ok_or_else(|| failed(format!("{}: {body}", answer.status())))?;
        let expires = SystemTime::now() + Duration::from_secs(86_400);
        Ok(AccessToken::new(token.to_owned(), expires.into()))
    }
}

fn an_hour_ahead() -> jiff::Timestamp {
    azure_sim::clock::now() + jiff::SignedDuration::from_hours(1)
}

/// One process.
pub struct Process {
    pub context: Arc<Context>,
    pub woken: mpsc::UnboundedReceiver<ObjectKey>,
    pub metrics: Arc<Metrics>,
    boundary: Arc<Boundary>,
    circumstances: Circumstances,
}

/// What connects a process with both sides.
pub struct Wires {
    pub client: Client,
    pub arm: ArmClient,
    pub metrics: Arc<Metrics>,
}

impl Wires {
    pub fn new(boundary: &Arc<Boundary>) -> Self {
        let network = boundary.clone();
        let connection = connection(move |request| {
            let network = network.clone();
            async move { Ok(network.to_kubernetes(request).await?) }
        });
        let client = Client::new(deadline().layer(connection), "default");
        let metrics = Arc::new(Metrics::default());
        let credentials = boundary.clone();
        let make =
            move || -> anyhow::Result<Arc<dyn TokenCredential>> { Ok(Arc::new(Credential(credentials.clone()))) };
        let scope = "https://management.azure.com/.default".to_owned();
        let tokens = TokenSource::new(Box::new(make), "Simulated".into(), scope, Arc::default(), metrics.clone());
        let endpoint = ENDPOINT.parse().unwrap();
        let arm = ArmClient::new(ArmSetup::new(Wire(boundary.clone()), endpoint, tokens, metrics.clone()));
        boundary.calls().restarted();
        Self { client, arm, metrics }
    }
}

impl Process {
    pub fn start(boundary: &Arc<Boundary>, circumstances: Circumstances) -> Self {
        let Wires { client, arm, metrics } = Wires::new(boundary);
        let (wake, woken) = mpsc::unbounded_channel();
        let context = Context {
            objects: Objects::new(client.clone()),
            events: Events::new(client, "sweep"),
            arm,
            reads: Default::default(),
            namespaces: Default::default(),
            policies: Default::default(),
            limits: Limits::REAL,
            clock: if circumstances.clock_ahead { an_hour_ahead } else { azure_sim::clock::now },
            jitter: || 0.5,
            lanes: Lanes::new(wake, 1.0, &metrics),
            memories: Memories::default(),
            index: Index::new(1),
            sees_all: true,
            outage: Default::default(),
            metrics: metrics.clone(),
        };
        Self { context: Arc::new(context), woken, metrics, boundary: boundary.clone(), circumstances }
    }

    /// A pass over an object, with what the watch has shown by then.
    pub async fn pass(&self, key: &ObjectKey) -> Option<Duration> {
        let mut list = vec![Event::Init];
        self.boundary.watched(self.circumstances.stale_cache, |object| {
            list.extend(serde_json::from_value(object.clone()).ok().map(Event::InitApply));
        });
        list.push(Event::InitDone);
        for event in list {
            self.context.index.apply(0, event);
        }
        let mut written = None;
        loop {
            match reconcile::pass(&self.context, key, written).await {
                Sequel::Step(next) => written = Some(next),
                Sequel::Look(wait) => return wait,
            }
        }
    }
}

/// In so many other namespaces a read and a creation wait all the time: a read waits longer than what it shows may be acted on.
const FLOODING: usize = 120;

/// For so long nothing is left of the budget, and every call that may wait does.
async fn flood(arm: ArmClient, flooded: Duration) -> Infallible {
    let namespace = async |number: usize| {
        let arm = arm.on_behalf_of(&format!("flood-{number}"));
        let reads = async {
            loop {
                arm.admit_read(SUBSCRIPTION).await
            }
        };
        let creations = async {
            loop {
                arm.admit_write(SUBSCRIPTION, WriteKind::Create).await
            }
        };
        futures::future::join(reads, creations).await
    };
    let all = futures::future::join_all((0..FLOODING).map(namespace));
    if !flooded.is_zero() {
        let _: Result<Vec<(Infallible, Infallible)>, _> = tokio::time::timeout(flooded, all).await;
    }
    std::future::pending().await
}

/// The whole controller, one process after the other, each until it crashes. Each begins with a flood of other namespaces
/// that lasts for so long.
pub async fn processes(boundary: &Arc<Boundary>, flooded: Duration) {
    loop {
        let Wires { client, arm, metrics } = Wires::new(boundary);
        let flood = flood(arm.clone(), flooded);
        let setup = Setup {
            client,
            arm,
            metrics,
            readiness: Readiness::default(),
            namespaces: Vec::new(),
            pace: 1.0,
            clock: azure_sim::clock::now,
            jitter: || 0.5,
        };
        boundary.note("a process starts");
        tokio::select! {
            () = boundary.crashed.notified() => {
                boundary.note("the process is gone");
                // Two of its requests may have met their fault at once.
                let _ = boundary.crashed.notified().now_or_never();
            }
            () = controller::run(setup, std::future::pending()) => boundary.problem("the controller ended by itself"),
            never = flood => match never {},
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}
