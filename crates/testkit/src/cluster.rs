//! A real kube-apiserver with a real etcd, on loopback, for as long as the value lives.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use serde_json::{Value, json};

use crate::{eventually, free_port, process, tools};

/// A running cluster. Dropping it stops both processes and removes their directory; so does the
/// end of this process, however it ends.
pub struct Cluster {
    directory: PathBuf,
    server: String,
    supervisor: Child,
    control: Option<ChildStdin>,
}

struct Pki {
    issuer: Issuer<'static, KeyPair>,
    ca: String,
}

fn name(common_name: &str, organization: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, organization);
    }
    name
}

impl Pki {
    fn new() -> anyhow::Result<Self> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = name("testkit CA", None);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let ca = parameters.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(parameters, key), ca })
    }

    /// Certificate and key in PEM.
    fn issue(&self, subject: DistinguishedName, server: bool) -> anyhow::Result<(String, String)> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = subject;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if server {
            parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            parameters.subject_alt_names =
                vec![SanType::DnsName("localhost".try_into()?), SanType::IpAddress([127, 0, 0, 1].into())];
        } else {
            parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        }
        let key = KeyPair::generate()?;
        let certificate = parameters.signed_by(&key, &self.issuer)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

impl Cluster {
    /// Starts a cluster and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready; the message holds the end of the API server's log.
    pub async fn start() -> anyhow::Result<Self> {
        let binaries = tools::directory()?;
        let directory = tempfile::Builder::new().prefix("testkit-").tempdir()?.keep();
        let pki = Pki::new()?;
        let (certificate, key) = pki.issue(name("kube-apiserver", None), true)?;
        let (admin, admin_key) = pki.issue(name("testkit-admin", Some("system:masters")), false)?;
        let service_accounts = KeyPair::generate()?;
        for (file, text) in [
            ("ca.pem", &pki.ca),
            ("server.pem", &certificate),
            ("server.key", &key),
            ("sa.key", &service_accounts.serialize_pem()),
            ("sa.pub", &service_accounts.public_key_pem()),
            ("supervise.sh", &include_str!("supervise.sh").to_owned()),
        ] {
            std::fs::write(directory.join(file), text)?;
        }
        let port = free_port()?;
        let server = format!("https://127.0.0.1:{port}");
        let mut supervisor = Command::new("sh")
            .arg(directory.join("supervise.sh"))
            .arg(&directory)
            .arg(binaries)
            .args([free_port()?, free_port()?, port].map(|p| p.to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A Ctrl-C in the terminal ends the process that started this; the supervisor cleans up.
            .process_group(0)
            .spawn()
            .context("sh cannot be run")?;
        let control = supervisor.stdin.take();
        let cluster = Self { directory, server, supervisor, control };
        let user = json!({
            "client-certificate-data": base64(&admin),
            "client-key-data": base64(&admin_key),
        });
        cluster.write_kubeconfig("admin", "default", &user)?;
        cluster.wait_until_ready().await?;
        Ok(cluster)
    }

    async fn wait_until_ready(&self) -> anyhow::Result<()> {
        let ready = eventually("the API server", Duration::from_secs(90), || async {
            let log = std::fs::read_to_string(self.directory.join("kube-apiserver.log")).unwrap_or_default();
            anyhow::ensure!(!log.contains("\"command failed\""), "it ended");
            let output = self.kubectl(&["get", "--raw", "/readyz"])?;
            let namespace = self.kubectl(&["get", "namespace", "default", "-o", "name"])?;
            Ok(if output.status.success() && namespace.status.success() {
                Ok(())
            } else {
                Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
            })
        });
        ready.await.with_context(|| {
            let log = std::fs::read_to_string(self.directory.join("kube-apiserver.log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let end = lines.get(lines.len().saturating_sub(15)..).unwrap_or_default().join("\n");
            format!("the API server did not become ready; the end of its log:\n{end}")
        })
    }

    fn write_kubeconfig(&self, who: &str, namespace: &str, user: &Value) -> anyhow::Result<PathBuf> {
        let ca = std::fs::read_to_string(self.directory.join("ca.pem"))?;
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "testkit", "cluster": {"server": self.server, "certificate-authority-data": base64(&ca)}}],
            "users": [{"name": who, "user": user}],
            "contexts": [{"name": "testkit", "context": {"cluster": "testkit", "user": who, "namespace": namespace}}],
            "current-context": "testkit",
        });
        let path = self.kubeconfig_for(who);
        std::fs::write(&path, kubeconfig.to_string())?;
        Ok(path)
    }

