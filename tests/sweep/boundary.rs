//! Where the operator ends and the network begins: every call is counted and may meet a fault, and
//! what is sent is judged.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use azure_sim::config::Timings;
use azure_sim::{Config, InProcess};
use bytes::Bytes;
use http::{Request, Response};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;
use testkit::fake_kubernetes::FakeKubernetes;
use testkit::kube_client::{AnswerBody, whole};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::circumstances::Circumstances;
use crate::fault::{BRIEF, Fault, OUTAGE, RetryAfter};
use crate::judge;
use crate::stage::LINKS;
use crate::wire::{Bucket, answer, bucket, error, is_write, label, retry_after, unknown_words, written_parent};

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
    /// One write in four and one read in sixteen, each time with a fault of any kind.
    Random,
}

/// One side refuses everything, or cannot be reached.
#[derive(Debug, Clone, Copy)]
struct Outage {
    side: Side,
    until: Instant,
    forbidden: bool,
}

pub struct Calls {
    pub count: usize,
    strike: Strike,
    /// What was struck last, and how often anything was.
    pub struck: Option<String>,
    pub strikes: usize,
    pub log: Vec<String>,
    pub problems: Vec<String>,
    /// Writes to either side, and Events.
    pub writes: usize,
    pub events: usize,
    /// Until when the process may not send what falls into a bucket of ARM's.
    closed: BTreeMap<Bucket, Instant>,
    outage: Option<Outage>,
    /// When somebody tore an object away, by uid.
    pub torn: BTreeMap<String, Instant>,
    /// When somebody else last had a hand in a link or connection, by its id.
    pub touched: BTreeMap<String, Instant>,
    /// Writes that are on their way, by the SignalR or vault that they are about.
    flying: BTreeSet<String>,
    /// Whose marker the last PUT of a link bore.
    pub writers: BTreeMap<String, String>,
    dice: SmallRng,
    /// Requests of this kind that Azure refuses, with status and code, until people relent.
    pub refused: Option<(&'static str, u16, &'static str)>,
}

impl Calls {
    fn new(circumstances: Circumstances) -> Self {
        Self {
            count: 0,
            strike: circumstances.strike,
            struck: None,
            strikes: 0,
            log: Vec::new(),
            problems: Vec::new(),
            writes: 0,
            events: 0,
            closed: BTreeMap::new(),
            outage: None,
            torn: BTreeMap::new(),
            touched: BTreeMap::new(),
            flying: BTreeSet::new(),
            writers: BTreeMap::new(),
            dice: SmallRng::seed_from_u64(circumstances.seed),
            refused: None,
        }
    }

    /// Whether the fault is yet to come.
    pub fn may_strike(&self) -> bool {
        self.strike != Strike::Never
    }

    /// No fault comes any more.
    pub fn disarm(&mut self) {
        self.strike = Strike::Never;
    }

    /// Whether somebody tore the object away within the last seconds: what was read of it before may
    /// be acted on for a moment (R6).
    pub fn just_torn(&self, uid: &str) -> bool {
        self.torn.get(uid).is_some_and(|at| at.elapsed() <= FRESH)
    }

    /// Whether somebody else had a hand in a link or connection within this time: what the operator
    /// read before is that much behind.
    pub fn just_touched(&self, id: &str, within: Duration) -> bool {
        self.touched.get(&id.to_ascii_lowercase()).is_some_and(|at| at.elapsed() <= within)
    }

    /// Whether a fault that lasts has not ended.
    pub fn lasts(&self) -> bool {
        self.outage.is_some_and(|outage| outage.until > Instant::now())
    }
}

