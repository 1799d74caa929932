//! Real parts for tests, the demo and the benchmark: an API server with etcd, the simulator, and
//! the operator as a process. Nothing started here outlives the process that started it.

pub mod azure;
pub mod chart;
pub mod cluster;
pub mod fake_kubernetes;
pub mod kube_client;
pub mod kubernetes_suite;
pub mod metrics;
pub mod operator;
pub mod pod;
pub mod process;
pub mod prometheus;
pub mod proxy;
pub mod scene;
pub mod tools;

pub use azure::Azure;
pub use cluster::Cluster;
pub use operator::Operator;
pub use prometheus::Prometheus;
pub use scene::Scene;

use std::time::{Duration, Instant};

/// A port of the loopback interface that is free at the moment.
///
/// # Errors
/// When there is none.
pub fn free_port() -> std::io::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Asks again and again until `probe` has an answer.
///
/// # Errors
/// When there is none within `limit`; the message says what was waited for and what was seen last.
pub async fn eventually<T, F>(what: &str, limit: Duration, mut probe: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<Result<T, String>>>,
{
    let begun = Instant::now();
    loop {
        let seen = match probe().await? {
            Ok(answer) => return Ok(answer),
            Err(seen) => seen,
        };
        anyhow::ensure!(begun.elapsed() < limit, "{what}: not within {limit:?}; last seen: {seen}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
