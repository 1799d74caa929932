//! Events about objects.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, Recorder, Reporter};

use crate::locked::Locked;

/// kube's recorder keeps each Event for some minutes, so that a repetition becomes a series, and looks through all of
/// them at each new one. For so many it does; then another one takes its place.
const MOST: usize = 256;

/// Publishes Events.
pub struct Events {
    client: Client,
    reporter: Reporter,
    current: Locked<(Recorder, usize)>,
}

impl Events {
    /// Events by this controller.
    #[must_use]
    pub fn new(client: Client, controller: &str) -> Self {
        let reporter = Reporter { controller: controller.to_owned(), instance: None };
        let current = Locked::new((Recorder::new(client.clone(), reporter.clone()), 0));
        Self { client, reporter, current }
    }

    fn recorder(&self) -> Recorder {
        let mut current = self.current.lock();
        let (recorder, published) = &mut *current;
        if *published == MOST {
            *recorder = Recorder::new(self.client.clone(), self.reporter.clone());
            *published = 0;
        }
        *published += 1;
        recorder.clone()
    }

    /// Publishes an Event about an object.
    ///
    /// # Errors
    /// When the API server does not take it.
    pub async fn publish(&self, event: &Event, regarding: &ObjectReference) -> kube::Result<()> {
        Box::pin(self.recorder().publish(event, regarding)).await
    }
}
