//! Where the operator ends and the network begins: every call is counted, one of them meets a
//! fault, and what is sent is judged.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use azure_sim::{Config, InProcess};
use bytes::Bytes;
use http::{Method, Request, Response};
use serde_json::{Value, json};
use testkit::fake_kubernetes::FakeKubernetes;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::fault::{Fault, OUTAGE, RetryAfter};
use crate::judge;
use crate::stage::{self, LINKS};
use crate::wire::{Bucket, answer, bucket, error, is_write, label, retry_after, unknown_words};

/// Where requests to Azure go.
pub const ENDPOINT: &str = "https://azure.test";
/// How late a late effect comes: within ARM's own limit of 60 s (assumption A1).
const LATE: Duration = Duration::from_secs(55);

/// The other side of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Kubernetes,
    Azure,
}

/// The connection broke: the request may have reached its goal.
#[derive(Debug)]
pub struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connection reset by peer")
    }
}

impl std::error::Error for Broken {}

/// Which calls meet a fault.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Strike {
    #[default]
    Never,
    /// The call of this number, and as many after it as are left.
    At { call: usize, times: usize, fault: Fault },
}

/// One side refuses everything, or cannot be reached.
#[derive(Debug, Clone, Copy)]
struct Outage {
    side: Side,
    until: Instant,
    forbidden: bool,
}

#[derive(Default)]
pub struct Calls {
    pub count: usize,
    strike: Strike,
    /// What was struck last, and how often anything was.
    pub struck: Option<String>,
    pub strikes: usize,
    pub log: Vec<String>,
    pub problems: Vec<String>,
    /// Writes to either side.
    pub writes: usize,
    /// Until when the process may not send what falls into a bucket of ARM's.
    closed: BTreeMap<Bucket, Instant>,
    outage: Option<Outage>,
    /// When somebody tore the objects away: what was read before may be acted on for a moment (R6).
    torn: Option<Instant>,
    /// Requests of this kind that Azure refuses, with status and code, until people relent.
    pub refused: Option<(&'static str, u16, &'static str)>,
}

impl Calls {
    /// Whether the fault is yet to come.
    pub fn may_strike(&self) -> bool {
        matches!(self.strike, Strike::At { .. })
    }

    /// No fault comes any more.
    pub fn disarm(&mut self) {
        self.strike = Strike::Never;
    }

    /// Whether somebody tore the objects away within the last seconds.
    pub fn just_torn(&self) -> bool {
        self.torn.is_some_and(|at| at.elapsed() <= FRESH)
    }

    /// Whether a fault that lasts has not ended.
    pub fn lasts(&self) -> bool {
        self.outage.is_some_and(|outage| outage.until > Instant::now())
    }
}

/// What authorises a write was read at most this long before (R6).
const FRESH: Duration = Duration::from_secs(5);

/// Both sides, and the network before them.
pub struct Boundary {
    pub kubernetes: FakeKubernetes,
    pub azure: InProcess,
    pub crashed: Notify,
    /// A copy from a permitted subscription that was alone in both lists (T3): S1's one exception.
    pub stranger_may_slip: bool,
    started: Instant,
    calls: Mutex<Calls>,
    cache: Mutex<Cache>,
}

/// What a stale store shows, and what it will show next.
#[derive(Default)]
struct Cache {
    refreshed: Option<Instant>,
    shown: Vec<Value>,
    next: Vec<Value>,
}

/// How far a stale store is behind.
const STALE: Duration = Duration::from_secs(60);

impl Boundary {
    pub fn new(config: Config, strike: Strike, stranger_may_slip: bool) -> Arc<Self> {
        azure_sim::clock::set("2026-11-24T00:00:00Z".parse().unwrap());
        Arc::new(Self {
            kubernetes: FakeKubernetes::default(),
            azure: InProcess::new(config, ENDPOINT),
            crashed: Notify::new(),
            stranger_may_slip,
            started: Instant::now(),
            calls: Mutex::new(Calls { strike, ..Calls::default() }),
            cache: Mutex::default(),
        })
    }

