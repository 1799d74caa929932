//! What a kubelet does for the operator's pod, where there is none: its arguments, variables and volumes, as the API
//! server has them, for a process of this machine.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine as _;
use serde_json::Value;

use crate::operator::Settings;
use crate::{Cluster, free_port};

/// A process in place of a Deployment's pods.
pub struct Pod<'a> {
    /// How to start it.
    pub settings: Settings<'a>,
    /// Where it answers `/readyz`.
    pub health: String,
}

impl<'a> Pod<'a> {
    /// The operator's pod of this Deployment.
    ///
    /// # Errors
    /// When there is no such Deployment, or its volumes cannot be filled.
    pub fn new(binary: &'a Path, cluster: &Cluster, namespace: &str, deployment: &str) -> anyhow::Result<Self> {
        let object = cluster.get(namespace, "deployment", deployment)?.context("there is no such Deployment")?;
        let pod = object.pointer("/spec/template/spec").context("a Deployment has a pod")?;
        let account = text(pod, "/serviceAccountName")?;
        let container = pod.pointer("/containers/0").context("a pod has a container")?;
        let mounts = mount(cluster, namespace, &account, pod, container)?;
        let port = || anyhow::Ok(format!("127.0.0.1:{}", free_port()?));
        let (metrics, health) = (port()?, port()?);

        let arguments = list(container, "/args").iter().filter_map(Value::as_str).skip_while(|word| *word == "run");
        // The ports of a pod are its own, those of this machine may be in use.
        let flags = arguments.map(|flag| match flag.strip_prefix("--metrics-address=[::]") {
            Some(_) => format!("--metrics-address={metrics}"),
            None => flag.to_owned(),
        });
        let local = |value: &str| {
            let mounted = mounts.iter().find_map(|(path, directory)| Some((value.strip_prefix(path)?, directory)));
            match mounted {
                Some((below, directory)) => format!("{}{below}", directory.display()),
                None => value.to_owned(),
            }
        };
        let variables = list(container, "/env").iter();
        let mut environment = variables
            .map(|variable| Ok((text(variable, "/name")?, local(&text(variable, "/value")?))))
            .collect::<anyhow::Result<Vec<_>>>()?;
        environment.push(("HEALTH_ADDRESS".into(), health.clone()));
        let settings = Settings {
            binary,
            kubeconfig: cluster.service_account_kubeconfig(namespace, &account)?,
            environment,
            flags: flags.collect(),
            log: cluster.directory().join(format!("{deployment}.log")),
        };
        Ok(Self { settings, health: format!("http://{health}/readyz") })
    }
}

fn list<'v>(value: &'v Value, place: &str) -> &'v [Value] {
    value.pointer(place).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value, place: &str) -> anyhow::Result<String> {
    let text =
        value.pointer(place).and_then(Value::as_str).with_context(|| format!("{place} is no text in {value}"))?;
    Ok(text.to_owned())
}

/// Fills the volumes; where each is mounted in the pod, and the directory that stands for it.
fn mount(
    cluster: &Cluster,
    namespace: &str,
    account: &str,
    pod: &Value,
    container: &Value,
) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let mut mounts = Vec::new();
    for volume in list(pod, "/volumes") {
        let name = text(volume, "/name")?;
        let directory = cluster.directory().join("volumes").join(&name);
        std::fs::create_dir_all(&directory)?;
        for source in list(volume, "/projected/sources") {
            let token = source.pointer("/serviceAccountToken").context("only tokens are projected")?;
            let audience = text(token, "/audience")?;
            let duration = format!("{}s", token.pointer("/expirationSeconds").and_then(Value::as_u64).unwrap_or(3600));
            let create =
                ["create", "token", account, "-n", namespace, "--audience", &audience, "--duration", &duration];
            let made = cluster.kubectl_ok(&create)?;
            std::fs::write(directory.join(text(token, "/path")?), made.trim())?;
        }
        for (kind, key, encoded) in [("configMap", "/name", false), ("secret", "/secretName", true)] {
            let Some(source) = volume.get(kind) else { continue };
            let name = text(source, key)?;
            let holder = cluster.get(namespace, kind, &name)?.with_context(|| format!("there is no {kind} {name}"))?;
            for item in list(source, "/items") {
                let held = text(&holder, &format!("/data/{}", text(item, "/key")?))?;
                let bytes = if encoded { base64::prelude::BASE64_STANDARD.decode(held)? } else { held.into_bytes() };
                std::fs::write(directory.join(text(item, "/path")?), bytes)?;
            }
        }
        let path = list(container, "/volumeMounts").iter().find(|mount| mount.get("name") == volume.get("name"));
        mounts.push((text(path.with_context(|| format!("{name} is not mounted"))?, "/mountPath")?, directory));
    }
    Ok(mounts)
}
