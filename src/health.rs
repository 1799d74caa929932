//! The two small servers: metrics, and whether the operator lives and is ready.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use axum::Router;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;

use crate::metrics::{Format, Metrics};

/// Whether the operator is ready: it leads, and its watches have listed everything once; or it could take over.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// From now on it is.
    pub fn ready(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// From now on it is not.
    pub fn not_ready(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    fn status(&self) -> (StatusCode, &'static str) {
        if self.0.load(Ordering::Relaxed) {
            (StatusCode::OK, "ok\n")
        } else {
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "the watches have not listed everything yet, or the lease cannot be read\n",
            )
        }
    }
}

/// Listens at an address; at `[::]` for IPv4 as well, whatever the machine's default is
/// (`net.ipv6.bindv6only`), and for IPv4 alone where there is no IPv6.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let open = |address: SocketAddr| {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(128)?;
        TcpListener::from_std(socket.into())
    };
    match open(address) {
        // Taken or forbidden: the same with IPv4.
        Err(error) if matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::PermissionDenied) => Err(error),
        Err(_) if address.ip() == Ipv6Addr::UNSPECIFIED => {
            open(SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())))
        }
        other => other,
    }
}

async fn serve(address: Option<SocketAddr>, flag: &str, router: Router) -> anyhow::Result<()> {
    let Some(address) = address else {
        return Ok(());
    };
    let listener = listen(address)
        .with_context(|| format!("{flag} {address} cannot be listened at; give another port, or 0 for nowhere"))?;
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%address, %error, "a server of the operator's ended");
        }
    });
    Ok(())
}

/// Serves /metrics, in the format that is asked for.
///
/// # Errors
/// When the address cannot be listened at.
pub async fn serve_metrics(address: Option<SocketAddr>, metrics: Arc<Metrics>) -> anyhow::Result<()> {
    let text = move |headers: HeaderMap| {
        let metrics = metrics.clone();
        async move {
            let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
            let format = Format::accepted(accept.unwrap_or_default());
            let content_type = [(CONTENT_TYPE, format.content_type())];
            match metrics.encode(format) {
                Ok(text) => (StatusCode::OK, content_type, text),
                Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, content_type, String::new()),
            }
        }
    };
    serve(address, "--metrics-address", Router::new().route("/metrics", get(text))).await
}

/// Serves /livez and /readyz.
///
/// # Errors
/// When the address cannot be listened at.
pub async fn serve_health(address: Option<SocketAddr>, readiness: Readiness) -> anyhow::Result<()> {
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(move || async move { readiness.status() }));
    serve(address, "--health-address", router).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_address_of_ipv6_is_one_of_ipv4_too() {
        let listener = listen("[::]:0".parse().unwrap()).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok());
        assert_eq!(listen(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).unwrap_err().kind(), ErrorKind::AddrInUse);
    }
}
