//! The two ports.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::clock;
use crate::config::Config;
use crate::faults::{Effect, Fault, When};
use crate::reply::{Reply, http_date};
use crate::sim::Sim;
use crate::{arm, control, entra, identity, tls};

/// The largest body that is read.
const MAX_BODY: usize = 1 << 20;

/// A request, read whole.
pub(crate) struct Call {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Call {
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// The path with its query. HTTP/2 requests name scheme and host in their URI, too.
    pub fn path_and_query(&self) -> &str {
        self.uri.path_and_query().map_or("", |whole| whole.as_str())
    }

    /// A parameter of the query.
    pub fn query(&self, name: &str) -> Option<String> {
        let query = self.uri.query().unwrap_or_default();
        url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    pub fn json(&self) -> Result<Value, String> {
        serde_json::from_slice(&self.body).map_err(|error| format!("the body is not JSON: {error}"))
    }
}

/// The connection is closed without an answer.
#[derive(Debug)]
struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a fault closed the connection")
    }
}

impl std::error::Error for Dropped {}

/// A running simulator; dropping it stops it.
pub struct Server {
    sim: Arc<Sim>,
    ca: String,
    control: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Starts to listen.
    ///
    /// # Errors
    /// When an address is taken or a file cannot be written or read.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let (tls, ca) = tls::server()?;
        if let Some(path) = &config.ca_file {
            std::fs::write(path, &ca).with_context(|| format!("--ca-file {} cannot be written", path.display()))?;
        }
        let issuer_key = match &config.federated_issuer_key {
            Some(path) => Some(
                std::fs::read(path)
                    .with_context(|| format!("--federated-issuer-key {} cannot be read", path.display()))?,
            ),
            None => None,
        };
        let listener = TcpListener::bind(config.listen).await.with_context(|| format!("--listen {}", config.listen))?;
        let control =
            TcpListener::bind(config.control).await.with_context(|| format!("--control {}", config.control))?;
        let endpoint = format!("https://localhost:{}", listener.local_addr()?.port());
        let control_address = control.local_addr()?;
        let sim = Arc::new(Sim::new(config, endpoint, issuer_key));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_azure(listener, TlsAcceptor::from(tls), sim.clone()));
        tasks.spawn(serve_control(control, sim.clone()));
        Ok(Self { sim, ca, control: control_address, _tasks: tasks })
    }

    /// `https://localhost:<port>`: ARM and the authority.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.sim.endpoint
    }

    /// `http://127.0.0.1:<port>`: the control endpoint.
    #[must_use]
    pub fn control(&self) -> String {
        format!("http://{}", self.control)
    }

    /// The CA's certificate in PEM.
    #[must_use]
    pub fn ca(&self) -> &str {
        &self.ca
    }

    /// Addresses and identity, for people and scripts.
    #[must_use]
    pub fn description(&self) -> Value {
        let Config { tenant_id, client_id, client_secret, ca_file, .. } = &self.sim.config;
        json!({
            "armEndpoint": self.sim.endpoint, "authorityHost": self.sim.endpoint, "controlEndpoint": self.control(),
            "tenantId": tenant_id, "clientId": client_id, "clientSecret": client_secret, "caFile": ca_file,
        })
    }
}

async fn read(request: Request<Incoming>) -> Result<Call, Dropped> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY).collect().await.map_err(|_| Dropped)?.to_bytes();
    Ok(Call { method: parts.method, uri: parts.uri, headers: parts.headers, body })
}

async fn serve_azure(listener: TcpListener, acceptor: TlsAcceptor, sim: Arc<Sim>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let (acceptor, sim) = (acceptor.clone(), sim.clone());
        connections.spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let service = service_fn(move |request| azure(sim.clone(), request));
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn serve_control(listener: TcpListener, sim: Arc<Sim>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let sim = sim.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let sim = sim.clone();
                async move {
                    let reply = match read(request).await {
                        Ok(call) => identity::handle(&sim, &call).unwrap_or_else(|| control::handle(&sim, &call)),
                        Err(_) => Reply::json(400, json!({"error": "the body cannot be read"})),
                    };
                    Ok::<_, Infallible>(response(reply))
                }
            });
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// One request to ARM or the token endpoint, with the faults that strike it.
async fn azure(sim: Arc<Sim>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Dropped> {
    let call = read(request).await?;
    let (fault, latency) = {
        let mut state = sim.state();
        (state.faults.strike(call.method.as_str(), call.path()), state.world.timings.latency_ms)
    };
    if latency > 0 {
        tokio::time::sleep(Duration::from_millis(latency)).await;
    }
    if let Some(fault) = fault.as_ref().filter(|fault| fault.when == When::Before) {
        if matches!(fault.effect, Effect::Reset | Effect::Hang) {
            log(&sim, &call, "fault", Vec::new(), 0);
        }
        if let Some(reply) = strike(fault).await? {
            log(&sim, &call, "fault", Vec::new(), reply.status);
            return Ok(response(reply));
        }
    }
    let reply = answer(&sim, &call);
    if let Some(fault) = fault.as_ref().filter(|fault| fault.when == When::After) {
        if matches!(fault.effect, Effect::Reset | Effect::Hang) {
            log(&sim, &call, "fault", Vec::new(), 0);
        }
        if let Some(instead) = strike(fault).await? {
            return Ok(response(instead));
        }
    }
    Ok(response(reply))
}

/// What ARM or the token endpoint answers.
pub(crate) fn answer(sim: &Sim, call: &Call) -> Reply {
    let (kind, actions, reply) = match entra::handle(sim, call) {
        Some(reply) => ("token", Vec::new(), reply),
        None => arm::handle(sim, call),
    };
    log(sim, call, kind, actions, reply.status);
    reply
}

pub(crate) fn log(sim: &Sim, call: &Call, kind: &'static str, actions: Vec<String>, status: u16) {
    sim.state().requests.add(call.method.as_str(), call.path(), kind, actions, status);
}

async fn strike(fault: &Fault) -> Result<Option<Reply>, Dropped> {
    match &fault.effect {
        Effect::Reset => Err(Dropped),
        Effect::Hang => {
            std::future::pending::<()>().await;
            Err(Dropped)
        }
        Effect::Delay { milliseconds } => {
            tokio::time::sleep(Duration::from_millis(*milliseconds)).await;
            Ok(None)
        }
        effect => Ok(effect.reply()),
    }
}

fn response(reply: Reply) -> Response<Full<Bytes>> {
    render(reply).map(Full::new)
}

/// The answer as HTTP.
pub(crate) fn render(reply: Reply) -> Response<Bytes> {
    let raw = reply.headers.iter().any(|(name, _)| *name == "x-azure-sim-raw");
    let body = match &reply.body {
        None => Bytes::new(),
        Some(Value::String(text)) if raw => Bytes::from(text.clone()),
        Some(value) => Bytes::from(value.to_string()),
    };
    let mut builder = Response::builder().status(reply.status);
    for (name, value) in reply.headers.iter().filter(|(name, _)| *name != "x-azure-sim-raw") {
        builder = builder.header(*name, value);
    }
    if reply.body.is_some() {
        builder = builder.header("content-type", "application/json; charset=utf-8");
    }
    if !reply.headers.iter().any(|(name, _)| *name == "date") {
        builder = builder.header("date", http_date(clock::now()));
    }
    builder.body(body).unwrap_or_default()
}
