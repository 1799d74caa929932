//! How the cluster is reached: in the pod by its service account, elsewhere as every tool does it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hyper_util::client::proxy::matcher::Matcher;
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tower::timeout::TimeoutLayer;

use crate::config::variable;
use crate::metrics::Metrics;
use crate::telemetry;

/// By then the API server has begun to answer, also a list or a watch: its own limit for a request
/// is a minute (`--request-timeout`).
const RESPONSE_START_TIMEOUT: Duration = Duration::from_secs(60);
/// A connection that is silent for longer is dead: a watch lasts 290 s at most, see
/// `kube::runtime::watcher::Config::timeout`.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// The deadline by which every answer has to begin. kube itself sets none: a list that a dead
/// connection swallowed would leave the watch blind for ever, without a word.
#[must_use]
pub fn deadline() -> TimeoutLayer {
    TimeoutLayer::new(RESPONSE_START_TIMEOUT)
}

/// A client whose calls are not retried (R5: what failed is observed again), whose answers begin by
/// the deadline, and whose connections are given up when they are `silent` for so long.
fn client(
    mut config: Config,
    deadline: &TimeoutLayer,
    silent: Duration,
    metrics: Arc<Metrics>,
) -> anyhow::Result<Client> {
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(10));
    config.read_timeout = Some(silent);
    config.reset_reader_on_write = true;
    let server = config.cluster_url.clone();
    let builder = ClientBuilder::try_from(config).with_context(|| format!("no client for {server} can be made"))?;
    Ok(builder.with_layer(deadline).with_layer(&telemetry::requests(metrics, &server)).build())
}

/// A client that never retries and never waits without a deadline; `metrics` are told of each request.
///
/// # Errors
/// In words that say which file or variable is wrong.
pub async fn connect(metrics: Arc<Metrics>) -> anyhow::Result<Client> {
    let in_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let explicit = variable("KUBECONFIG");
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
            let named = proxy_of_current_cluster(&file);
            let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                .await
                .context("the kubeconfig's current context cannot be used")?;
            config.proxy_url = proxy(&config.cluster_url, named, variable)?;
            config
        }
    };
    client(config, &deadline(), IDLE_TIMEOUT, metrics)
}

/// `proxy-url` of the cluster that the current context names.
fn proxy_of_current_cluster(file: &Kubeconfig) -> Option<String> {
    let current = file.current_context.as_ref()?;
    let context = file.contexts.iter().find(|context| context.name == *current)?.context.as_ref()?;
    let cluster = file.clusters.iter().find(|cluster| cluster.name == context.cluster)?.cluster.as_ref()?;
    cluster.proxy_url.clone().filter(|proxy| !proxy.is_empty())
}

/// The proxy in front of the API server: the one that the kubeconfig names, as kubectl takes it; else
/// HTTPS_PROXY, unless NO_PROXY names the API server's host. (kube-client 5.0 compares NO_PROXY with the
/// proxy's own address.)
fn proxy(
    server: &http::Uri,
    named: Option<String>,
    variable: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<Option<http::Uri>> {
    let either = |upper: &str, lower: &str| {
        let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty()).map(|v| (name.to_owned(), v));
        set(upper).or_else(|| set(lower))
    };
    let (source, proxy) = match named {
        Some(proxy) => ("proxy-url of the kubeconfig".to_owned(), proxy),
        None => {
            let Some((name, proxy)) = either("HTTPS_PROXY", "https_proxy") else { return Ok(None) };
            let no_proxy = either("NO_PROXY", "no_proxy").map(|(_, list)| list).unwrap_or_default();
            let matcher = Matcher::builder().all("http://proxy").no(no_proxy).build();
            if matcher.intercept(server).is_none() {
                return Ok(None);
            }
            (name, proxy)
        }
    };
    let whole = if proxy.contains("://") { proxy.trim().to_owned() } else { format!("http://{}", proxy.trim()) };
    let uri: http::Uri = whole.parse().with_context(|| {
        format!("{source} is not the address of a proxy; expected a form like http://proxy.example:3128")
    })?;
    Ok(Some(uri))
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
        let client =
            client(Config::new(url.parse().unwrap()), &TimeoutLayer::new(begun), silent, Arc::default()).unwrap();
        let namespaces: Api<Namespace> = Api::all(client);
        namespaces.list(&ListParams::default()).await.unwrap_err().to_string()
    }

    #[test]
    fn the_proxy_is_left_out_for_the_hosts_that_no_proxy_names() {
        let to = |server: &str, named: Option<&str>, variables: &[(&str, &str)]| {
            let variable = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
            let proxy = proxy(&server.parse().unwrap(), named.map(str::to_owned), variable);
            proxy.map(|proxy| proxy.map(|uri| uri.to_string())).map_err(|error| format!("{error:#}"))
        };
        let proxy = ("HTTPS_PROXY", "http://proxy.contoso:3128");
        let used = Ok(Some("http://proxy.contoso:3128/".to_owned()));
        let server = "https://api.contoso:6443";
        assert_eq!(to(server, None, &[]), Ok(None));
        assert_eq!(to(server, None, &[("HTTPS_PROXY", "")]), Ok(None));
        assert_eq!(to(server, None, &[proxy]), used);
        assert_eq!(to(server, None, &[("https_proxy", "proxy.contoso:3128")]), used);
        for matching in ["api.contoso", ".contoso", "contoso", "a, api.contoso ,", "*"] {
            assert_eq!(to(server, None, &[proxy, ("NO_PROXY", matching)]), Ok(None), "{matching}");
        }
        for other in ["proxy.contoso", "10.0.0.0/8", "", "papi.contoso"] {
            assert_eq!(to(server, None, &[proxy, ("NO_PROXY", other)]), used, "{other}");
        }
        assert_eq!(to("https://10.1.2.3:6443", None, &[proxy, ("no_proxy", ".svc,10.0.0.0/8")]), Ok(None));
        // As kubectl: what the kubeconfig names holds whatever NO_PROXY says.
        assert_eq!(to(server, Some("http://proxy.contoso:3128"), &[("NO_PROXY", "*")]), used);
        assert!(to(server, None, &[("HTTPS_PROXY", "http://a b")]).unwrap_err().contains("HTTPS_PROXY"));
    }

    #[tokio::test]
    async fn no_answer_is_waited_for_for_ever() {
        ask("", SHORT, LONG).await;
        ask("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{", LONG, SHORT).await;
    }
}
