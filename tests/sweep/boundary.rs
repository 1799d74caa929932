//! Where the operator ends and the network begins: every call is counted and may meet a fault, and
//! what is sent is judged.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use azure_sim::config::Timings;
use azure_sim::{Config, InProcess};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde_json::Value;
use testkit::fake_kubernetes::FakeKubernetes;
use testkit::kube_client::{AnswerBody, whole};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::calls::Calls;
use crate::circumstances::Circumstances;
use crate::classify::{bucket, effect, error, label, written_parent};
use crate::fault::{Fault, RetryAfter};
use crate::judge;
use crate::stage::LINKS;

/// Where requests to Azure go.
pub const ENDPOINT: &str = "https://azure.test";

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

/// Both sides, and the network before them.
pub struct Boundary {
    pub kubernetes: Arc<FakeKubernetes>,
    pub azure: Arc<InProcess>,
    pub crashed: Notify,
    /// A copy from a permitted subscription that was alone in both lists (T3): S1's one exception.
    pub stranger_may_slip: bool,
    started: Instant,
    /// Requests and answers take their time.
    pub slow: bool,
    calls: Mutex<Calls>,
    cache: Mutex<Cache>,
}

/// A write that is on its way.
struct Flight {
    boundary: Arc<Boundary>,
    parent: String,
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.boundary.calls().flying.remove(&self.parent);
    }
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
    pub fn new(timings: Timings, circumstances: Circumstances, stranger_may_slip: bool) -> Arc<Self> {
        azure_sim::clock::set("2026-11-24T00:00:00Z".parse().unwrap());
        // A token outlives every life; that it expires is a scenario of its own.
        let mut config = Config { timings, token_lifetime: 86_400, ..Config::preset() };
        // Of many objects, Azure takes no more calls than ARM does.
        config.quirks.throttle_rate = u32::from(circumstances.slow);
        let azure = Arc::new(InProcess::new(config, ENDPOINT));
        Self::between(Arc::default(), azure, circumstances, stranger_may_slip)
    }

    /// Another cluster, whose operator works on the same Azure.
    pub fn beside(other: &Self, circumstances: Circumstances) -> Arc<Self> {
        let kubernetes = Arc::new(FakeKubernetes::of_cluster(1));
        Self::between(kubernetes, other.azure.clone(), circumstances, other.stranger_may_slip)
    }

    fn between(
        kubernetes: Arc<FakeKubernetes>,
        azure: Arc<InProcess>,
        circumstances: Circumstances,
        stranger_may_slip: bool,
    ) -> Arc<Self> {
        Arc::new(Self {
            kubernetes,
            azure,
            crashed: Notify::new(),
            stranger_may_slip,
            started: Instant::now(),
            calls: Mutex::new(Calls::new(circumstances)),
            slow: circumstances.slow,
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

    /// The request reaches its goal.
    pub fn apply(&self, side: Side, request: &Request<Bytes>) -> Response<Bytes> {
        match side {
            Side::Kubernetes => judge::kubernetes(self, request, || self.kubernetes.handle(request)),
            Side::Azure => match self.calls().refused {
                Some((kind, status, code)) if kind == label(side, request) => error(side, status, code),
                _ => self.ask_azure(request.clone()),
            },
        }
    }

    /// S17: where Azure enforces ARM's limits, the operator stays within them.
    fn ask_azure(&self, request: Request<Bytes>) -> Response<Bytes> {
        let answer = self.azure.azure(request);
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            self.problem("S17: more was sent than ARM takes");
        }
        answer
    }

    fn count(&self, side: Side, request: &Request<Bytes>) -> Option<Fault> {
        let label = label(side, request);
        let effect = effect(request, &label);
        // With one object its name says nothing.
        let what = if self.slow { format!("{label} {}", request.uri().path()) } else { label };
        let (number, fault) = self.calls().next(side, effect);
        match fault {
            None => self.note(format!("call {number}: {what}")),
            Some(fault) => {
                self.note(format!("call {number}: {what} meets {fault}"));
                self.calls().struck = Some(what);
            }
        }
        fault
    }

    /// What an outage makes of a call to this side.
    pub fn outage(&self, side: Side) -> Option<Result<Response<Bytes>, Broken>> {
        let outage = self.calls().outage(side)?;
        let code = if side == Side::Azure { "AuthorizationFailed" } else { "Forbidden" };
        Some(if outage.forbidden { Ok(error(side, 403, code)) } else { Err(Broken) })
    }

    /// S13: nothing is sent before the time that ARM asked for has passed, up to ten minutes.
    fn gate(&self, request: &Request<Bytes>) {
        if let Some(bucket) = bucket(request).filter(|bucket| self.calls().is_closed(*bucket)) {
            self.problem(format!("S13: {bucket:?} was sent before Retry-After had passed"));
        }
    }

    /// The process has been told to wait.
    fn close(&self, request: &Request<Bytes>, fault: Option<Fault>) {
        let after = match fault {
            // What says nothing of the time, or of one that has passed, counts as ten seconds.
            Some(Fault::Throttled(RetryAfter::Absent | RetryAfter::Past | RetryAfter::Seconds(0))) => 10,
            Some(Fault::Throttled(RetryAfter::Seconds(after) | RetryAfter::Date(after))) => after,
            _ => return,
        };
        if let Some(bucket) = bucket(request) {
            // A date has whole seconds only.
            self.calls().close(bucket, Duration::from_secs(after.min(600)) - Duration::from_secs(1));
        }
    }

    /// R8: until the returned token is dropped, nothing else is written to the same SignalR or vault.
    fn take_off(self: &Arc<Self>, request: &Request<Bytes>) -> Option<Flight> {
        let parent = written_parent(request)?;
        if !self.calls().flying.insert(parent.clone()) {
            self.problem(format!("S13: two writes to {parent} at once"));
        }
        Some(Flight { boundary: self.clone(), parent })
    }

    /// On the way to the other side, or back.
    pub async fn travel(&self) {
        if self.slow {
            let wait = self.calls().travel();
            tokio::time::sleep(wait).await;
        }
    }

    /// A request leaves the process; what comes back.
    pub async fn send(self: Arc<Self>, side: Side, request: Request<Bytes>) -> Result<Response<Bytes>, Broken> {
        let fault = self.count(side, &request);
        if let Some(answer) = self.outage(side) {
            return answer;
        }
        let _flight = (side == Side::Azure && fault != Some(Fault::CrashBefore)).then(|| {
            self.gate(&request);
            judge::azure(&self, &request);
            self.take_off(&request)
        });
        self.travel().await;
        let answer = match fault {
            None => Ok(self.apply(side, &request)),
            Some(fault) => self.clone().apply_fault(fault, side, request.clone()).await,
        };
        self.travel().await;
        if side == Side::Azure {
            self.close(&request, fault);
        }
        answer
    }

    /// A request to the API server, which may begin a watch.
    pub async fn to_kubernetes(self: Arc<Self>, request: Request<Bytes>) -> Result<Response<AnswerBody>, Broken> {
        let Some(watch) = self.kubernetes.watch(&request) else {
            return self.send(Side::Kubernetes, request).await.map(|answer| answer.map(whole));
        };
        let fault = self.count(Side::Kubernetes, &request);
        if let Some(answer) = self.outage(Side::Kubernetes) {
            return answer.map(|answer| answer.map(whole));
        }
        self.travel().await;
        match fault {
            Some(Fault::Wiped | Fault::Forged) => {
                self.meddle(fault == Some(Fault::Forged));
                Ok(Response::new(self.tell(watch)))
            }
            None | Some(Fault::Lagging | Fault::UnknownWords) => Ok(Response::new(self.tell(watch))),
            Some(fault) => self.apply_fault(fault, Side::Kubernetes, request).await.map(|answer| answer.map(whole)),
        }
    }
}
