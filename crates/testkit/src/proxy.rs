//! Between the operator and a real API server: counts the requests of one operator, and lets one of
//! them hang, before its effect or after it, so that the operator can be killed right there.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use kube::client::Body;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Which request hangs.
#[derive(Debug, Clone, Copy)]
pub struct Hang {
    /// Its number, from 0.
    pub request: usize,
    /// Whether it has had its effect by then.
    pub applied: bool,
}

struct Shared {
    client: kube::Client,
    hang: Option<Hang>,
    count: AtomicUsize,
    writes: std::sync::Mutex<Vec<usize>>,
    struck: AtomicBool,
}

/// A running proxy; it ends when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy that reaches the API server with the client's rights.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(client: kube::Client, hang: Option<Hang>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            client,
            hang,
            count: AtomicUsize::new(0),
            writes: std::sync::Mutex::default(),
            struck: AtomicBool::new(false),
        });
        let serving = shared.clone();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = serving.clone();
                let service = service_fn(move |request| forward(shared.clone(), request));
                tokio::spawn(async move {
                    // The operator may be killed at any moment: that is what this is for.
                    let connection = auto::Builder::new(TokioExecutor::new());
                    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(Self { address, shared, server })
    }

    /// A kubeconfig that leads through the proxy.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn kubeconfig(&self, directory: &Path) -> anyhow::Result<PathBuf> {
        let path = directory.join(format!("proxy-{}.kubeconfig", self.address.port()));
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "proxy", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "operator", "user": {}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "operator"}}],
            "current-context": "proxy",
        });
        std::fs::write(&path, kubeconfig.to_string())?;
        Ok(path)
    }

    /// How many requests there were, and the numbers of those that write.
    #[must_use]
    pub fn requests(&self) -> (usize, Vec<usize>) {
        let writes = self.shared.writes.lock().map(|writes| writes.clone()).unwrap_or_default();
        (self.shared.count.load(Ordering::SeqCst), writes)
    }

    /// Whether the request hangs that is to hang; asked again, no more.
    #[must_use]
    pub fn struck(&self) -> bool {
        self.shared.struck.swap(false, Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn forward(shared: Arc<Shared>, request: http::Request<Incoming>) -> Result<http::Response<Body>, Infallible> {
    let number = shared.count.fetch_add(1, Ordering::SeqCst);
    if request.method() != http::Method::GET
        && let Ok(mut writes) = shared.writes.lock()
    {
        writes.push(number);
    }
    let hang = shared.hang.filter(|hang| hang.request == number);
    if hang.is_some_and(|hang| !hang.applied) {
        return hung(&shared).await;
    }
    let answer = answer(&shared, request).await;
    if hang.is_some() {
        return hung(&shared).await;
    }
    Ok(answer.unwrap_or_else(|error| {
        let mut failed = http::Response::new(Body::from(error.to_string().into_bytes()));
        *failed.status_mut() = http::StatusCode::BAD_GATEWAY;
        failed
    }))
}

async fn hung<T>(shared: &Shared) -> T {
    shared.struck.store(true, Ordering::SeqCst);
    std::future::pending().await
}

/// The API server's own answer; a watch streams through.
async fn answer(shared: &Shared, request: http::Request<Incoming>) -> anyhow::Result<http::Response<Body>> {
    let (mut parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    parts.uri = path.parse()?;
    parts.version = http::Version::default();
    for header in [http::header::HOST, http::header::CONTENT_LENGTH, http::header::CONNECTION] {
        parts.headers.remove(header);
    }
    Ok(shared.client.send(http::Request::from_parts(parts, Body::from(body))).await?)
}
