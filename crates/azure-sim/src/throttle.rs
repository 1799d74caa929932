//! ARM's own limits: token buckets for each subscription, principal and kind of request, as
//! <https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling> gives them.

use std::collections::HashMap;

use jiff::Timestamp;

/// What ARM counts apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Reads,
    Writes,
    Deletes,
}

impl Kind {
    pub fn of(method: &str) -> Self {
        match method {
            "GET" | "HEAD" => Self::Reads,
            "DELETE" => Self::Deletes,
            _ => Self::Writes,
        }
    }

    /// The size of the bucket, and how many requests a second fill it.
    const fn limits(self) -> (f64, f64) {
        match self {
            Self::Reads => (250.0, 25.0),
            Self::Writes | Self::Deletes => (200.0, 10.0),
        }
    }

    /// The header that tells how much is left.
    pub const fn header(self) -> &'static str {
        match self {
            Self::Reads => "x-ms-ratelimit-remaining-subscription-reads",
            Self::Writes => "x-ms-ratelimit-remaining-subscription-writes",
            Self::Deletes => "x-ms-ratelimit-remaining-subscription-deletes",
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Timestamp,
}

/// The buckets.
#[derive(Debug, Default)]
pub struct Throttle(HashMap<(String, String, Kind), Bucket>);

impl Throttle {
    /// Takes one request of a client's to a subscription; `rate` is how many times as fast as ARM's the buckets fill.
    /// Returns how many are left.
    ///
    /// # Errors
    /// After how many seconds the next one is taken.
    pub fn take(
        &mut self,
        client: &str,
        subscription: &str,
        kind: Kind,
        rate: u32,
        now: Timestamp,
    ) -> Result<u64, u64> {
        let (most, fill) = kind.limits();
        let key = (client.to_owned(), subscription.to_ascii_lowercase(), kind);
        let bucket = self.0.entry(key).or_insert(Bucket { left: most, at: now });
        let per_second = fill * f64::from(rate);
        let gained = now.duration_since(bucket.at).as_secs_f64().max(0.0) * per_second;
        bucket.left = (bucket.left + gained).min(most);
        bucket.at = now;
        if bucket.left < 1.0 {
            return Err(((1.0 - bucket.left) / per_second).ceil().max(1.0) as u64);
        }
        bucket.left -= 1.0;
        Ok(bucket.left as u64)
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn a_bucket_empties_and_fills() {
        let (mut throttle, now) = (Throttle::default(), Timestamp::UNIX_EPOCH);
        let mut take = |kind, now| throttle.take("client", "S", kind, 1, now);
        assert_eq!(take(Kind::Writes, now), Ok(199));
        for left in (0..199).rev() {
            assert_eq!(take(Kind::Writes, now), Ok(left));
        }
        assert_eq!(take(Kind::Writes, now), Err(1));
        assert_eq!(take(Kind::Deletes, now), Ok(199), "deletes are counted apart");
        assert_eq!(take(Kind::Writes, now + SignedDuration::from_secs(1)), Ok(9));
        assert_eq!(take(Kind::Reads, now + SignedDuration::from_hours(1)), Ok(249));
    }
}
