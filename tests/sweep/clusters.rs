//! The same manifest in two clusters, at the same moment: two operators that know nothing of each
//! other, and one link (S14: exactly one writes, the other says who).

use std::collections::BTreeSet;
use std::time::Duration;

use azure_sim::Config;
use serde_json::Value;
use testkit::scene::message;

use crate::boundary::Boundary;
use crate::circumstances::Circumstances;
use crate::judge;
use crate::matrix::paused;
use crate::process::processes;
use crate::scenarios::ONE;
use crate::stage::{NAMESPACE, Stage};

/// How long the two may take to know.
const SETTLED: Duration = Duration::from_secs(1800);
const LOOK: Duration = Duration::from_secs(1);

/// The uid in the link's marker.
fn writer(stage: &Stage) -> Option<String> {
    judge::marker(&stage.link(ONE)?).map(|marker| marker.uid)
}

/// The two, and everybody whose marker the link ever bore.
async fn race(seed: u64) -> ([Stage; 2], BTreeSet<String>) {
    let circumstances = |seed| Circumstances { slow: true, seed, ..Circumstances::default() };
    let first = Boundary::new(Config::preset().timings, circumstances(seed), false);
    let second = Boundary::beside(&first, circumstances(seed + 1_000_000));
    let stages = [Stage(first.clone()), Stage(second.clone())];
    stages[0].begin();
    stages[1].begin_cluster(&[NAMESPACE]);
    for stage in &stages {
        stage.create(ONE, Value::Null);
    }
    let mut writers = BTreeSet::new();
    let watch = async {
        for _ in 0..SETTLED.as_secs() / LOOK.as_secs() {
            tokio::time::sleep(LOOK).await;
            writers.extend(writer(&stages[0]));
        }
        let owner = writer(&stages[0]).unwrap_or_default();
        // The loser goes, and the winner keeps its link; then that goes, too.
        let (winner, loser) = if stages[0].uid(ONE) == owner { (0, 1) } else { (1, 0) };
        assert_eq!(stages[winner].reason(ONE), "PendingApproval", "SEED={seed}");
        assert_eq!(stages[loser].reason(ONE), "AlreadyExists", "SEED={seed}");
        let said = message(&stages[loser].object(ONE).unwrap());
        assert!(said.contains(&owner), "SEED={seed}: {said}");
        stages[loser].delete(ONE);
        tokio::time::sleep(SETTLED).await;
        assert_eq!(stages[loser].reason(ONE), "gone", "SEED={seed}");
        assert_eq!(writer(&stages[0]), Some(owner), "SEED={seed}");
        stages[winner].delete(ONE);
        tokio::time::sleep(SETTLED).await;
        stages[winner].nothing_left(ONE).unwrap();
    };
    let both = futures::future::join(processes(&first, Duration::ZERO), processes(&second, Duration::ZERO));
    tokio::select! {
        _ = both => {}
        () = watch => {}
    }
    (stages, writers)
}

/// Between the last read and the write the other one's link may come (A2): Azure refuses a second
/// change while the first is under way.
const TOO_CLOSE: &str = "S5: a link is put over somebody else's that is Creating";

#[test]
fn two_clusters_race_for_one_link() {
    let mut close = 0;
    for seed in 0..50 {
        let (stages, writers) = paused(race(seed));
        assert_eq!(writers.len(), 1, "SEED={seed}: the link bore the markers of {writers:?}");
        for stage in &stages {
            let mut problems = std::mem::take(&mut stage.0.calls().problems);
            close += problems.extract_if(.., |problem| problem == TOO_CLOSE).count();
            assert!(problems.is_empty(), "SEED={seed}: {problems:?}");
        }
    }
    assert!(close > 0, "no race was close");
}
