//! Examines all that the operator needs, with the operator's own settings, and tells of each thing whether it is well,
//! and what to do if not. It goes on after a failure; what depends on what failed is skipped. It changes nothing: all
//! that it writes is the question to the API server what it may do.

mod azure;
mod kubernetes;
mod output;
mod resources;
pub mod rights;
mod scope;

use serde::Serialize;
use signalr_private_link_core::message::safe;
use strum::IntoStaticStr;

use crate::azure::http_client;
use crate::config::{DoctorArgs, RunArgs};

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, or could not be looked at; somebody should know.
    Warning,
    /// The operator cannot do its work with it.
    Failed,
    /// Not looked at, for it depends on what failed.
    Skipped,
}

impl Verdict {
    fn word(self) -> &'static str {
        self.into()
    }
}

/// What is examined, in this order. The names are stable: scripts look for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Check {
    /// Cloud, endpoints and roots.
    Settings,
    /// The API server answers, and its version is supported.
    ApiServer,
    /// A definition is installed, and is that of this version.
    Definition,
    /// A right in the cluster.
    KubernetesRight,
    /// Who holds the Lease.
    Lease,
    /// A token can be had, and whose it is.
    Token,
    /// Azure Resource Manager takes it.
    Arm,
    /// This machine's clock.
    Clock,
    /// An object asks for a link.
    Link,
    /// A subscription is registered for a provider.
    ProviderRegistration,
    /// The SignalR's tier has shared private links.
    SignalrTier,
    /// The links of the SignalR can be read.
    SignalrReads,
    /// The rights on the SignalR.
    SignalrRights,
    /// Locks on the SignalR.
    SignalrLock,
    /// The connections of the vault can be read.
    VaultReads,
    /// The rights on the vault.
    VaultRights,
    /// Locks on the vault.
    VaultLock,
    /// Where the link stands.
    LinkState,
}

impl Check {
    fn name(self) -> &'static str {
        self.into()
    }
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What was examined.
    pub check: Check,
    /// Of whom: a resource id, an object, a right. Empty where there is one only.
    pub subject: String,
    /// How it came out.
    pub verdict: Verdict,
    /// What was seen.
    pub message: String,
    /// A command or a sentence that helps, where something is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub way_out: Option<String>,
}

impl Finding {
    fn new(check: Check, subject: &str, verdict: Verdict, message: &str, way_out: Option<&str>) -> Self {
        let (subject, message) = (safe(subject), safe(message));
        Self { check, subject, verdict, message, way_out: way_out.map(safe) }
    }

    fn ok(check: Check, subject: &str, message: &str) -> Self {
        Self::new(check, subject, Verdict::Ok, message, None)
    }

    fn warning(check: Check, subject: &str, message: &str, way_out: &str) -> Self {
        Self::new(check, subject, Verdict::Warning, message, Some(way_out))
    }

    fn failed(check: Check, subject: &str, message: &str, way_out: &str) -> Self {
        Self::new(check, subject, Verdict::Failed, message, Some(way_out))
    }

    fn skipped(check: Check, subject: &str, why: &str) -> Self {
        Self::new(check, subject, Verdict::Skipped, why, None)
    }
}

/// All findings, in the order in which they were made.
#[derive(Debug, Default)]
pub struct Report {
    findings: Vec<Finding>,
}

impl Report {
    fn add(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// These checks cannot be made without another one, which is not ok.
    fn skip(&mut self, checks: &[Check], subject: &str, without: Check) {
        let why = format!("it depends on {}, which is not ok", without.name());
        self.findings.extend(checks.iter().map(|check| Finding::skipped(*check, subject, &why)));
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.findings.iter().filter(|finding| finding.verdict == verdict).count()
    }

    /// 0 where nothing failed, 2 where the settings cannot be used, and 1 for any other failure.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let failed = self.findings.iter().filter(|finding| finding.verdict == Verdict::Failed);
        let failed: Vec<Check> = failed.map(|finding| finding.check).collect();
        if failed.contains(&Check::Settings) { 2 } else { u8::from(!failed.is_empty()) }
    }
}

/// Examines everything.
pub async fn examine(args: &DoctorArgs) -> Report {
    let mut report = Report::default();
    let settings = settings(&args.run, &mut report);
    let cluster = kubernetes::examine(&args.run, &mut report).await;
    let azure = azure::examine(&args.run, settings, &mut report).await;
    resources::examine(args, &cluster, &azure, &mut report).await;
    report
}

/// The settings that belong together: where Azure is, and how it is reached. The cluster needs none of them.
fn settings(args: &RunArgs, report: &mut Report) -> Option<azure::Reach> {
    let reach = args.cloud_settings().and_then(|cloud| match http_client(&cloud) {
        Ok(http) => Ok((cloud, http)),
        Err(error) => Err(format!("{error:#}")),
    });
    match reach {
        Ok(reach) => {
            let (cloud, _) = &reach;
            let message = format!("{:?}: {}, tokens from {}", args.cloud, cloud.arm, cloud.authority);
            report.add(Finding::ok(Check::Settings, "", &message));
            Some(reach)
        }
        Err(why) => {
            let way_out = "correct the flag that is named, or its variable; run --help lists both";
            report.add(Finding::failed(Check::Settings, "", &why, way_out));
            None
        }
    }
}
