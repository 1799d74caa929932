//! The operator is killed with -9 at its 1st, 2nd, … n-th request, to Azure and to Kubernetes, over a
//! whole life: create, approve, drift, delete. Each request hangs, before its effect or after it, and
//! then the process dies; a new one takes over. End state and mutating calls are those of a life in
//! peace.

use std::time::{Duration, Instant};

use kube::Api;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};
use testkit::proxy::{Hang, Proxy};
use testkit::scene::{LinkOptions, Scene};
use testkit::{Azure, Operator, azure};

use crate::{azure_creating_in, run, scene, settings_for};

/// A creation, short: there are hundreds of lives.
const CREATE_MS: i64 = 300;
/// Lives at the same time.
const AT_ONCE: usize = 8;
/// A life takes seconds; one that takes longer hangs.
const LIFE: Duration = Duration::from_secs(90);

/// The side whose request the operator dies at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Azure,
    Kubernetes,
}

/// Where the operator dies.
#[derive(Debug, Clone, Copy)]
struct Death {
    side: Side,
    request: usize,
    /// Whether the request has had its effect by then.
    applied: bool,
}

impl Death {
    /// Every request of a life after its effect; every one that writes also before.
    fn all(side: Side, requests: usize, writes: &[usize]) -> Vec<Self> {
        let after = (0..requests).map(|request| Self { side, request, applied: true });
        after.chain(writes.iter().map(|&request| Self { side, request, applied: false })).collect()
    }

    fn when(self) -> &'static str {
        if self.applied { "after" } else { "before" }
    }
}

/// What a life left behind.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    /// PUTs of links, PUTs of connections, DELETEs of links that had an effect.
    writes: [usize; 3],
    connections: usize,
    link: bool,
}

struct Life<'a> {
    scene: &'static Scene,
    azure: &'a Azure,
    objects: Api<DynamicObject>,
    proxy: Proxy,
    ns: String,
    death: Option<Death>,
    since: u64,
}

impl<'a> Life<'a> {
    async fn new(scene: &'static Scene, azure: &'a Azure, client: &kube::Client, death: Option<Death>) -> Self {
        // Short: a vault's name has at most 24 characters.
        let name = |d: Death| format!("nth-{:.1}{:.1}-{}", format!("{:?}", d.side), d.when(), d.request).to_lowercase();
        let ns = death.map_or_else(|| "nth-peace".to_owned(), name);
        azure.add(&format!("{ns}-signalr"), &format!("{ns}-kv")).await.unwrap();
        let _ = scene.cluster.kubectl(&["create", "namespace", &ns]).unwrap();
        let kind = GroupVersionKind::gvk("privatelink.signalr-operator.io", "v1alpha1", "SignalRSharedPrivateLink");
        let resource = ApiResource::from_gvk_with_plural(&kind, "signalrsharedprivatelinks");
        let objects = Api::namespaced_with(client.clone(), &ns, &resource);
        let hang = death
            .filter(|d| d.side == Side::Kubernetes)
            .map(|Death { request, applied, .. }| Hang { request, applied });
        let proxy = Proxy::start(client.clone(), hang).await.unwrap();
        Self { scene, azure, objects, proxy, ns, death, since: 0 }
    }

    fn start(&self) -> Operator {
        let mut settings = settings_for(self.scene, self.azure, &self.ns);
        let pace = settings.flags.iter().position(|flag| flag == "--pace").unwrap();
        settings.flags[pace + 1] = "0.01".into();
        settings.kubeconfig = self.proxy.kubeconfig(self.scene.cluster.directory()).unwrap();
        Operator::start(&settings).unwrap()
    }

    async fn writes(&self, method: &str, kind: &str, by: &str) -> usize {
        let of = |w: &&Value| {
            w["method"] == method
                && w["kind"] == kind
                && w["by"] == by
                && w["id"].as_str().unwrap().contains(&format!("/{}-", self.ns))
        };
        self.azure.writes().await.unwrap().iter().filter(of).count()
    }

    /// Whether the fault has struck; only then is the operator killed.
    async fn struck(&mut self) -> bool {
        if self.proxy.struck() {
            return true;
        }
        let log = self.azure.control("GET", &format!("/requests?since={}", self.since), &Value::Null).await.unwrap();
        let log = log.as_array().unwrap();
        self.since = log.last().and_then(|r| r["number"].as_u64()).unwrap_or(self.since);
        let ours = format!("/{}-", self.ns);
        log.iter().any(|r| r["kind"] == "fault" && r["path"].as_str().unwrap_or_default().contains(&ours))
    }

    /// Where the life stands: how often the link was approved, and whether the object is gone.
    async fn approved(&self) -> bool {
        let link = self.azure.link(&format!("{}-signalr", self.ns), "kv-pe").await.unwrap();
        link.is_some_and(|link| link["status"] == "Approved")
    }

