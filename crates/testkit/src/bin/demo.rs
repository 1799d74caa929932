//! `make demo`: the whole story in the terminal, each step checked.
//!
//! A real API server, the simulator over TLS, and the operator as a process; kubectl shows what a
//! user would see. A step that is not so ends the demo with a sentence that says which.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use azure_sim::Config;
use serde_json::{Value, json};
use testkit::operator::{Settings, binary};
use testkit::scene::{Scene, condition, message};
use testkit::{Operator, azure, tools};

const NS: &str = "contoso";
const LIMIT: Duration = Duration::from_secs(45);
/// Waits are this much shorter than in real life: a demo has to fit into a minute.
const PACE: &str = "0.05";

/// Where the story is told.
struct Teller {
    begun: Instant,
    step: u32,
}

impl Teller {
    fn line(&self, text: &str) -> anyhow::Result<()> {
        Ok(writeln!(std::io::stdout(), "{text}")?)
    }

    fn step(&mut self, text: &str) -> anyhow::Result<()> {
        self.step += 1;
        self.line(&format!("\n[{:>4.1} s] {}. {text}", self.begun.elapsed().as_secs_f64(), self.step))
    }

    fn say(&self, text: &str) -> anyhow::Result<()> {
        text.lines().try_for_each(|line| self.line(&format!("          {line}")))
    }

    /// Runs kubectl and shows command and output as a user would see them.
    fn kubectl(&self, scene: &Scene, arguments: &[&str]) -> anyhow::Result<String> {
        self.say(&format!("$ kubectl {}", arguments.join(" ")))?;
        let output = scene.cluster.kubectl_ok(arguments)?;
        self.say(output.trim_end())?;
        Ok(output)
    }
}

