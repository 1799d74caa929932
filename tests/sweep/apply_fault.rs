//! What each fault makes of a call.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

use crate::boundary::{Boundary, Broken, Side};
use crate::classify::{answer, error, retry_after, unknown_words};
use crate::fault::{BRIEF, Fault, OUTAGE};
use crate::stage::LINKS;

/// How late a late effect comes: within ARM's own limit of 60 s (assumption A1).
const LATE: Duration = Duration::from_secs(55);

/// What a panic of the test says, so that nobody takes it for a real one.
pub const PANIC: &str = "a fault of the test";

impl Boundary {
    /// A call meets a fault.
    pub async fn apply_fault(
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
                    // Nobody could know that it would be now.
                    this.calls().touch(request.uri().path());
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
            Fault::Throttled(after) | Fault::Unavailable(after) => {
                let mut refusal = match fault {
                    Fault::Throttled(_) => error(side, 429, "TooManyRequests"),
                    _ => error(side, 503, "ServiceUnavailable"),
                };
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
                self.calls().begin_outage(side, lasts, forbidden);
                self.outage(side).unwrap_or(Err(Broken))
            }
        }
    }

    async fn crash<T>(&self) -> T {
        self.crashed.notify_one();
        std::future::pending().await
    }
}