    /// A whole life; also whether the operator was killed in it.
    async fn live(&mut self) -> (Left, bool) {
        let (signalr, vault) = (format!("{}-signalr", self.ns), format!("{}-kv", self.ns));
        if let Some(death) = self.death.filter(|d| d.side == Side::Azure) {
            let fault = json!({"path": format!("/{}-", self.ns), "skip": death.request, "count": 1,
                "when": death.when(), "kind": "hang"});
            self.azure.control("POST", "/faults", &fault).await.unwrap();
        }
        self.scene.cluster.apply(&Scene::policy(&self.ns, &self.ns, &signalr, &vault, &json!({})).to_string()).unwrap();
        let spec = json!({"approval": {"mode": "Automatic"}, "syncPeriod": "1m"});
        let options = LinkOptions { spec, ..LinkOptions::default() };
        self.scene.cluster.apply(&Scene::manifest(&self.ns, "kv-pe", &signalr, &vault, &options).to_string()).unwrap();
        let mut operator = self.start();
        let (begun, mut drifted, mut deleted, mut killed) = (Instant::now(), false, false, false);
        loop {
            assert!(begun.elapsed() < LIFE, "{:?} hangs: drifted {drifted}, deleted {deleted}", self.death);
            tokio::time::sleep(Duration::from_millis(200)).await;
            if self.struck().await {
                operator.kill().unwrap();
                operator = self.start();
                killed = true;
            }
            if deleted {
                if self.objects.get_opt("kv-pe").await.unwrap().is_none() {
                    break;
                }
            } else if self.approved().await && self.writes("PUT", "link", "arm").await == 1 && !drifted {
                let id = format!("{}/sharedPrivateLinkResources/kv-pe", azure::signalr(&signalr));
                self.azure.control("POST", "/links/delete", &json!({"id": id})).await.unwrap();
                drifted = true;
            } else if drifted && self.approved().await {
                self.objects.delete("kv-pe", &Default::default()).await.unwrap();
                deleted = true;
            }
        }
        operator.kill().unwrap();
        self.scene.cluster.kubectl_ok(&["delete", "splap", &self.ns]).unwrap();
        let left = Left {
            writes: [
                self.writes("PUT", "link", "arm").await,
                self.writes("PUT", "connection", "arm").await,
                self.writes("DELETE", "link", "arm").await,
            ],
            connections: self.azure.connections(&vault).await.unwrap().len(),
            link: self.azure.link(&signalr, "kv-pe").await.unwrap().is_some(),
        };
        (left, killed)
    }
}

/// One of the two tests at a time: each keeps the machine busy.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Lives with each death end as the one in peace did.
async fn all_end_as(peace: &Left, azure: &Azure, client: &kube::Client, deaths: &[Death]) {
    let scene = scene().await;
    let mut killed = 0;
    for some in deaths.chunks(AT_ONCE) {
        let lives = some
            .iter()
            .map(|death| async { (*death, Life::new(scene, azure, client, Some(*death)).await.live().await) });
        for (death, (left, died)) in futures::future::join_all(lives).await {
            assert_eq!(left, *peace, "killed at {death:?}");
            killed += usize::from(died);
        }
    }
    println!("killed at {killed} of {} points", deaths.len());
    // A life may need a few requests less than the one in peace.
    assert!(killed * 10 >= deaths.len() * 9, "the operator was killed {killed} times only");
}

const PEACE: Left = Left { writes: [2, 2, 1], connections: 0, link: false };

#[test]
fn kill_9_at_every_request_of_a_life_ends_as_a_life_in_peace() {
    run(async {
        let _turn = TURN.lock().await;
        let scene = scene().await;
        let (azure, client) = (azure_creating_in(scene, CREATE_MS).await, scene.cluster.client().await.unwrap());
        let (peace, _) = Life::new(scene, &azure, &client, None).await.live().await;
        assert_eq!(peace, PEACE);
        let log = azure.control("GET", "/requests", &Value::Null).await.unwrap();
        let log: Vec<&Value> =
            log.as_array().unwrap().iter().filter(|r| r["path"].as_str().unwrap().contains("/nth-peace-")).collect();
        let writes: Vec<usize> = (0..log.len()).filter(|at| log[*at]["method"] != "GET").collect();
        all_end_as(&peace, &azure, &client, &Death::all(Side::Azure, log.len(), &writes)).await;
    });
}

#[test]
fn kill_9_at_every_request_to_kubernetes_ends_as_a_life_in_peace() {
    run(async {
        let _turn = TURN.lock().await;
        let scene = scene().await;
        let (azure, client) = (azure_creating_in(scene, CREATE_MS).await, scene.cluster.client().await.unwrap());
        let mut life = Life::new(scene, &azure, &client, None).await;
        let (peace, _) = life.live().await;
        assert_eq!(peace, PEACE);
        let (requests, writes) = life.proxy.requests();
        all_end_as(&peace, &azure, &client, &Death::all(Side::Kubernetes, requests, &writes)).await;
    });
}
