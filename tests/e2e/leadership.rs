//! Several replicas: one works, and another one takes over, whatever becomes of the first or of the Lease. Azure's own record
//! tells whether two ever acted.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use testkit::scene::{LinkOptions, Scene};
use testkit::{Operator, azure, eventually};

use crate::{LIMIT, run, scene};

/// How long a Lease is valid that nobody renews, and some seconds for whoever waits for it to see that.
const TAKEOVER: Duration = Duration::from_secs(15 + 5);

/// A SignalR and a vault of its own, and replicas that share a Lease.
struct Place {
    scene: &'static Scene,
    ns: &'static str,
}

impl Place {
    async fn new(ns: &'static str) -> Self {
        Self::within(scene().await, ns).await
    }

    async fn within(scene: &'static Scene, ns: &'static str) -> Self {
        scene.namespace(ns).unwrap();
        let place = Self { scene, ns };
        scene.azure.add(&place.named("signalr"), &place.named("kv")).await.unwrap();
        place
    }

    /// Two replicas, of which the first leads and has worked.
    async fn with_leader(ns: &'static str) -> (Self, Operator, Operator) {
        Self::new(ns).await.lead().await
    }

    async fn lead(self) -> (Self, Operator, Operator) {
        let place = self;
        let first = place.replica(1);
        place.until_held_by(1).await;
        let second = place.replica(2);
        place.works("before").await;
        (place, first, second)
    }

    fn named(&self, what: &str) -> String {
        format!("{}-{what}", self.ns)
    }

    fn replica(&self, number: u8) -> Operator {
        let mut settings = crate::settings(self.scene, self.ns);
        // The chart's role names the one Lease of its release.
        settings.kubeconfig = self.scene.cluster.kubeconfig();
        settings.flags.extend(["--leader-elect".into(), format!("--lease-name={}", self.ns)]);
        settings.environment.push(("HOSTNAME".into(), format!("{}-{number}", self.ns)));
        settings.log = self.scene.cluster.directory().join(format!("operator-{}-{number}.log", self.ns));
        Operator::start(&settings).unwrap()
    }

    /// Who holds the Lease.
    fn holder(&self) -> anyhow::Result<String> {
        let holder = ["get", "lease", self.ns, "--ignore-not-found", "-o", "jsonpath={.spec.holderIdentity}"];
        self.scene.cluster.kubectl_ok(&holder)
    }

    /// Waits until this replica holds it; how long that took.
    async fn until_held_by(&self, number: u8) -> Duration {
        let begun = Instant::now();
        let wanted = format!("{}-{number}_", self.ns);
        eventually("the Lease to be held", TAKEOVER + LIMIT, || async {
            let holder = self.holder()?;
            Ok(if holder.starts_with(&wanted) { Ok(()) } else { Err(holder) })
        })
        .await
        .unwrap();
        begun.elapsed()
    }

    /// Waits until a replica has lost the Lease and ends.
    async fn until_it_ends(&self, replica: &Operator) {
        eventually("the old leader to end", TAKEOVER, || async {
            let log = replica.log();
            Ok(if log.contains("the lease was lost") { Ok(()) } else { Err(log) })
        })
        .await
        .unwrap();
    }

    /// A new link is worked on, by one replica only.
    async fn works(&self, name: &str) {
        let options = LinkOptions::default();
        let manifest = Scene::manifest(self.ns, name, &self.named("signalr"), &self.named("kv"), &options);
        self.scene.cluster.apply(&manifest.to_string()).unwrap();
        self.scene.until_reason(self.ns, name, "PendingApproval", TAKEOVER + LIMIT).await.unwrap();
        let id = format!("{}/sharedprivatelinkresources/{name}", azure::signalr(&self.named("signalr")).to_lowercase());
        let writes = self.scene.azure.writes().await.unwrap();
        let puts = writes.iter().filter(|write| write["id"] == *id && write["method"] == "PUT");
        assert_eq!(puts.count(), 1, "{name}: {writes:?}");
    }
}

#[test]
fn another_replica_takes_over_from_one_that_was_killed() {
    run(async {
        let (place, first, _second) = Place::with_leader("leader-killed").await;
        first.kill().unwrap();
        let took = place.until_held_by(2).await;
        assert!(took < TAKEOVER, "{took:?}");
        place.works("after").await;
    });
}

#[test]
fn another_replica_takes_over_at_once_from_one_that_was_asked_to_end() {
    run(async {
        let (place, first, _second) = Place::with_leader("leader-ended").await;
        assert!(first.terminate().unwrap().success());
        // The Lease was given back: nobody waits until it is over.
        let took = place.until_held_by(2).await;
        assert!(took < Duration::from_secs(10), "{took:?}");
        place.works("after").await;
    });
}

#[test]
fn a_lease_that_is_deleted_is_made_again_by_whoever_leads_then() {
    run(async {
        let (place, _first, _second) = Place::with_leader("leader-deleted").await;
        place.scene.cluster.kubectl_ok(&["delete", "lease", place.ns]).unwrap();
        eventually("the Lease to be held again", TAKEOVER, || async {
            let holder = place.holder()?;
            Ok(if holder.is_empty() { Err(holder) } else { Ok(()) })
        })
        .await
        .unwrap();
        place.works("after").await;
    });
}

