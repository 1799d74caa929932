//! What all requests share: the world, tokens, faults and the request log.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use rand::RngExt as _;
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::config::Config;
use crate::faults::Faults;
use crate::requests::Requests;
use crate::throttle::Throttle;
use crate::world::World;

/// A token that was issued.
#[derive(Debug, Clone)]
pub struct Issued {
    pub client_id: String,
    pub expires: Timestamp,
}

/// Actions granted at a scope. Without any grant everything is permitted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Grant {
    /// Actions as role definitions write them; `*` stands for anything.
    pub actions: Vec<String>,
    /// The id at and below which they are granted; `/` for everywhere.
    pub scope: String,
}

/// Everything that changes.
#[derive(Debug)]
pub struct State {
    pub world: World,
    pub tokens: HashMap<String, Issued>,
    pub faults: Faults,
    pub requests: Requests,
    pub grants: Option<Vec<Grant>>,
    pub throttle: Throttle,
}

/// The simulator behind both ports.
pub struct Sim {
    pub config: Config,
    /// Signs the operations' URLs.
    pub signing_key: [u8; 32],
    pub issuer_key: Option<Vec<u8>>,
    /// `https://localhost:<port>`, known once it listens.
    pub endpoint: String,
    state: Mutex<State>,
}

impl Sim {
    pub fn new(config: Config, endpoint: String, issuer_key: Option<Vec<u8>>) -> Self {
        let state = State {
            world: World::new(&config),
            tokens: HashMap::new(),
            faults: Faults::default(),
            requests: Requests::default(),
            grants: None,
            throttle: Throttle::default(),
        };
        Self { config, signing_key: rand::rng().random(), issuer_key, endpoint, state: Mutex::new(state) }
    }

    /// The state, after everything that is due by now has happened.
    pub fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.world.advance(clock::now());
        state
    }
}
