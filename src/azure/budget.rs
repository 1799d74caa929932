//! What may be sent to ARM: less than ARM itself would take, so that nobody is ever refused, and shared fairly, so that
//! a flood of objects in one namespace slows that namespace only.
//!
//! ARM counts reads, writes and deletes apart, for each subscription and principal, in buckets of 250, 200 and 200
//! that fill with 25, 10 and 10 a second ([throttling]); sizes vary, and what an answer says is left goes before.
//!
//! [throttling]: https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::SetOnce;
use tokio::time::Instant;

use super::gate::Bucket;
use crate::locked::Locked;

/// Which part of ARM's own limits is used.
const SHARE: f64 = 0.8;
/// Which part of a bucket is kept for what must not wait.
const RESERVE: f64 = 0.1;

/// On whose behalf a call is made.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// The namespace: all of them have equal shares.
    pub tenant: Arc<str>,
    /// It does not wait behind others: a write rests on it that is about to be made.
    pub is_urgent: bool,
}

impl Bucket {
    /// The most calls at once, and calls a second: our share of what ARM takes.
    const fn limits(self) -> (f64, f64) {
        match self {
            Self::Reads => (250.0 * SHARE, 25.0 * SHARE),
            Self::Writes | Self::Deletes => (200.0 * SHARE, 10.0 * SHARE),
        }
    }

    /// How the headers call it that tell what is left.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Reads => "reads",
            Self::Writes => "writes",
            Self::Deletes => "deletes",
        }
    }
}

/// The turn to make one call, and which namespace's it was. Several namespaces may wait for the same call, each in its own
/// queue: the one that is served first gives the turn to all.
#[derive(Debug, Default)]
pub struct Turn(SetOnce<Arc<str>>);

impl Turn {
    /// Gives the turn to a call that waits for nobody.
    pub fn at_once(turn: &Arc<Self>) {
        turn.give(&Arc::default());
    }

    /// Gives the turn; whether nobody had given it before.
    pub(super) fn give(&self, tenant: &Arc<str>) -> bool {
        self.0.set(tenant.clone()).is_ok()
    }

    /// Waits until it is given; the namespace whose turn it was.
    pub(super) async fn wait(&self) -> Arc<str> {
        self.0.wait().await.clone()
    }
}

/// One that does not wait for its turn any more has dropped it.
type Waiter = Weak<Turn>;

/// What is left of one bucket, and who waits for more.
struct Account {
    bucket: Bucket,
    left: f64,
    at: Instant,
    urgent: VecDeque<Waiter>,
    /// In the order in which they are served; each has somebody waiting.
    tenants: VecDeque<(Arc<str>, VecDeque<Waiter>)>,
    is_served: bool,
}

impl Account {
    fn new(bucket: Bucket) -> Self {
        let left = bucket.limits().0;
        let (urgent, tenants) = (VecDeque::new(), VecDeque::new());
        Self { bucket, left, at: Instant::now(), urgent, tenants, is_served: false }
    }

    fn fill(&mut self, pace: f64) {
        let (most, rate) = self.bucket.limits();
        let now = Instant::now();
        let gained = now.duration_since(self.at).as_secs_f64() * rate / pace;
        self.left = (self.left + gained).min(most);
        self.at = now;
    }

    fn is_as_new(&mut self, pace: f64) -> bool {
        self.fill(pace);
        !self.is_served && self.left >= self.bucket.limits().0
    }

    /// How much has to be there before a call is made.
    fn needed(&self, is_urgent: bool) -> f64 {
        let reserve = if is_urgent { 0.0 } else { self.bucket.limits().0 * RESERVE };
        1.0 + reserve
    }

    fn queue(&mut self, caller: &Caller, waiter: Waiter) {
        if caller.is_urgent {
            self.urgent.push_back(waiter);
        } else if let Some((_, waiting)) = self.tenants.iter_mut().find(|(tenant, _)| *tenant == caller.tenant) {
            waiting.push_back(waiter);
        } else {
            self.tenants.push_back((caller.tenant.clone(), VecDeque::from([waiter])));
        }
    }

