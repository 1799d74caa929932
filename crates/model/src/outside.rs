//! What Azure does by itself, and what people and strangers do.

use signalr_private_link_core::azure::ConnectionState;

use crate::act::Act;
use crate::finalizers::Finalizer;
use crate::rare;
use crate::space::{Rule, Space};
use crate::state::{
    DecidedBy, Endpoint, FOREIGN, OUTSIDER, Object, Opener, Pec, Provision, SECOND, Spl, Status, Subscription, Text,
    World,
};

impl World {
    pub(crate) fn edit(&mut self, place: u8, change: impl FnOnce(&mut Object)) {
        if let Some(mut object) = self.object(place).copied() {
            change(&mut object);
            self.replace(place, Some(object), None);
        }
    }

    fn edit_spec(&mut self, place: u8, change: impl FnOnce(&mut Object)) {
        self.edit(place, |object| {
            change(object);
            object.generation += 1;
        });
    }

    pub(crate) fn open(&mut self, text: Text, subscription: Subscription, opener: Opener) {
        self.names += 1;
        let endpoint = Endpoint { name: self.names, subscription };
        let state = ConnectionState::Pending;
        self.vault.push(Pec { name: self.names, endpoint, state, text, opener, decided: DecidedBy::Nobody });
    }

    /// The link goes, and its endpoint with it.
    fn remove_link(&mut self) {
        if let Some(link) = self.link.take() {
            self.vault.retain(|pec| pec.opener != Opener::Link(link.nonce));
        }
    }
}

/// What Azure, people and strangers do.
pub(crate) fn outside(world: &mut World, act: Act, place: u8, space: &Space) -> bool {
    match act {
        Act::Delete(_) => delete(world, place),
        Act::ToggleMode => world.edit_spec(place, |object| object.automatic = !object.automatic),
        Act::ToggleObserve => world.edit_spec(place, |object| object.observe = !object.observe),
        Act::Detach => world.edit_spec(place, |object| object.detach = true),
        Act::Recreate => world.edit(place, |object| object.recreate += 1),
        Act::Force => {
            world.edit(place, |object| object.force = true);
            if let Some(uid) = world.object(place).map(|object| object.uid) {
                world.force(uid);
            }
        }
        Act::Create => {
            world.uids += 1;
            let uid = if place == 1 { SECOND + world.uids } else { world.uids };
            let object = space.object(uid, world.now);
            world.replace(place, Some(object), None);
        }
        Act::Strip => strip(world, place),
        Act::ForeignFinalizer => {
            world.edit(place, |object| object.finalizers = object.finalizers.after(Finalizer::Foreign))
        }
        Act::ForeignFinalizerGoes => take_finalizer(world, place, Finalizer::Foreign),
        Act::Wipe => {
            world.edit(place, |object| object.status = Status::default());
            world.ghost.wiped |= world.ghost.revoked;
        }
        Act::Forge => {
            let named = world.vault.last().map(|pec| (pec.name, pec.endpoint, ConnectionState::Approved));
            world.edit(place, |object| {
                let before = object.status;
                object.status =
                    Status { ready: Some(true), connection: named, by_operator: Some(false), revoked: None, ..before };
            });
            world.ghost.wiped |= world.ghost.revoked;
        }
        _ => return azure(world, act, space) || vault(world, act, space),
    }
    true
}

fn delete(world: &mut World, place: u8) {
    let Some(object) = world.object(place).copied() else { return };
    if object.finalizers.is_empty() {
        world.replace(place, None, None);
        world.judge_gone(object.uid);
    } else {
        world.replace(place, Some(Object { deleting: true, ..object }), None);
    }
}

fn strip(world: &mut World, place: u8) {
    let Some(uid) = world.object(place).map(|object| object.uid) else { return };
    world.force(uid);
    take_finalizer(world, place, Finalizer::Ours);
}

