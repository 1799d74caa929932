//! How a watch's events reach the process: one after the other, and when faults strike at random,
//! late, twice, after the connection broke, or only by a new list.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use testkit::fake_kubernetes::Watch;
use testkit::kube_client::{self, AnswerBody, in_pieces};

use crate::boundary::{Boundary, Broken, Side};

/// How late an event can be, and all that follow it.
const LATE: Duration = Duration::from_secs(40);

/// What can happen to a watch at an event.
#[derive(Clone, Copy)]
enum Mishap {
    Late,
    Twice,
    /// The connection breaks; the watch is begun anew where it ended.
    Broken,
    /// It ends as if its time were over.
    Ended,
    /// And by the time it is begun anew, what it missed is forgotten (410).
    Forgotten,
}

const MISHAPS: &[Mishap] = &[Mishap::Late, Mishap::Twice, Mishap::Broken, Mishap::Ended, Mishap::Forgotten];
/// One event in so many meets one.
const ONE_IN: usize = 8;

/// A watch, and the event that it tells once more.
struct Told {
    boundary: Arc<Boundary>,
    watch: Watch,
    again: Option<Bytes>,
}

impl Boundary {
    /// The events of a watch.
    pub fn tell(self: Arc<Self>, watch: Watch) -> AnswerBody {
        let begun = Told { boundary: self, watch, again: None };
        in_pieces(stream::unfold(Some(begun), |told| async move { next(told?).await }))
    }

    fn mishap(&self) -> Option<Mishap> {
        if self.outage(Side::Kubernetes).is_some() {
            return Some(Mishap::Broken);
        }
        let rolled = self.calls().roll(0..MISHAPS.len() * ONE_IN)?;
        MISHAPS.get(rolled).copied()
    }
}

async fn next(mut told: Told) -> Option<(Result<Bytes, kube_client::Broken>, Option<Told>)> {
    if let Some(line) = told.again.take() {
        return Some((Ok(line), Some(told)));
    }
    let line = told.boundary.kubernetes.next_event(&mut told.watch).await?;
    told.boundary.travel().await;
    match told.boundary.mishap() {
        None => {}
        Some(Mishap::Late) => tokio::time::sleep(LATE).await,
        Some(Mishap::Twice) => told.again = Some(line.clone()),
        Some(Mishap::Broken) => return Some((Err(Box::new(Broken)), None)),
        Some(Mishap::Ended) => return None,
        Some(Mishap::Forgotten) => {
            told.boundary.kubernetes.compact();
            return None;
        }
    }
    Some((Ok(line), Some(told)))
}