    /// Lets go whoever may; then the time until the next one may, or nothing when nobody waits.
    fn serve(&mut self, pace: f64) -> Option<Duration> {
        self.fill(pace);
        loop {
            let is_urgent = !self.urgent.is_empty();
            let missing = self.needed(is_urgent) - self.left;
            if !is_urgent && self.tenants.is_empty() {
                return None;
            } else if missing > 0.0 {
                // Something urgent may come until then, which needs less.
                let rate = self.bucket.limits().1 / pace;
                return Some(Duration::from_secs_f64(missing.min(1.0) / rate).max(Duration::from_millis(1)));
            }
            if self.give() {
                self.left -= 1.0;
            }
        }
    }

    /// Gives the next turn, if anybody still waits: one that has been served in another queue, or waits no more, takes
    /// nothing, and costs its namespace nothing.
    fn give(&mut self) -> bool {
        let give = |waiting: &mut VecDeque<Waiter>, tenant: &Arc<str>| {
            let turns = std::iter::from_fn(|| waiting.pop_front()).filter_map(|waiter| waiter.upgrade());
            turns.into_iter().any(|turn| turn.give(tenant))
        };
        if !self.urgent.is_empty() {
            return give(&mut self.urgent, &Arc::default());
        }
        let Some((tenant, mut waiting)) = self.tenants.pop_front() else { return false };
        let is_given = give(&mut waiting, &tenant);
        if !waiting.is_empty() {
            self.tenants.push_back((tenant, waiting));
        }
        is_given
    }
}

type Accounts = Arc<Locked<HashMap<(String, Bucket), Account>>>;

/// The budgets of all subscriptions.
pub(super) struct Budget {
    accounts: Accounts,
    pace: f64,
}

impl Budget {
    /// Full budgets, which fill the faster the smaller `pace` is.
    pub(super) fn new(pace: f64) -> Self {
        Self { accounts: Accounts::default(), pace }
    }

    /// Waits until one call more may be made.
    pub(super) async fn spend(&self, subscription: &str, bucket: Bucket, caller: &Caller) {
        let turn = Arc::default();
        self.queue(subscription, bucket, caller, &turn);
        turn.wait().await;
    }

    /// Asks for the turn to make one call more, which others may have asked for already.
    pub(super) fn queue(&self, subscription: &str, bucket: Bucket, caller: &Caller, turn: &Arc<Turn>) {
        let key = (subscription.to_ascii_lowercase(), bucket);
        let mut accounts = self.accounts.lock();
        if !accounts.contains_key(&key) {
            // Anybody may name a subscription that nobody names again.
            accounts.retain(|_, account| !account.is_as_new(self.pace));
        }
        let account = accounts.entry(key.clone()).or_insert_with(|| Account::new(bucket));
        account.queue(caller, Arc::downgrade(turn));
        let wait = account.serve(self.pace);
        if let (Some(wait), false) = (wait, account.is_served) {
            account.is_served = true;
            tokio::spawn(serve(self.accounts.clone(), key, self.pace, wait));
        }
    }

    /// ARM has told how many calls it will take yet.
    pub(super) fn correct(&self, subscription: &str, bucket: Bucket, left: f64) {
        let mut accounts = self.accounts.lock();
        if let Some(account) = accounts.get_mut(&(subscription.to_ascii_lowercase(), bucket)) {
            account.left = account.left.min(left * SHARE);
        }
    }
}

