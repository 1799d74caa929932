//! `make install-local`: the chart, installed by Helm into a real API server, with azure-sim as Azure. There is no node
//! to run pods on, so the operator runs as a process of this machine, with what the pod would have: the arguments, the
//! variables, the volumes and the rights of its service account.

use std::io::Write as _;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use azure_sim::Config;
use serde_json::json;
use testkit::operator::binary;
use testkit::pod::Pod;
use testkit::scene::Scene;
use testkit::{Azure, Cluster, Operator, chart, eventually, tools};

/// The release, its namespace, and all that the chart names after it.
const NAME: &str = "signalr-private-link-operator";
const READY_WITHIN: Duration = Duration::from_secs(60);

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Runs a command line that a person could run, and shows it.
fn run(mut command: Command, shown: &str, cluster: &Cluster) -> anyhow::Result<()> {
    say(&format!("\n$ {shown}"));
    let output = command.env("KUBECONFIG", cluster.kubeconfig()).output()?;
    let _ = std::io::stdout().write_all(&output.stdout);
    ensure!(output.status.success(), "it failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// Trusts the tokens of the release's service account, as `az identity federated-credential create` makes Entra do.
fn trusting(cluster: &Cluster) -> Config {
    Config {
        federated_issuer_key: Some(cluster.directory().join("sa.pub")),
        federated_subject: Some(format!("system:serviceaccount:{NAME}:{NAME}")),
        ..Config::preset()
    }
}

async fn install(scene: &Scene, config: &Config) -> anyhow::Result<()> {
    let (cluster, azure) = (&scene.cluster, &scene.azure);
    scene.namespace(NAME)?;
    let ca = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "azure-sim-ca", "namespace": NAME},
        "data": {"ca.crt": std::fs::read_to_string(azure.ca_file())?},
    });
    cluster.apply(&ca.to_string()).map_err(anyhow::Error::msg)?;
    let values = [
        "replicaCount=1".to_owned(),
        "azure.cloud=Custom".to_owned(),
        format!("azure.armEndpoint={}", azure.endpoint()),
        "azure.armAudience=https://management.azure.com".to_owned(),
        format!("azure.authorityHost={}", azure.endpoint()),
        format!("azure.tenantId={}", config.tenant_id),
        format!("azure.clientId={}", config.client_id),
        "azure.caBundle.configMapName=azure-sim-ca".to_owned(),
        "log.format=text".to_owned(),
    ];
    let mut helm = Command::new(tools::helm()?);
    helm.args(["install", NAME]).arg(chart::directory()).args(["--namespace", NAME]);
    // The definitions are there already, by `kubectl apply`.
    helm.arg("--take-ownership");
    helm.args(values.iter().flat_map(|value| ["--set", value]));
    let shown = format!(
        "helm install {NAME} charts/{NAME} --namespace {NAME} --take-ownership \\\n    --set {}",
        values.join(" \\\n    --set ")
    );
    run(helm, &shown, cluster)
}

async fn story() -> anyhow::Result<()> {
    say("Starting etcd, kube-apiserver and azure-sim.");
    let binary = binary()?;
    let cluster = Cluster::start().await?;
    let config = trusting(&cluster);
    let azure = Azure::start(config.clone(), cluster.directory()).await?;
    let scene = Scene::of(cluster, azure, &binary)?;
    scene.azure.add("contoso-signalr", "contoso-kv").await?;
    install(&scene, &config).await?;

    let pod = Pod::new(&binary, &scene.cluster, NAME, NAME)?;
    let operator = Operator::start(&pod.settings)?;
    let ready = eventually("the operator to be ready", READY_WITHIN, || async {
        let answer = reqwest::get(&pod.health).await;
        Ok(match answer {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(answer.status().to_string()),
            Err(error) => Err(error.to_string()),
        })
    });
    ready.await.with_context(|| format!("its log:\n{}", operator.log()))?;
    say(&format!(
        "\nThe operator runs, with what the pod of this release would have: the rights and the token of its service account,\n\
         exchanged for one of the simulator's. Its log is {}.\n\nIn another terminal:\n\n  \
         export KUBECONFIG={}\n  export PATH={}:$PATH\n  \
         kubectl apply -f examples/namespace.yaml -f examples/link.yaml\n  kubectl get spl -n contoso --watch\n\n\
         The owner of the vault approves with\n\n  \
         kubectl describe spl -n contoso        # shows the command for Azure; the simulator takes this:\n  \
         curl -X POST {}/connections/approve -d '{{\"vault\": \"{}\", \"message\": \"please approve\"}}'\n\n\
         Against Azure: leave out azure.cloud, armEndpoint, armAudience, authorityHost and caBundle, give your own tenantId and\n\
         clientId, build and name an image, and let the identity trust the service account as shown above (docs/install.md).",
        pod.settings.log.display(),
        scene.cluster.kubeconfig().display(),
        tools::directory()?.display(),
        scene.azure.control_url(),
        testkit::azure::vault("contoso-kv"),
    ));
    if std::env::var("ONCE").is_ok_and(|once| once == "1") {
        once(&scene).await?;
    } else {
        say("\nIt stays until Ctrl-C.");
        tokio::signal::ctrl_c().await?;
    }
    ensure!(operator.terminate()?.success(), "the operator did not end well");
    Ok(())
}

/// What a newcomer does next, for CI.
async fn once(scene: &Scene) -> anyhow::Result<()> {
    for file in ["namespace.yaml", "link.yaml"] {
        let manifest = std::fs::read_to_string(tools::root().join("examples").join(file))?;
        scene.cluster.apply(&manifest).map_err(anyhow::Error::msg)?;
    }
    scene.until_reason("contoso", "kv-pe", "PendingApproval", READY_WITHIN).await?;
    say(&format!("\n{}", scene.cluster.kubectl_ok(&["get", "spl", "-n", "contoso"])?));
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    match story().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
