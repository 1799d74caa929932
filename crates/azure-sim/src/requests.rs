//! The log of requests to ARM and the token endpoint.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::clock;

/// The most requests that are kept.
const KEPT: usize = 200_000;

/// One request. Queries are left out: they hold signatures.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    pub number: u64,
    pub at: Timestamp,
    pub method: String,
    pub path: String,
    /// What it is about: `link`, `links`, `connection`, `connections`, `operation`, `token`, ….
    pub kind: &'static str,
    /// The actions that it needs, if it is one of ARM's.
    pub actions: Vec<String>,
    /// 0 where no answer was sent.
    pub status: u16,
}

/// All requests, and their counts.
#[derive(Debug, Default)]
pub struct Requests {
    log: Vec<Request>,
    number: u64,
    counts: BTreeMap<String, u64>,
    conflicts: u64,
}

impl Requests {
    pub fn add(&mut self, method: &str, path: &str, kind: &'static str, actions: Vec<String>, status: u16) {
        self.number += 1;
        *self.counts.entry(format!("{method} {kind}")).or_default() += 1;
        self.conflicts += u64::from(status == 409);
        if self.log.len() < KEPT {
            let (method, path) = (method.to_owned(), path.to_owned());
            self.log.push(Request { number: self.number, at: clock::now(), method, path, kind, actions, status });
        }
    }

    pub fn since(&self, number: u64) -> impl Iterator<Item = &Request> {
        self.log.iter().filter(move |request| request.number > number)
    }

    /// Requests by method and kind, and how many were answered with 409.
    pub fn counts(&self) -> serde_json::Value {
        serde_json::json!({"byKind": self.counts, "total": self.number, "conflicts": self.conflicts})
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }
}
