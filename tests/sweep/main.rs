//! The shell's sweep: the shipped shell, with the real kube client and the real ARM client, against
//! an API server and Azure in this process, with time paused. The rows say which faults strike: most
//! of them at each call that the operator makes in each scenario, once. Then the faults stop, and the
//! object has to become what the scenario expects within a bounded number of passes, with no invariant
//! broken on the way, and rest there: one more pass writes nothing. Crowds are many objects at once.
//!
//! `SCENARIO=<name>` and `CALL=<n>` choose cells, `SHOW=1` prints what happened in them; `CROWDS=<n>` and
//! `SEED=<n>` choose crowds.
//!
//! | Word | Here it is |
//! |---|---|
//! | scenario | a life that an object can have, and what must come of it |
//! | row | a kind of fault, and which calls of which scenarios it strikes |
//! | cell | one scenario with one call of it struck |
//! | `Boundary` | what stands between the operator and both servers, and strikes calls |
//! | `Judge` (`judge.rs`) | looks at each request with the truth about who opened what |
//! | `Stage` | what people and Azure do, and what they see |
//! | `Life` | one run of one scenario |
//! | `matrix.rs` | runs rows over scenarios, and counts |
//! | crowd | many objects under the whole controller, with any fault at any time |

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod apply_fault;
mod boundary;
mod calls;
mod circumstances;
mod classify;
mod clusters;
mod crowd;
mod fault;
mod judge;
mod kubernetes_users;
mod life;
mod matrix;
mod process;
mod rows;
mod scenarios;
mod stage;
mod watching;

/// The fake API server is what the real one is: the same suite runs against that in `e2e`.
#[tokio::test(start_paused = true)]
async fn the_fake_api_server_passes_the_suite_of_the_real_one() {
    let fake = std::sync::Arc::new(testkit::fake_kubernetes::FakeKubernetes::default());
    let client = kube::Client::new(fake.connection(), "default");
    testkit::kubernetes_suite::run(&client, || fake.compact()).await.unwrap();
}
