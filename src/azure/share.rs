//! Reads are per parent, not per object: one answer serves every pass that asked before the
//! request was sent, so no pass ever sees an answer older than its own question.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared as SharedFuture};
use signalr_private_link_core::ArmError;
use signalr_private_link_core::azure::{Connections, Links};
use signalr_private_link_core::resource_id::{SignalRId, VaultId};
use tracing::{Instrument as _, Span};

use super::budget::Turn;
use super::call::CallKind;
use super::client::ArmClient;
use crate::locked::Locked;

type Answer<T> = Result<Arc<T>, ArmError>;
type ByKey<V> = Arc<Locked<HashMap<String, V>>>;

/// A read that is not sent yet.
struct Batch<T> {
    answer: SharedFuture<BoxFuture<'static, Answer<T>>>,
    turn: Arc<Turn>,
}

/// Coalesces reads of the same parent. Nothing is cached: a batch is forgotten when it is sent.
pub struct Shared<T> {
    gathering: ByKey<Batch<T>>,
    running: ByKey<Arc<tokio::sync::Mutex<()>>>,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self { gathering: Arc::default(), running: Arc::default() }
    }
}

impl<T: Send + Sync + 'static> Shared<T> {
    /// The answer for `key`, from a request that is sent after this call: a `moment` after its first caller's at the
    /// earliest, and once it has its turn, which the request is told the namespace of. Others join until then, and each of
    /// them will `ask` for the turn. At most one request per key is under way. It goes on if its first caller goes away.
    ///
    /// # Errors
    /// The failure of the one request, shared alike.
    pub async fn read<F>(
        &self,
        key: &str,
        moment: Duration,
        ask: impl FnOnce(&Arc<Turn>),
        request: impl FnOnce(Arc<str>) -> F + Send + 'static,
    ) -> Answer<T>
    where
        F: Future<Output = Result<T, ArmError>> + Send + 'static,
    {
        let answer = {
            let mut gathering = self.gathering.lock();
            let batch = gathering.entry(key.to_owned());
            let batch = batch.or_insert_with(|| self.batch(key.to_owned(), moment, request));
            ask(&batch.turn);
            batch.answer.clone()
        };
        answer.await
    }

    fn batch<F>(&self, key: String, moment: Duration, request: impl FnOnce(Arc<str>) -> F + Send + 'static) -> Batch<T>
    where
        F: Future<Output = Result<T, ArmError>> + Send + 'static,
    {
        // The map holds the batch, so the batch does not hold the map.
        let (gathering, running) = (Arc::downgrade(&self.gathering), self.running.clone());
        let turn = Arc::new(Turn::default());
        let given = turn.clone();
        // In a trace the call stands below the read of the first caller, whoever drives it.
        let span = Span::current();
        let answer = async move {
            tokio::time::sleep(moment).await;
            let tenant = given.wait().await;
            let earlier = running.lock().entry(key.clone()).or_default().clone();
            let answer = {
                let _one_at_a_time = earlier.lock().await;
                // From here on the answer would be older than the question.
                if let Some(gathering) = gathering.upgrade() {
                    gathering.lock().remove(&key);
                }
                request(tenant).await.map(Arc::new)
            };
            let mut running = running.lock();
            // This batch and the map hold it: no other one waits.
            if Arc::strong_count(&earlier) <= 2 {
                running.remove(&key);
            }
            answer
        };
        Batch { answer: answer.instrument(span).boxed().shared(), turn }
    }
}

/// The reads of lists that many objects have in common.
#[derive(Default)]
pub struct Reads {
    links: Shared<Links>,
    connections: Shared<Connections>,
}

