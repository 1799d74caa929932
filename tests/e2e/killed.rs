//! The operator is killed with -9 at its 1st, 2nd, … n-th request to Azure over a whole life:
//! create, approve, drift, delete. Each request hangs, before its effect or after it, and then the
//! process dies; a new one takes over. End state and mutating calls are those of a life in peace.

use std::time::{Duration, Instant};

use kube::Api;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};
use testkit::scene::{LinkOptions, Scene};
use testkit::{Azure, Operator, azure};

use crate::policy::policy;
use crate::{config, run, scene, settings_for};

/// Lives at the same time.
const AT_ONCE: usize = 8;
/// A life takes seconds; one that takes longer hangs.
const LIFE: Duration = Duration::from_secs(90);

/// Where the operator dies.
#[derive(Debug, Clone, Copy)]
struct Death {
    request: usize,
    when: &'static str,
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
    ns: String,
    death: Option<Death>,
    since: u64,
}

impl<'a> Life<'a> {
    async fn new(scene: &'static Scene, azure: &'a Azure, client: &kube::Client, death: Option<Death>) -> Self {
        let ns = death.map_or_else(|| "nth-peace".to_owned(), |d| format!("nth-{}-{}", d.when, d.request));
        azure.add(&format!("{ns}-signalr"), &format!("{ns}-kv")).await.unwrap();
        scene.namespace(&ns).unwrap();
        let kind = GroupVersionKind::gvk("privatelink.signalr-operator.io", "v1alpha1", "SignalRSharedPrivateLink");
        let resource = ApiResource::from_gvk_with_plural(&kind, "signalrsharedprivatelinks");
        let objects = Api::namespaced_with(client.clone(), &ns, &resource);
        Self { scene, azure, objects, ns, death, since: 0 }
    }

    fn start(&self) -> Operator {
        let mut settings = settings_for(self.scene, self.azure, &self.ns);
        let pace = settings.flags.iter().position(|flag| flag == "--pace").unwrap();
        settings.flags[pace + 1] = "0.01".into();
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
    async fn live(mut self) -> (Left, bool) {
        let (signalr, vault) = (format!("{}-signalr", self.ns), format!("{}-kv", self.ns));
        if let Some(death) = self.death {
            let fault = json!({"path": format!("/{}-", self.ns), "skip": death.request, "count": 1,
                "when": death.when, "kind": "hang"});
            self.azure.control("POST", "/faults", &fault).await.unwrap();
        }
        self.scene.cluster.apply(&policy(&self.ns, &self.ns, &signalr, &vault, &json!({})).to_string()).unwrap();
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

#[test]
fn kill_9_at_every_request_of_a_life_ends_as_a_life_in_peace() {
    run(async {
        let scene = scene().await;
        let mut timings = config();
        timings.timings.create_ms = 300;
        let azure = Azure::start(timings, scene.cluster.directory()).await.unwrap();
        let client = scene.cluster.client().await.unwrap();
        let (peace, _) = Life::new(scene, &azure, &client, None).await.live().await;
        assert_eq!(peace, Left { writes: [2, 2, 1], connections: 0, link: false });
        let log = azure.control("GET", "/requests", &Value::Null).await.unwrap();
        let log: Vec<&Value> =
            log.as_array().unwrap().iter().filter(|r| r["path"].as_str().unwrap().contains("/nth-peace-")).collect();
        // Every request after its effect; every one that writes also before.
        let after = (0..log.len()).map(|request| Death { request, when: "after" });
        let writes = (0..log.len()).filter(|at| log[*at]["method"] != "GET");
        let before = writes.map(|request| Death { request, when: "before" });
        let deaths: Vec<Death> = after.chain(before).collect();
        let mut killed = 0;
        for some in deaths.chunks(AT_ONCE) {
            let lives = some
                .iter()
                .map(|death| async { (*death, Life::new(scene, &azure, &client, Some(*death)).await.live().await) });
            for (death, (left, died)) in futures::future::join_all(lives).await {
                assert_eq!(left, peace, "killed at {death:?}");
                killed += usize::from(died);
            }
        }
        println!("killed at {killed} of {} points of a life of {} requests", deaths.len(), log.len());
        // A life may need a few requests less than the one in peace.
        assert!(killed * 10 >= deaths.len() * 9, "the operator was killed {killed} times only");
    });
}
