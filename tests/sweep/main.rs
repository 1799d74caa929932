//! The shell's sweep: the shipped shell, with the real kube client and the real ARM client, against
//! an API server and Azure in this process, with time paused. The rows say which faults strike: most
//! of them at each call that the operator makes in each scenario, once. Then the faults stop, and the
//! object has to become what the scenario expects within a bounded number of passes, with no invariant
//! broken on the way, and rest there: one more pass writes nothing. Crowds are many objects at once.
//!
//! `SCENARIO=<name>` and `CALL=<n>` choose cells, `SHOW=1` prints what happened in them; `CROWDS=<n>` and
//! `SEED=<n>` choose crowds.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod boundary;
mod calls;
mod circumstances;
mod clusters;
mod crowd;
mod fault;
mod judge;
mod life;
mod meet;
mod people;
mod process;
mod rows;
mod scenarios;
mod stage;
mod sweep;
mod watching;
mod wire;

/// The fake API server is what the real one is: the same suite runs against that in `e2e`.
#[tokio::test(start_paused = true)]
async fn the_fake_api_server_passes_the_suite_of_the_real_one() {
    let fake = std::sync::Arc::new(testkit::fake_kubernetes::FakeKubernetes::default());
    let client = kube::Client::new(fake.connection(), "default");
    testkit::kubernetes_suite::run(&client, || fake.compact()).await.unwrap();
}
