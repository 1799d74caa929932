//! Disturbances that only random walks have: breadth first, each would multiply the states, and what it adds is little.

use signalr_private_link_core::azure::ConnectionState;

use crate::act::Act;
use crate::state::{Opener, Policies, Subscription, Text, Tick, World};

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "the story says each in words")]
pub enum Rare {
    Copy(Inexact),
    HideEndpoint(u8),
    ReplicaGoes,
    Backdate,
}

/// How a stranger's message differs from the link's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Inexact {
    /// A blank at its end.
    Blank,
    /// In capitals.
    Capitals,
    /// Other words before the same marker.
    Words,
}

/// Which of them can happen. What an owner or an administrator does here is of a known kind, with other words.
pub fn acts(world: &World, acts: &mut Vec<Act>) {
    if world.link.is_some() && world.has_room() {
        let ways = [Inexact::Blank, Inexact::Capitals, Inexact::Words];
        acts.extend(ways.map(|how| Act::Rare(Rare::Copy(how))));
    }
    for pec in &world.vault {
        if pec.opener == Opener::Stranger && pec.endpoint.subscription != Subscription::Unknown {
            acts.push(Act::Rare(Rare::HideEndpoint(pec.name)));
        }
        if pec.state != ConnectionState::Approved {
            acts.push(Act::Decide(pec.name, ConnectionState::Approved, true));
        }
        if pec.state != ConnectionState::Disconnected {
            acts.extend([false, true].map(|by_hand| Act::Decide(pec.name, ConnectionState::Disconnected, by_hand)));
        }
    }
    if world.policies != Policies::Later {
        acts.push(Act::Policy(Policies::Later));
    }
    if world.replica {
        acts.push(Act::Rare(Rare::ReplicaGoes));
    }
    if world.object(0).is_some() {
        acts.push(Act::Rare(Rare::Backdate));
    }
}

/// What comes of it.
pub fn happens(world: &mut World, what: Rare) -> bool {
    match what {
        Rare::Copy(how) => {
            let Some(link) = world.link else { return false };
            let text = Text::Inexact { uid: link.uid, nonce: link.nonce, tag: link.tag, how };
            world.open(text, Subscription::Microsoft, Opener::Stranger);
        }
        Rare::HideEndpoint(name) => {
            let Some(pec) = world.pec(name) else { return false };
            pec.endpoint.subscription = Subscription::Unknown;
        }
        Rare::ReplicaGoes => {
            world.replica = false;
            world.vault.retain(|pec| pec.opener != Opener::Replica);
        }
        Rare::Backdate => world.edit(0, |object| {
            let long_ago = Some(Tick::MIN);
            (object.status.requested, object.status.approved) = (long_ago, long_ago);
        }),
    }
    true
}