impl Reads {
    /// All links of a SignalR, for all who ask within a `moment`, and until one more call may be made on behalf of one of
    /// them. Where several ask together, `note` of the first one sees the answer.
    ///
    /// # Errors
    /// As [`ArmClient::list_links`].
    pub async fn links(
        &self,
        arm: &ArmClient,
        signalr: &SignalRId,
        moment: Duration,
        note: impl FnOnce(&SignalRId, &Links) + Send + 'static,
    ) -> Answer<Links> {
        let (client, id) = (arm.clone(), signalr.clone());
        // The other pages of the list are read on behalf of the same namespace.
        let request = move |tenant: Arc<str>| async move {
            client.on_behalf_of(&tenant).list_links(&id).await.inspect(|links| note(&id, links))
        };
        let ask = |turn: &Arc<Turn>| arm.ask_to_read(CallKind::ListLinks, signalr.subscription(), turn);
        self.links.read(signalr.key(), moment, ask, request).await
    }

    /// All connections of a vault, likewise.
    ///
    /// # Errors
    /// As [`ArmClient::list_connections`].
    pub async fn connections(&self, arm: &ArmClient, vault: &VaultId, moment: Duration) -> Answer<Connections> {
        let (client, id) = (arm.clone(), vault.clone());
        let request = move |tenant: Arc<str>| async move { client.on_behalf_of(&tenant).list_connections(&id).await };
        let ask = |turn: &Arc<Turn>| arm.ask_to_read(CallKind::ListConnections, vault.subscription(), turn);
        self.connections.read(vault.key(), moment, ask, request).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;

    fn request(
        count: &Arc<AtomicUsize>,
    ) -> impl FnOnce(Arc<str>) -> BoxFuture<'static, Result<usize, ArmError>> + Send + 'static {
        let count = count.clone();
        move |_| {
            async move {
                let number = count.fetch_add(1, Ordering::SeqCst);
                sleep(Duration::from_secs(1)).await;
                Ok(number)
            }
            .boxed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_never_older_than_the_question() {
        let (shared, count) = (Shared::<usize>::default(), Arc::new(AtomicUsize::new(0)));
        let gather = Duration::from_millis(100);
        let early = futures::future::join(
            shared.read("a", gather, Turn::at_once, request(&count)),
            shared.read("a", gather, Turn::at_once, request(&count)),
        );
        let late = async {
            sleep(Duration::from_millis(500)).await;
            futures::future::join(
                shared.read("a", gather, Turn::at_once, request(&count)),
                shared.read("b", gather, Turn::at_once, request(&count)),
            )
            .await
        };
        let ((first, second), (third, other)) = futures::future::join(early, late).await;
        assert_eq!((*first.unwrap(), *second.unwrap()), (0, 0), "both asked before it was sent");
        assert_eq!(*other.unwrap(), 1, "another parent does not wait");
        assert_eq!(*third.unwrap(), 2, "asked while the first was under way");
        assert_eq!(count.load(Ordering::SeqCst), 3);
        assert!(shared.gathering.lock().is_empty());
        assert!(shared.running.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_joins_may_bring_the_turn() {
        let (shared, count) = (Shared::<usize>::default(), Arc::new(AtomicUsize::new(0)));
        let waits = shared.read("a", Duration::ZERO, |_| (), request(&count));
        let joins = async {
            sleep(Duration::from_secs(60)).await;
            assert_eq!(count.load(Ordering::SeqCst), 0);
            shared.read("a", Duration::from_secs(60), Turn::at_once, request(&count)).await
        };
        let begun = tokio::time::Instant::now();
        let (first, second) = futures::future::join(waits, joins).await;
        assert_eq!((*first.unwrap(), *second.unwrap()), (0, 0), "one request");
        assert_eq!(begun.elapsed(), Duration::from_secs(61));
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_that_nobody_waits_for_any_more_does_not_keep_itself_alive() {
        let (shared, held) = (Shared::<usize>::default(), Arc::new(()));
        let request = |held: Arc<()>| move |_| async move { Ok(Arc::strong_count(&held)) };
        let read = shared.read("a", Duration::from_secs(1), Turn::at_once, request(held.clone()));
        assert!(tokio::time::timeout(Duration::from_millis(1), read).await.is_err(), "its caller is gone");
        assert_eq!(Arc::strong_count(&held), 2, "the batch waits for others");
        drop(shared);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