    /// The administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.kubeconfig_for("admin")
    }

    /// A directory that goes with the cluster.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A kubeconfig with a token of a service account, as a pod would have it.
    ///
    /// # Errors
    /// When the service account does not exist.
    pub fn service_account_kubeconfig(&self, namespace: &str, account: &str) -> anyhow::Result<PathBuf> {
        let token = self.kubectl_ok(&["create", "token", account, "-n", namespace, "--duration", "2h"])?;
        let who = service_account(namespace, account);
        self.write_kubeconfig(&who, namespace, &json!({"token": token.trim()}))
    }

    /// Where that kubeconfig is.
    #[must_use]
    pub fn kubeconfig_of(&self, namespace: &str, account: &str) -> PathBuf {
        self.kubeconfig_for(&service_account(namespace, account))
    }

    fn kubeconfig_for(&self, who: &str) -> PathBuf {
        self.directory.join(format!("{who}.kubeconfig"))
    }

    /// Runs kubectl as the administrator.
    ///
    /// # Errors
    /// When it cannot be run; that it failed is in the output.
    pub fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        Ok(self.kubectl_command()?.args(arguments).stdin(Stdio::null()).output()?)
    }

    /// A command that runs kubectl as the administrator.
    ///
    /// # Errors
    /// When there is no kubectl.
    pub fn kubectl_command(&self) -> anyhow::Result<Command> {
        let mut command = Command::new(tools::directory()?.join("kubectl"));
        command.env("KUBECONFIG", self.kubeconfig()).env("HOME", &self.directory);
        Ok(command)
    }

    /// Runs kubectl; its standard output.
    ///
    /// # Errors
    /// When it failed, with its words.
    pub fn kubectl_ok(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.kubectl(arguments)?;
        anyhow::ensure!(
            output.status.success(),
            "kubectl {} failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Applies a manifest on the server's side.
    ///
    /// # Errors
    /// What the API server says against it.
    pub fn apply(&self, manifest: &str) -> Result<String, String> {
        self.with_manifest(&["apply", "--server-side", "--force-conflicts", "-f", "-"], manifest)
    }

    /// Makes a kind of another project known, by the name of its file in [`tools::definitions`].
    ///
    /// # Errors
    /// When there is no such file, or the API server does not take it.
    pub fn define(&self, kind: &str) -> anyhow::Result<()> {
        let file = tools::definitions()?.join(format!("{kind}.yaml"));
        let definition = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        self.apply(&definition).map_err(anyhow::Error::msg)?;
        self.until_defined()
    }

    /// Waits until all definitions that were applied are served.
    ///
    /// # Errors
    /// When one of them is not after a minute.
    pub fn until_defined(&self) -> anyhow::Result<()> {
        let wait = || self.kubectl_ok(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]);
        // Right after it was taken a definition has no conditions yet, which kubectl calls an error.
        for _ in 0..50 {
            if wait().is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        wait().map(drop)
    }

    /// Runs kubectl with a manifest on its standard input.
    ///
    /// # Errors
    /// What kubectl or the API server say against it.
    pub fn with_manifest(&self, arguments: &[&str], manifest: &str) -> Result<String, String> {
        let run = || -> anyhow::Result<Output> {
            let mut child = self
                .kubectl_command()?
                .args(arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()?;
            if let Some(mut stdin) = child.stdin.take() {
                stdin.write_all(manifest.as_bytes())?;
            }
            Ok(child.wait_with_output()?)
        };
        let output = run().map_err(|error| format!("{error:#}"))?;
        let words = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(words(&output.stdout)) } else { Err(words(&output.stderr)) }
    }

    /// An object as JSON; `None` when it does not exist.
    ///
    /// # Errors
    /// Anything but that it is not there.
    pub fn get(&self, namespace: &str, kind: &str, name: &str) -> anyhow::Result<Option<Value>> {
        let text = self.kubectl_ok(&["get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found"])?;
        if text.trim().is_empty() { Ok(None) } else { Ok(Some(serde_json::from_str(&text)?)) }
    }

    /// The processor time that the API server and etcd have used so far.
    #[must_use]
    pub fn processor_time(&self) -> Duration {
        let processes = process::children(&self.supervisor.id().to_string());
        processes.iter().filter_map(|process| process::processor_time(process)).sum()
    }

    /// A client with the administrator's rights.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn client(&self) -> anyhow::Result<kube::Client> {
        let kubeconfig = kube::config::Kubeconfig::read_from(self.kubeconfig())?;
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await?;
        Ok(kube::Client::try_from(config)?)
    }

    /// Stops the API server; etcd keeps what it had.
    ///
    /// # Errors
    /// When the supervisor is gone.
    pub fn stop_api_server(&self) -> anyhow::Result<()> {
        self.tell("stop")
    }

    /// Starts the API server again.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start_api_server(&self) -> anyhow::Result<()> {
        self.tell("start")?;
        self.wait_until_ready().await
    }

    fn tell(&self, word: &str) -> anyhow::Result<()> {
        let mut control = self.control.as_ref().context("the supervisor is gone")?;
        writeln!(control, "{word}")?;
        Ok(control.flush()?)
    }
}

fn base64(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The end of its input is what the supervisor waits for.
        self.control = None;
        let _ = self.supervisor.wait();
    }
}

fn service_account(namespace: &str, account: &str) -> String {
    format!("{namespace}-{account}")
}