/// The reason of the Ready condition.
fn reason(object: &Value) -> String {
    let ready = condition(object, "Ready").unwrap_or_default();
    ready.get("reason").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Waits until the link has this reason, and shows each one on the way.
async fn follow(teller: &Teller, scene: &Scene, name: &str, until: &str) -> anyhow::Result<Value> {
    let mut last = String::new();
    let begun = Instant::now();
    loop {
        let object = scene.link(NS, name)?.with_context(|| format!("spl/{name} does not exist"))?;
        let now = reason(&object);
        if !now.is_empty() && now != last {
            teller.say(&format!("{:>5.1} s  spl/{name} is {now}", teller.begun.elapsed().as_secs_f64()))?;
            last.clone_from(&now);
        }
        if now == until {
            return Ok(object);
        }
        ensure!(begun.elapsed() < LIMIT, "spl/{name} should have become {until}; it is {now}: {}", message(&object));
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

async fn manual(teller: &mut Teller, scene: &Scene, examples: &Path) -> anyhow::Result<()> {
    teller.step("A platform team applies one manifest: this SignalR shall reach this key vault.")?;
    apply(teller, scene, &examples.join("link.yaml"))?;
    let pending = follow(teller, scene, "kv-pe", "PendingApproval").await?;
    teller.step("The request waits for the vault's owner. The status tells them exactly what to run:")?;
    let said = message(&pending);
    teller.say(&said)?;
    ensure!(
        said.contains("az network private-endpoint-connection approve --id /subscriptions/"),
        "the message has no command to run"
    );

    teller.step("The owner approves. The operator waits until SignalR itself says so.")?;
    scene.azure.owner_approves("contoso-kv", "please approve").await?;
    let ready = follow(teller, scene, "kv-pe", "Approved").await?;
    ensure!(
        ready.pointer("/status/approval/approvedBy") == Some(&json!("External")),
        "the approval should be External"
    );
    teller.kubectl(scene, &["wait", "--for=condition=Ready", "spl/kv-pe", "-n", NS, "--timeout=10s"])?;
    teller.say("It was the owner who approved, and status says so: approvedBy: External.")
}

async fn automatic(teller: &mut Teller, scene: &Scene, examples: &Path) -> anyhow::Result<()> {
    teller.step("A second link asks for automatic approval. Nobody permitted that yet.")?;
    apply(teller, scene, &examples.join("automatic-link.yaml"))?;
    let denied = follow(teller, scene, "kv-pe-auto", "ApprovalDenied").await?;
    teller.say(&message(&denied))?;

    teller.step("Meanwhile a stranger, who knows the vault's id, sends requests of its own: one with the usual words,\n          and one that is this link's message, copied to the letter.")?;
    let vault = azure::vault("contoso-kv");
    let link = scene.azure.link("contoso-signalr", "kv-pe-auto").await?.unwrap_or_default();
    let copied = link.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut copy = Value::Null;
    for text in ["please approve", &copied] {
        let sent = scene.azure.control("POST", "/strangers", &json!({"vault": vault, "message": text})).await?;
        copy = sent.pointer("/ids/0").cloned().unwrap_or_default();
        teller.say(&format!("a stranger's request says: {text:?}"))?;
    }

    teller
        .step("An administrator permits it, for exactly this namespace, SignalR, vault and endpoint subscription.\n          The operator refuses all the same, and explains why:")?;
    apply(teller, scene, &examples.join("approval-policy.yaml"))?;
    let refused = follow(teller, scene, "kv-pe-auto", "ApprovalAmbiguous").await?;
    let said = message(&refused);
    teller.say(&said)?;
    ensure!(said.contains("carry this link's marker"), "the refusal is not explained");
    show_vault(teller, scene, &["Pending", "Pending"]).await?;

    teller.step("The vault's owner rejects the later one, the copy. Now only one request carries the message.")?;
    scene.azure.control("POST", "/connections/reject", &json!({"id": copy})).await?;
    let now = "privatelink.signalr-operator.io/reconcile-requested-at=now";
    teller.kubectl(scene, &["annotate", "spl", "kv-pe-auto", "-n", NS, now])?;
    let ready = follow(teller, scene, "kv-pe-auto", "Approved").await?;
    ensure!(
        ready.pointer("/status/approval/approvedBy") == Some(&json!("Operator")),
        "the approval should be the Operator's"
    );
    teller.kubectl(scene, &["get", "splap"])?;

    teller.step("What the vault shows now; the simulator knows who really opened each connection:")?;
    show_vault(teller, scene, &["Pending", "Rejected"]).await?;
    teller.say("The operator wrote to none of the stranger's requests: a request counts only if it carries, to the letter,\nthe random mark that the operator put into this very link a moment before, and is the only one that does.")
}

/// The vault's connections with who really opened them; the stranger's have to be in these states.
async fn show_vault(teller: &Teller, scene: &Scene, strangers: &[&str]) -> anyhow::Result<()> {
    let connections = scene.azure.connections("contoso-kv").await?;
    let mut seen = Vec::new();
    for connection in &connections {
        let text = |field: &str| connection.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let stranger = connection.get("openedBy") == Some(&json!("stranger"));
        let who = if stranger { "a stranger" } else { "SignalR" };
        teller.say(&format!("{:<9} opened by {who:<11} {}", text("status"), text("description")))?;
        if stranger {
            seen.push(text("status"));
        }
    }
    seen.sort();
    ensure!(seen == strangers, "the stranger's requests should be {strangers:?}, they are {seen:?}");
    Ok(())
}

fn apply(teller: &Teller, scene: &Scene, file: &Path) -> anyhow::Result<()> {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let manifest = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    teller.say(&format!("$ kubectl apply -f examples/{name}"))?;
    let applied = scene.cluster.apply(&manifest).map_err(anyhow::Error::msg)?;
    teller.say(&applied)
}

async fn look_and_delete(teller: &mut Teller, scene: &Scene) -> anyhow::Result<()> {
    teller.step("What a user sees:")?;
    let table = teller.kubectl(scene, &["get", "spl", "-A"])?;
    ensure!(table.lines().filter(|line| line.contains(" True ")).count() == 2, "two links should be Ready");
    let described = teller.kubectl(scene, &["describe", "spl", "kv-pe-auto", "-n", NS])?;
    ensure!(described.contains("ConnectionApproved"), "the approval left no Event");

    teller.step("Deleting an object removes its link from Azure; the other one is not touched.")?;
    teller.kubectl(scene, &["delete", "spl", "kv-pe", "-n", NS, "--timeout=40s"])?;
    ensure!(scene.azure.link("contoso-signalr", "kv-pe").await?.is_none(), "the link is still in Azure");
    ensure!(scene.azure.link("contoso-signalr", "kv-pe-auto").await?.is_some(), "the other link is gone");
    teller.say("The link kv-pe is gone from Azure, and its connection from the vault.")
}

async fn story(teller: &mut Teller) -> anyhow::Result<()> {
    let examples = tools::root().join("examples");
    let operator_binary = binary()?;
    teller.step("Starting etcd, kube-apiserver and azure-sim, and installing the definitions.")?;
    let scene = Scene::start(&operator_binary, Config::preset()).await?;
    scene.azure.add("contoso-signalr", "contoso-kv").await?;
    let namespace = std::fs::read_to_string(examples.join("namespace.yaml"))?;
    scene.cluster.apply(&namespace).map_err(anyhow::Error::msg)?;

    teller.step("Starting the operator, as any cluster would: flags, KUBECONFIG, AZURE_* variables.")?;
    let settings = Settings::new(&operator_binary, &scene.cluster, &scene.azure, PACE);
    let operator = Operator::start(&settings)?;
    teller.say(&format!("$ signalr-private-link-operator run {}", settings.flags.join(" ")))?;

    let told = tell(teller, &scene, &examples).await;
    if told.is_err() {
        let log = operator.log();
        let lines: Vec<&str> = log.lines().collect();
        let end = lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n");
        teller.line(&format!("\nThe end of the operator's log:\n{end}"))?;
    }
    told?;
    let counts = scene.azure.counts().await?;
    summary(teller, &counts)?;
    if std::env::var("KEEP").is_ok_and(|keep| keep == "1") {
        keep(teller, &scene).await?;
    }
    let ended = operator.terminate()?;
    ensure!(ended.success(), "the operator ended with {ended}");
    Ok(())
}

async fn tell(teller: &mut Teller, scene: &Scene, examples: &Path) -> anyhow::Result<()> {
    manual(teller, scene, examples).await?;
    automatic(teller, scene, examples).await?;
    look_and_delete(teller, scene).await
}

fn summary(teller: &Teller, counts: &Value) -> anyhow::Result<()> {
    let total = counts.get("total").and_then(Value::as_u64).unwrap_or_default();
    teller.line(&format!(
        "\nWhat you saw: a manifest became a working link, approved by its owner; a second one was approved by the\n\
         operator, because a policy permits it, and not while a stranger's copy of its request was there; deletion cleaned up.\n\
         All of it took {:.0} s and {total} requests to Azure, over TLS, with tokens.\n\n\
         Go on with README.md, docs/reasons.md (what each reason means and what to do) and docs/architecture.md;\n\
         `make demo KEEP=1` leaves it running for your own kubectl and az.",
        teller.begun.elapsed().as_secs_f64()
    ))
}

/// Leaves everything running until Ctrl-C.
async fn keep(teller: &Teller, scene: &Scene) -> anyhow::Result<()> {
    let kubectl = tools::directory()?;
    teller.line(&format!(
        "\nIt stays until Ctrl-C. In another terminal:\n\n  export KUBECONFIG={}\n  export PATH={}:$PATH\n  kubectl get spl -A\n\n\
         The simulator: ARM at {}, its CA in {}, its control endpoint at {} (docs/azure-sim.md).",
        scene.cluster.kubeconfig().display(),
        kubectl.display(),
        scene.azure.endpoint(),
        scene.azure.ca_file().display(),
        scene.azure.control_url(),
    ))?;
    Ok(tokio::signal::ctrl_c().await?)
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let mut teller = Teller { begun: Instant::now(), step: 0 };
    match story(&mut teller).await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "\nThe demo failed: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
