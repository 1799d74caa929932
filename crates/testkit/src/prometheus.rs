//! A real Prometheus on loopback, that scrapes one operator every second.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use reqwest::Url;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::operator::WRAPPER;
use crate::{eventually, free_port, tools};

/// What is scraped, and what is made of it.
pub struct Target<'a> {
    /// Where `/metrics` is.
    pub address: &'a str,
    /// The label `job` of all that is scraped there.
    pub job: &'a str,
    /// The label `namespace`.
    pub namespace: &'a str,
    /// A file of rules, as YAML or JSON.
    pub rules: &'a str,
}

/// A running Prometheus; dropping it ends it, and so does the end of this process.
pub struct Prometheus {
    wrapper: Child,
    address: String,
    _directory: TempDir,
}

impl Prometheus {
    /// Starts one, and waits until it answers.
    ///
    /// # Errors
    /// When it does not; the end of its log is told.
    pub async fn start(target: &Target<'_>) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("testkit-prometheus-").tempdir()?;
        let path = |name: &str| directory.path().join(name);
        let address = format!("127.0.0.1:{}", free_port()?);
        let labels = json!({"namespace": target.namespace});
        let config = json!({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [path("rules.yaml")],
            "scrape_configs": [{
                "job_name": target.job, "static_configs": [{"targets": [target.address], "labels": labels}],
            }],
        });
        std::fs::write(path("rules.yaml"), target.rules)?;
        std::fs::write(path("prometheus.yaml"), config.to_string())?;
        let wrapper = Command::new("sh")
            .args(["-c", WRAPPER, "prometheus"])
            .arg(tools::prometheus()?)
            .arg(format!("--config.file={}", path("prometheus.yaml").display()))
            .arg(format!("--storage.tsdb.path={}", path("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .env("LOG", path("log"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .context("sh cannot be run")?;
        let log = path("log");
        let prometheus = Self { wrapper, address, _directory: directory };
        let ready = eventually("Prometheus", Duration::from_secs(30), || async {
            Ok(prometheus.get("/-/ready", &[]).await.map(drop).map_err(|error| format!("{error:#}")))
        });
        ready.await.with_context(|| std::fs::read_to_string(log).unwrap_or_default())?;
        Ok(prometheus)
    }

    async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> anyhow::Result<String> {
        let url = Url::parse_with_params(&format!("http://{}{path}", self.address), parameters)?;
        let answer = reqwest::get(url).await?;
        let status = answer.status();
        let text = answer.text().await?;
        anyhow::ensure!(status.is_success(), "{path} {parameters:?}: {status} {text}");
        Ok(text)
    }

    async fn data(&self, path: &str, parameters: &[(&str, &str)], field: &str) -> anyhow::Result<Vec<Value>> {
        let answer: Value = serde_json::from_str(&self.get(path, parameters).await?)?;
        let data = answer.pointer(&format!("/data/{field}")).and_then(Value::as_array);
        data.cloned().with_context(|| format!("{path} answered {answer}"))
    }

    /// What a query finds now: series with their labels and values.
    ///
    /// # Errors
    /// When the query is wrong.
    pub async fn query(&self, query: &str) -> anyhow::Result<Vec<Value>> {
        self.data("/api/v1/query", &[("query", query)], "result").await
    }

    /// What a query found at each step of a time, all in seconds: series with their labels and values.
    ///
    /// # Errors
    /// When the query is wrong.
    pub async fn query_range(&self, query: &str, from: f64, to: f64, step: f64) -> anyhow::Result<Vec<Value>> {
        let (from, to, step) = (from.to_string(), to.to_string(), step.to_string());
        let parameters = [("query", query), ("start", &from), ("end", &to), ("step", &step)];
        self.data("/api/v1/query_range", &parameters, "result").await
    }

    /// The alerts that are pending or firing.
    ///
    /// # Errors
    /// When Prometheus does not answer.
    pub async fn alerts(&self) -> anyhow::Result<Vec<Value>> {
        self.data("/api/v1/alerts", &[], "alerts").await
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // The end of its input is what the wrapper waits for.
        self.wrapper.stdin = None;
        let _ = self.wrapper.wait();
    }
}