    pub fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap()
    }

    pub fn note(&self, line: impl fmt::Display) {
        let line = format!("{:>7.1} s  {line}", self.started.elapsed().as_secs_f64());
        self.calls().log.push(line);
    }

    pub fn problem(&self, problem: impl Into<String>) {
        let problem = problem.into();
        self.note(format!("PROBLEM {problem}"));
        self.calls().problems.push(problem);
    }

    /// The links as the watch's store has them; a stale one is a minute behind.
    pub fn watched(&self, stale: bool, visit: impl FnMut(&Value)) {
        if !stale {
            return self.kubernetes.visit(LINKS, visit);
        }
        let (mut cache, now) = (self.cache.lock().unwrap(), Instant::now());
        if cache.refreshed.is_none_or(|at| now - at >= STALE) {
            let next = std::mem::replace(&mut cache.next, self.kubernetes.objects(LINKS));
            (cache.shown, cache.refreshed) = (next, Some(now));
        }
        cache.shown.iter().for_each(visit);
    }

    /// A new process knows nothing of gates.
    pub fn restarted(&self) {
        self.calls().closed.clear();
    }

    /// The request reaches its goal.
    fn apply(&self, side: Side, request: &Request<Bytes>) -> Response<Bytes> {
        match side {
            Side::Kubernetes => judge::kubernetes(self, request, || self.kubernetes.handle(request)),
            Side::Azure => match self.calls().refused {
                Some((kind, status, code)) if kind == label(side, request) => error(side, status, code),
                _ => self.azure.azure(request.clone()),
            },
        }
    }

    fn count(&self, side: Side, request: &Request<Bytes>) -> Option<Fault> {
        let what = label(side, request);
        let mut calls = self.calls();
        let number = calls.count;
        calls.count += 1;
        calls.writes += usize::from(is_write(request, &what));
        let fault = match calls.strike {
            Strike::At { call, times, fault } if call <= number => {
                let again = Strike::At { call: number + 1, times: times - 1, fault };
                calls.strike = if times > 1 { again } else { Strike::Never };
                Some(fault).filter(|fault| fault.strikes(side))
            }
            _ => None,
        };
        if let Some(fault) = fault {
            calls.struck = Some(what.clone());
            calls.strikes += 1;
            drop(calls);
            self.note(format!("call {number}: {what} meets {fault}"));
        } else {
            drop(calls);
            self.note(format!("call {number}: {what}"));
        }
        fault
    }

    /// What an outage makes of a call to this side.
    fn outage(&self, side: Side) -> Option<Result<Response<Bytes>, Broken>> {
        let outage = self.calls().outage.filter(|outage| outage.side == side && outage.until > Instant::now())?;
        let code = if side == Side::Azure { "AuthorizationFailed" } else { "Forbidden" };
        Some(if outage.forbidden { Ok(error(side, 403, code)) } else { Err(Broken) })
    }

    /// S13: nothing is sent before the time that ARM asked for has passed, up to ten minutes.
    fn gate(&self, request: &Request<Bytes>, fault: Option<Fault>) {
        if request.uri().path().contains("/oauth2/") {
            return;
        }
        let bucket = bucket(request);
        let early = self.calls().closed.get(&bucket).is_some_and(|until| *until > Instant::now());
        if early {
            self.problem(format!("S13: {bucket:?} was sent before Retry-After had passed"));
        }
        if let Some(Fault::Throttled(RetryAfter::Seconds(after) | RetryAfter::Date(after))) = fault {
            // A date has whole seconds only.
            let after = Duration::from_secs(after.min(600)) - Duration::from_secs(1);
            self.calls().closed.insert(bucket, Instant::now() + after);
        }
    }

    /// A request leaves the process; what comes back.
    pub async fn send(self: Arc<Self>, side: Side, request: Request<Bytes>) -> Result<Response<Bytes>, Broken> {
        let fault = self.count(side, &request);
        if let Some(answer) = self.outage(side) {
            return answer;
        }
        if side == Side::Azure {
            self.gate(&request, fault);
            if fault != Some(Fault::CrashBefore) {
                judge::azure(&self, &request);
            }
        }
        let Some(fault) = fault else {
            return Ok(self.apply(side, &request));
        };
        match fault {
            Fault::CrashBefore => self.crash().await,
            Fault::CrashAfter => {
                self.apply(side, &request);
                self.crash().await
            }
            Fault::Reset { applied } => {
                if applied {
                    self.apply(side, &request);
                }
                Err(Broken)
            }
            Fault::Hang { applied } => {
                if applied {
                    self.apply(side, &request);
                }
                std::future::pending().await
            }
            Fault::Late => {
                let this = self.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(LATE).await;
                    let status = this.apply(side, &request).status();
                    this.note(format!(
                        "the late {} {} has its effect: {status}",
                        request.method(),
                        request.uri().path()
                    ));
                });
                std::future::pending().await
            }
            Fault::Status { status, code, applied } => {
                if applied {
                    self.apply(side, &request);
                }
                Ok(error(side, status, code))
            }
            Fault::Throttled(after) => {
                let mut refusal = error(side, 429, "TooManyRequests");
                if let Some(after) = retry_after(after) {
                    refusal.headers_mut().insert("retry-after", after.parse().unwrap());
                }
                Ok(refusal)
            }
            Fault::Garbage { body, .. } => {
                self.apply(side, &request);
                Ok(answer(200).body(Bytes::from_static(body.as_bytes())).unwrap())
            }
            Fault::Panic => panic!("{PANIC}"),
            Fault::UnknownWords => Ok(self.apply(side, &request).map(unknown_words)),
            Fault::Lagging => {
                let past = self.past(&request);
                Ok(past.unwrap_or_else(|| self.apply(side, &request)))
            }
            Fault::Wiped | Fault::Forged => {
                self.meddle(fault == Fault::Forged);
                Ok(self.apply(side, &request))
            }
            Fault::Deleted => {
                self.delete();
                Ok(self.apply(side, &request))
            }
            Fault::Recreated => {
                self.recreate();
                Ok(self.apply(side, &request))
            }
            Fault::Away(_) | Fault::Forbidden => {
                let forbidden = fault == Fault::Forbidden;
                self.calls().outage = Some(Outage { side, until: Instant::now() + OUTAGE, forbidden });
                self.outage(side).unwrap_or(Err(Broken))
            }
        }
    }

    /// The object as it was before its last change; nothing if it had none.
    fn past(&self, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        let name = request.uri().path().rsplit_once("/signalrsharedprivatelinks/")?.1.to_owned();
        if request.method() != Method::GET {
            return None;
        }
        let past = self.kubernetes.previous(LINKS, stage::NAMESPACE, &name);
        Some(match past {
            Some(object) => answer(200).body(Bytes::from(object.to_string())).unwrap(),
            None => error(Side::Kubernetes, 404, "NotFound"),
        })
    }

    /// Somebody writes the status of all links.
    fn meddle(&self, forge: bool) {
        for object in self.kubernetes.objects(LINKS) {
            let (meta, now) = (&object["metadata"], "2026-11-24T00:00:00Z");
            let condition = json!({
                "type": "Ready", "status": "True", "reason": "Approved", "message": "trust me",
                "lastTransitionTime": now, "observedGeneration": meta["generation"],
            });
            let forged = json!({
                "observedGeneration": meta["generation"], "conditions": [condition],
                "approval": {"requestedAt": now, "approvedAt": now, "approvedBy": "Operator", "policy": "p@1"},
            });
            let status = if forge { forged } else { json!(null) };
            let name = meta["name"].as_str().unwrap_or_default();
            self.people("PATCH", &format!("{}/status", stage::object_path(name)), &json!({"status": status}));
        }
    }

    /// Somebody deletes all links.
    fn delete(&self) {
        for object in self.kubernetes.objects(LINKS) {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            self.people("DELETE", &stage::object_path(name), &json!({}));
        }
        self.calls().torn = Some(Instant::now());
        self.note("the object is deleted");
    }

    /// Somebody tears all links away, finalizers and all, and makes them anew.
    fn recreate(&self) {
        for object in self.kubernetes.objects(LINKS) {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            let path = stage::object_path(name);
            self.people("PATCH", &path, &json!({"metadata": {"finalizers": null}}));
            self.people("DELETE", &path, &json!({}));
            let again = json!({"metadata": {"name": name}, "spec": object["spec"]});
            self.people("POST", &stage::objects_path(), &again);
        }
        self.calls().torn = Some(Instant::now());
        self.note("the object is torn away and made anew");
    }

    /// A request of somebody else's reaches the API server.
    pub fn people(&self, method: &str, path: &str, body: &Value) -> Response<Bytes> {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("content-type", "application/merge-patch+json");
        self.kubernetes.handle(&request.body(Bytes::from(body.to_string())).unwrap())
    }

    async fn crash<T>(&self) -> T {
        self.crashed.notify_one();
        std::future::pending().await
    }
}

/// What a panic of the test says, so that nobody takes it for a real one.
pub const PANIC: &str = "a fault of the test";