/// Serves those who wait for one bucket until nobody does.
async fn serve(accounts: Accounts, key: (String, Bucket), pace: f64, mut wait: Duration) {
    loop {
        tokio::time::sleep(wait).await;
        let mut accounts = accounts.lock();
        let Some(account) = accounts.get_mut(&key) else { return };
        match account.serve(pace) {
            Some(next) => wait = next,
            None => {
                account.is_served = false;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use futures::future::join_all;

    use super::*;

    fn caller(tenant: &str) -> Caller {
        Caller { tenant: tenant.into(), is_urgent: false }
    }

    async fn spend(budget: &Budget, calls: usize, caller: &Caller) {
        join_all((0..calls).map(|_| budget.spend("s", Bucket::Reads, caller))).await;
    }

    /// A thousand calls, which take the whole budget and wait for more.
    fn flood<'a>(budget: &'a Budget, caller: &'a Caller) -> std::pin::Pin<Box<impl Future<Output = ()> + use<'a>>> {
        let mut flood = Box::pin(spend(budget, 1_000, caller));
        assert!((&mut flood).now_or_never().is_none());
        flood
    }

    #[tokio::test(start_paused = true)]
    async fn arm_s_own_bucket_is_never_emptied() {
        let budget = Budget::new(1.0);
        let begun = Instant::now();
        spend(&budget, 180, &caller("a")).await;
        assert_eq!(begun.elapsed(), Duration::ZERO, "a tenth of 200 is kept");
        spend(&budget, 100, &caller("a")).await;
        assert!(begun.elapsed() >= Duration::from_secs(5), "20 a second: {:?}", begun.elapsed());
        assert!(begun.elapsed() < Duration::from_millis(5_200));
        // Other kinds and other subscriptions have budgets of their own.
        assert!(budget.spend("s", Bucket::Writes, &caller("a")).now_or_never().is_some());
        assert!(budget.spend("other", Bucket::Reads, &caller("a")).now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_must_not_wait_does_not_wait_behind_a_flood() {
        let budget = Budget::new(1.0);
        let (flooding, quiet) = (caller("flood"), caller("quiet"));
        let flood = flood(&budget, &flooding);
        tokio::task::yield_now().await;
        let urgent = Caller { is_urgent: true, ..quiet.clone() };
        assert!(budget.spend("s", Bucket::Reads, &urgent).now_or_never().is_some());
        // Another namespace has its share at once: half of 20 calls a second.
        let begun = Instant::now();
        futures::future::select(Box::pin(spend(&budget, 10, &quiet)), flood).await;
        assert!(begun.elapsed() < Duration::from_millis(1_200), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_several_wait_for_goes_when_the_first_of_them_may() {
        let budget = Budget::new(1.0);
        let (flooding, quiet) = (caller("flood"), caller("quiet"));
        let flood = flood(&budget, &flooding);
        let turn = Arc::new(Turn::default());
        budget.queue("s", Bucket::Reads, &flooding, &turn);
        let begun = Instant::now();
        assert!(tokio::time::timeout(Duration::from_secs(1), turn.wait()).await.is_err(), "at the end of the flood");
        budget.queue("s", Bucket::Reads, &quiet, &turn);
        assert_eq!(*turn.wait().await, *"quiet");
        assert!(begun.elapsed() < Duration::from_millis(1_200), "{:?}", begun.elapsed());
        // Its place in the other queue costs nothing.
        flood.await;
        assert!(begun.elapsed() < Duration::from_millis(41_080), "821 calls at 20 a second: {:?}", begun.elapsed());
        assert!(!turn.give(&"late".into()), "it is given once");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_many_of_a_namespace_wait_for_costs_it_one_turn() {
        let budget = Budget::new(1.0);
        let (flooding, quiet) = (caller("flood"), caller("quiet"));
        let flood = flood(&budget, &flooding);
        let turn = Arc::new(Turn::default());
        (0..128).for_each(|_| budget.queue("s", Bucket::Reads, &quiet, &turn));
        let begun = Instant::now();
        let calls = async {
            turn.wait().await;
            spend(&budget, 1, &quiet).await;
        };
        futures::future::select(Box::pin(calls), flood).await;
        assert!(begun.elapsed() < Duration::from_millis(300), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn subscriptions_that_nobody_asks_any_more_are_forgotten() {
        let budget = Budget::new(1.0);
        for number in 0..1_000 {
            budget.spend(&number.to_string(), Bucket::Reads, &caller("a")).await;
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(budget.accounts.lock().len() <= 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_arm_says_is_left_goes_before() {
        let budget = Budget::new(0.1);
        spend(&budget, 1, &caller("a")).await;
        budget.correct("S", Bucket::Reads, 0.0);
        let begun = Instant::now();
        spend(&budget, 1, &caller("a")).await;
        let waited = begun.elapsed();
        assert!(waited >= Duration::from_millis(100) && waited < Duration::from_millis(120), "{waited:?}");
        budget.correct("s", Bucket::Reads, 10_000.0);
        assert!(budget.spend("s", Bucket::Reads, &caller("a")).now_or_never().is_none(), "more is not believed");
    }
}