#[test]
fn a_leader_whose_lease_is_taken_away_ends() {
    run(async {
        let place = Place::new("leader-robbed").await;
        let first = place.replica(1);
        place.until_held_by(1).await;
        place.works("before").await;
        let patch = json!({"spec": {"holderIdentity": "a-thief"}}).to_string();
        place.scene.cluster.kubectl_ok(&["patch", "lease", place.ns, "--type=merge", "-p", &patch]).unwrap();
        // Kubernetes starts it again.
        place.until_it_ends(&first).await;
        let _again = place.replica(2);
        let took = place.until_held_by(2).await;
        assert!(took > Duration::from_secs(5), "the thief's time is waited for: {took:?}");
        place.works("after").await;
    });
}

/// A machine that stands still for longer than the Lease, and then goes on.
#[test]
fn a_leader_that_stood_still_does_not_go_on() {
    run(async {
        let (place, first, _second) = Place::with_leader("leader-stopped").await;
        first.pause().unwrap();
        place.until_held_by(2).await;
        place.works("meanwhile").await;
        first.resume().unwrap();
        place.until_it_ends(&first).await;
        place.works("after").await;
        assert!(place.holder().unwrap().starts_with("leader-stopped-2_"));
    });
}

#[test]
fn a_replica_that_cannot_read_the_lease_is_not_ready() {
    run(async {
        let place = Place::new("leader-barred").await;
        let cluster = &place.scene.cluster;
        cluster.kubectl_ok(&["create", "serviceaccount", "barred", "-n", place.ns]).unwrap();
        let account = format!("{}:barred", place.ns);
        let links = ["create", "clusterrolebinding", "barred", "--clusterrole=barred", "--serviceaccount", &account];
        let role = ["create", "clusterrole", "barred", "--verb=list", "--resource=spl,splap"];
        cluster.kubectl_ok(&role).unwrap();
        cluster.kubectl_ok(&links).unwrap();
        let port = testkit::free_port().unwrap();
        let mut settings = crate::settings(place.scene, place.ns);
        settings.kubeconfig = cluster.service_account_kubeconfig(place.ns, "barred").unwrap();
        settings.flags.extend(["--leader-elect".into(), format!("--lease-name={}", place.ns)]);
        let health = settings.flags.iter().position(|flag| flag == "--health-address").unwrap();
        settings.flags[health + 1] = format!("127.0.0.1:{port}");
        let operator = Operator::start(&settings).unwrap();
        let readyz =
            async || anyhow::Ok(reqwest::get(format!("http://127.0.0.1:{port}/readyz")).await?.status().as_u16());
        eventually("the log to say so", LIMIT, || async {
            let log = operator.log();
            Ok(if log.contains("the lease cannot be read") { Ok(()) } else { Err(log) })
        })
        .await
        .unwrap();
        assert_eq!(readyz().await.unwrap(), 503);
        let role = ["create", "role", "lease", "-n", place.ns, "--verb=get,create,update", "--resource=leases"];
        let binding = ["create", "rolebinding", "lease", "-n", place.ns, "--role=lease", "--serviceaccount", &account];
        // Somebody else holds it: this one waits, and could take over.
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": place.ns, "namespace": place.ns},
            "spec": {"holderIdentity": "another", "leaseDurationSeconds": 3600, "renewTime": "2026-01-01T00:00:00.000000Z"},
        });
        cluster.apply(&lease.to_string()).unwrap();
        cluster.kubectl_ok(&role).unwrap();
        cluster.kubectl_ok(&binding).unwrap();
        eventually("the replica to be ready", LIMIT, || async {
            let status = readyz().await?;
            Ok(if status == 200 { Ok(()) } else { Err(status.to_string()) })
        })
        .await
        .unwrap();
    });
}

/// What somebody else writes into the Lease, by a clock that is an hour off.
fn held_by_another(name: &str, renewed: Timestamp) -> Value {
    json!({"spec": {
        "holderIdentity": name, "leaseDurationSeconds": 15, "renewTime": format!("{renewed:.6}"),
    }})
}

/// How long a Lease has been held is measured by one's own clock.
#[test]
fn a_holder_whose_clock_is_an_hour_off_is_neither_waited_for_nor_robbed() {
    run(async {
        let place = Place::new("leader-clock").await;
        let hour = SignedDuration::from_hours(1);
        let mut lease = held_by_another("dead", Timestamp::now() + hour);
        lease["apiVersion"] = "coordination.k8s.io/v1".into();
        lease["kind"] = "Lease".into();
        lease["metadata"] = json!({"name": place.ns, "namespace": "default"});
        place.scene.cluster.apply(&lease.to_string()).unwrap();
        let first = place.replica(1);
        let took = place.until_held_by(1).await;
        assert!((Duration::from_secs(10)..TAKEOVER).contains(&took), "{took:?}");
        assert!(first.terminate().unwrap().success());

        let renew = || {
            let patch = held_by_another("alive", Timestamp::now() - hour).to_string();
            place.scene.cluster.kubectl_ok(&["patch", "lease", place.ns, "--type=merge", "-p", &patch]).unwrap();
        };
        renew();
        let _second = place.replica(2);
        for _ in 0..12 {
            tokio::time::sleep(Duration::from_secs(2)).await;
            assert_eq!(place.holder().unwrap(), "alive");
            renew();
        }
        place.until_held_by(2).await;
        place.works("after").await;
    });
}

#[test]
fn an_api_server_that_is_away_for_two_leases_ends_the_leader_and_another_one_takes_over() {
    run(async {
        let scene: &'static Scene = Box::leak(Box::new(crate::start().await));
        let (place, first, _second) = Place::within(scene, "leader-alone").await.lead().await;
        scene.cluster.stop_api_server().unwrap();
        // It stops before the Lease is over: nobody else could have taken it until then.
        place.until_it_ends(&first).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        scene.cluster.start_api_server().await.unwrap();
        place.until_held_by(2).await;
        place.works("after").await;
    });
}
