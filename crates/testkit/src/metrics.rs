//! The operator's metrics, read as a Prometheus server reads them.

/// A scrape.
#[derive(Debug, Clone, Default)]
pub struct Scrape(String);

impl Scrape {
    /// Reads `/metrics`.
    ///
    /// # Errors
    /// When it is not served.
    pub async fn read(address: &str) -> anyhow::Result<Self> {
        let text = reqwest::get(format!("http://{address}/metrics")).await?.error_for_status()?.text().await?;
        Ok(Self(text))
    }

    /// The sum of a counter over all its series that hold `labels`.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &str) -> u64 {
        let series = self.0.lines().filter(|line| line.starts_with(name) && line.contains(labels));
        series.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    /// Writes to Kubernetes, Events aside: statuses and finalizers.
    #[must_use]
    pub fn kubernetes_writes(&self) -> u64 {
        self.sum("signalr_private_link_status_writes_total", "")
            + self.sum("signalr_private_link_actions_total", "add_finalizer")
            + self.sum("signalr_private_link_actions_total", "remove_finalizer")
    }

    /// Requests to the API server, whoever makes them.
    #[must_use]
    pub fn kubernetes_requests(&self) -> u64 {
        self.sum("signalr_private_link_kubernetes_requests_total", "")
    }

    /// Calls to ARM.
    #[must_use]
    pub fn arm_calls(&self) -> u64 {
        self.sum("signalr_private_link_arm_requests_total", "")
    }
}