/// Somebody removes a finalizer by hand. Without any, an object that is being deleted goes.
fn take_finalizer(world: &mut World, place: u8, finalizer: Finalizer) {
    let Some(object) = world.object(place).copied() else { return };
    let left = Object { finalizers: object.finalizers.without(finalizer), ..object };
    world.replace(place, Some(left).filter(|object| !object.deleting || !object.finalizers.is_empty()), None);
}

fn azure(world: &mut World, act: Act, space: &Space) -> bool {
    if act == Act::SignalRComes {
        world.signalr_gone = false;
        return true;
    }
    if act == Act::ForeignLink {
        world.link = Some(Spl {
            uid: FOREIGN,
            nonce: 30,
            tag: 0,
            provision: Provision::Succeeded,
            connection: ConnectionState::Pending,
            created: world.now,
            listed: true,
            requested: false,
            put_by: OUTSIDER,
        });
        return true;
    }
    if act == Act::SignalRGoes {
        world.remove_link();
        world.exchange_links();
        world.remove_link();
        world.exchange_links();
        world.signalr_gone = true;
        return true;
    }
    let (own, message) = (world.own_state(), world.message());
    let Some(link) = &mut world.link else { return false };
    match act {
        Act::OperationEnds => link.provision = Provision::Succeeded,
        Act::OperationFails => link.provision = Provision::Failed,
        Act::DeletionFails => link.provision = Provision::Succeeded,
        Act::ListCatchesUp => link.listed = true,
        Act::ListLags => link.listed = false,
        Act::TimesOut => link.connection = ConnectionState::Timeout,
        Act::DeletionEnds | Act::DeletedOutside => world.remove_link(),
        Act::Propagate => {
            link.connection = own;
            if own == ConnectionState::Approved {
                world.ghost.confirmed |= 1 << (link.nonce & 31);
            }
        }
        Act::Request | Act::ReplicaRequests => {
            let opener = if act == Act::Request { Opener::Link(link.nonce) } else { Opener::Replica };
            link.requested |= act == Act::Request;
            if let Some(message) = message.filter(|_| space.wire.connection_id(world.names + 1).is_some()) {
                world.open(message, Subscription::Microsoft, opener);
            }
        }
        _ => return false,
    }
    true
}

fn vault(world: &mut World, act: Act, space: &Space) -> bool {
    match act {
        Act::Decide(name, state, by_hand) => {
            let current = [world.link, world.beside].map(|link| link.map(|link| Opener::Link(link.nonce)));
            let Some(pec) = world.pec(name) else { return false };
            // Over the operator's own text a decision of the owner's leaves no trace: nobody could tell.
            let by_hand = by_hand || matches!(pec.text, Text::Record { .. });
            if by_hand {
                pec.text = Text::ByHand;
            }
            (pec.state, pec.decided) = (state, DecidedBy::Owner);
            if let Opener::Link(nonce) = pec.opener
                && current.contains(&Some(pec.opener))
                && state == ConnectionState::Approved
            {
                world.ghost.owner_approved |= 1 << (nonce & 31);
            }
        }
        Act::Remove(name) => world.vault.retain(|pec| pec.name != name),
        Act::Copy | Act::CopyElsewhere => {
            let Some(message) = world.message() else { return false };
            let elsewhere = act == Act::CopyElsewhere;
            let subscription = if elsewhere { Subscription::Elsewhere } else { Subscription::Microsoft };
            world.open(message, subscription, Opener::Stranger);
        }
        Act::Guess => {
            let next = Text::Message { uid: 1, nonce: world.nonces + 1, tag: 0 };
            let text = if space.is_off(Rule::Nonce) { next } else { Text::ByHand };
            world.open(text, Subscription::Microsoft, Opener::Stranger);
        }
        Act::Swap(name) => {
            world.names += 1;
            let endpoint = Endpoint { name: world.names, subscription: Subscription::Microsoft };
            let Some(pec) = world.pec(name) else { return false };
            pec.endpoint = endpoint;
        }
        Act::Policy(policies) => world.policies = policies,
        Act::Replica => world.replica = true,
        Act::Rare(what) => return rare::happens(world, what),
        _ => return false,
    }
    true
}
