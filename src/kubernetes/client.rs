//! How the cluster is reached: in the pod by its service account, elsewhere as every tool does it.

use std::time::Duration;

use anyhow::Context as _;
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tower::timeout::TimeoutLayer;

/// By then the API server has begun to answer, also a list or a watch: its own limit for a request
/// is a minute (`--request-timeout`).
const BEGUN: Duration = Duration::from_secs(60);
/// A connection that is silent for longer is dead: a watch lasts 290 s at most, see
/// `kube::runtime::watcher::Config::timeout`.
const SILENT: Duration = Duration::from_secs(300);

/// The deadline by which every answer has to begin. kube itself sets none: a list that a dead
/// connection swallowed would leave the watch blind for ever, without a word.
#[must_use]
pub fn deadline() -> TimeoutLayer {
    TimeoutLayer::new(BEGUN)
}

/// A client whose calls are not retried (R5: what failed is observed again), whose answers begin by
/// the deadline, and whose connections are given up when they are `silent` for so long.
fn client(mut config: Config, deadline: &TimeoutLayer, silent: Duration) -> anyhow::Result<Client> {
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(10));
    config.read_timeout = Some(silent);
    config.reset_reader_on_write = true;
    let server = config.cluster_url.clone();
    let builder = ClientBuilder::try_from(config).with_context(|| format!("no client for {server} can be made"))?;
    Ok(builder.with_layer(deadline).build())
}

/// A client none of whose calls is repeated or waits for ever.
///
/// # Errors
/// In words that say which file or variable is wrong.
pub async fn connect() -> anyhow::Result<Client> {
    let in_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let explicit = std::env::var("KUBECONFIG").ok().filter(|paths| !paths.is_empty());
    let config = match (&explicit, in_pod) {
        (None, true) => Config::incluster()
            .context("the pod's service account cannot be read (/var/run/secrets/kubernetes.io/serviceaccount)")?,
        _ => {
            let file = match &explicit {
                Some(paths) => {
                    let first_bad = std::env::split_paths(paths).find(|p| std::fs::File::open(p).is_err());
                    if let Some(path) = first_bad {
                        anyhow::bail!(
                            "KUBECONFIG names {}, which cannot be read; give the path of a kubeconfig file",
                            path.display()
                        );
                    }
                    Kubeconfig::from_env()
                        .with_context(|| format!("KUBECONFIG={paths} is not a kubeconfig"))?
                        .unwrap_or_default()
                }
                None => Kubeconfig::read()
                    .context("no cluster is configured: set KUBECONFIG, or write ~/.kube/config, or run in a pod")?,
            };
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                .await
                .context("the kubeconfig's current context cannot be used")?
        }
    };
    client(config, &deadline(), SILENT)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Namespace;
    use kube::Api;
    use kube::api::ListParams;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    const SHORT: Duration = Duration::from_millis(100);
    const LONG: Duration = Duration::from_secs(3600);

    /// Asks a server that says this, and then nothing.
    async fn ask(says: &'static str, begun: Duration, silent: Duration) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut connection, _) = listener.accept().await.unwrap();
            connection.write_all(says.as_bytes()).await.unwrap();
            tokio::time::sleep(LONG).await;
        });
        let client = client(Config::new(url.parse().unwrap()), &TimeoutLayer::new(begun), silent).unwrap();
        let namespaces: Api<Namespace> = Api::all(client);
        namespaces.list(&ListParams::default()).await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn no_answer_is_waited_for_for_ever() {
        ask("", SHORT, LONG).await;
        ask("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{", LONG, SHORT).await;
    }
}