/// What authorises a write was read at most this long before (R6).
pub const FRESH: Duration = Duration::from_secs(5);

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
        let config = Config { timings, token_lifetime: 86_400, ..Config::preset() };
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

    /// A new process knows nothing of gates.
    pub fn restarted(&self) {
        self.calls().closed.clear();
    }

    /// Whether faults strike at random now.
    pub fn dice<T>(&self, roll: impl FnOnce(&mut SmallRng) -> T) -> Option<T> {
        let mut calls = self.calls();
        (calls.strike == Strike::Random).then(|| roll(&mut calls.dice))
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
        let label = label(side, request);
        let (write, event) = (is_write(request, &label), label.ends_with(" events"));
        // With one object its name says nothing.
        let what = if self.slow { format!("{label} {}", request.uri().path()) } else { label };
        let mut calls = self.calls();
        let number = calls.count;
        calls.count += 1;
        calls.writes += usize::from(write);
        calls.events += usize::from(event);
        let strike = calls.strike;
        let fault = match strike {
            Strike::Random if calls.dice.random_ratio(1, if write { 4 } else { 16 }) => {
                // A panic in a watch of kube's ends the process, which is a crash.
                let fault = Fault::any(&mut calls.dice);
                Some(fault).filter(|fault| fault.strikes(side) && (side, *fault) != (Side::Kubernetes, Fault::Panic))
            }
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

    /// Whether this side cannot be reached.
    pub fn is_away(&self, side: Side) -> bool {
        self.calls().outage.is_some_and(|outage| outage.side == side && outage.until > Instant::now())
    }

    /// What an outage makes of a call to this side.
    fn outage(&self, side: Side) -> Option<Result<Response<Bytes>, Broken>> {
        let outage = self.calls().outage.filter(|outage| outage.side == side && outage.until > Instant::now())?;
        let code = if side == Side::Azure { "AuthorizationFailed" } else { "Forbidden" };
        Some(if outage.forbidden { Ok(error(side, 403, code)) } else { Err(Broken) })
    }

    /// S13: nothing is sent before the time that ARM asked for has passed, up to ten minutes.
    fn gate(&self, request: &Request<Bytes>) {
        let early = |bucket| self.calls().closed.get(&bucket).is_some_and(|until| *until > Instant::now());
        if let Some(bucket) = bucket(request).filter(|bucket| early(*bucket)) {
            self.problem(format!("S13: {bucket:?} was sent before Retry-After had passed"));
        }
    }

    /// The process has been told to wait.
    fn close(&self, request: &Request<Bytes>, fault: Option<Fault>) {
        let Some(Fault::Throttled(RetryAfter::Seconds(after) | RetryAfter::Date(after))) = fault else { return };
        // A date has whole seconds only.
        let after = Duration::from_secs(after.min(600)) - Duration::from_secs(1);
        if let Some(bucket) = bucket(request) {
            let until = Instant::now() + after;
            self.calls().closed.entry(bucket).and_modify(|old| *old = until.max(*old)).or_insert(until);
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
            let wait = self.calls().dice.random_range(5..800);
            tokio::time::sleep(Duration::from_millis(wait)).await;
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
            Some(fault) => self.clone().meet(fault, side, request.clone()).await,
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
            Some(fault) => self.meet(fault, Side::Kubernetes, request).await.map(|answer| answer.map(whole)),
        }
    }

    async fn meet(
        self: Arc<Self>,
        fault: Fault,
        side: Side,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, Broken> {
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
                self.kubernetes.objects(LINKS).iter().for_each(|object| self.delete(object));
                Ok(self.apply(side, &request))
            }
            Fault::Recreated => {
                self.kubernetes.objects(LINKS).iter().for_each(|object| self.recreate(object));
                Ok(self.apply(side, &request))
            }
            Fault::Away(_) | Fault::Forbidden => {
                let forbidden = fault == Fault::Forbidden;
                let lasts = if self.slow { BRIEF } else { OUTAGE };
                self.calls().outage = Some(Outage { side, until: Instant::now() + lasts, forbidden });
                self.outage(side).unwrap_or(Err(Broken))
            }
        }
    }

    async fn crash<T>(&self) -> T {
        self.crashed.notify_one();
        std::future::pending().await
    }
}

/// What a panic of the test says, so that nobody takes it for a real one.
pub const PANIC: &str = "a fault of the test";
