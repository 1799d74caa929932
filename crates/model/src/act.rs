//! Everything that can happen next: a step of the operator's, Azure going on, time going on, and the disturbances.

use signalr_private_link_core::Failure;
use signalr_private_link_core::azure::ConnectionState;
use signalr_private_link_core::observed::Read;

use crate::finalizers::Finalizer;
use crate::page::Cut;
use crate::rare::{self, Rare};
use crate::space::{Group, Rule, Space};
use crate::state::{Opener, Policies, Provision, Spl, Text, World};

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "the story says each in words")]
pub enum Act {
    Step(u8),
    Answer(u8),
    Land(u8),
    OperationEnds,
    Request,
    Propagate,
    DeletionEnds,
    ListCatchesUp,
    ReplicaRequests,
    WatchDelivers(u8),
    Advance,
    Page(u8, Cut),
    Starts(u8),
    ForeignFinalizerGoes,
    ReadFails(u8, Failure),
    Refuse(u8, Failure),
    LoseAnswer(u8),
    Crash(u8),
    OperationFails,
    DeletionFails,
    DeletedOutside,
    ForeignLink,
    ListLags,
    SignalRGoes,
    SignalRComes,
    ToggleMode,
    ToggleObserve,
    Detach,
    Recreate,
    Delete(u8),
    Force,
    Create,
    Strip,
    Wipe,
    Forge,
    Decide(u8, ConnectionState, bool),
    Remove(u8),
    Copy,
    CopyElsewhere,
    Guess,
    Swap(u8),
    Policy(Policies),
    Replica,
    Rare(Rare),
    TimesOut,
    Ends(u8),
    ForeignFinalizer,
    /// The same, of the second tenant's object or link.
    Second(&'static Act),
}

impl Act {
    /// Whether it is a disturbance, of which there are so many.
    #[must_use]
    pub fn is_disturbance(&self) -> bool {
        if let Self::Second(act) = self {
            return act.is_disturbance();
        }
        !matches!(
            self,
            Self::Step(_)
                | Self::Answer(_)
                | Self::Land(_)
                | Self::OperationEnds
                | Self::Request
                | Self::Propagate
                | Self::DeletionEnds
                | Self::ListCatchesUp
                | Self::ReplicaRequests
                | Self::WatchDelivers(_)
                | Self::Advance
                | Self::Page(..)
                | Self::Starts(_)
                | Self::ForeignFinalizerGoes
        )
    }
}

/// Failures that a read can meet as well as a write.
fn is_of_reads(failure: Failure) -> bool {
    matches!(
        failure,
        Failure::Transient(_)
            | Failure::Throttled(_)
            | Failure::Forbidden
            | Failure::Denied
            | Failure::CredentialUnavailable
            | Failure::Unauthorized
            | Failure::NotFound(_)
    )
}

impl Space {
    /// What can happen next, always in the same order.
    #[must_use]
    pub fn acts(&self, world: &World) -> Vec<Act> {
        let mut acts = Vec::with_capacity(48);
        for at in 0..self.workers() {
            if !self.is_down(world, at) && world.workers.get(usize::from(at)).is_some_and(|worker| !worker.sent) {
                acts.push(Act::Step(at));
            }
            acts.extend(self.cuts(world, at).iter().map(|cut| Act::Page(at, *cut)));
            if self.is_off(Rule::R3) {
                acts.push(Act::WatchDelivers(at));
            }
        }
        for (at, flight) in (0u8..).zip(&world.flights) {
            acts.push(if flight.awaited { Act::Answer(at) } else { Act::Land(at) });
        }
        for (at, process) in (0u8..).zip(&world.processes) {
            if process.is_down {
                acts.push(Act::Starts(at));
            }
        }
        if world.objects.iter().flatten().any(|object| object.deleting && object.finalizers.has(Finalizer::Foreign)) {
            acts.push(Act::ForeignFinalizerGoes);
        }
        self.azure_goes_on(world, &mut acts);
        goes_on_beside(world, &mut acts);
        if !world.flights.iter().any(|flight| flight.awaited) {
            acts.push(Act::Advance);
        }
        if world.budget > 0 {
            self.calls_fail(world, &mut acts);
            self.azure_misbehaves(world, &mut acts);
            self.people(world, &mut acts);
            if self.has(Group::Neighbour) {
                second_tenant(world, &mut acts);
            }
            self.vault_side(world, &mut acts);
            if self.has(Group::Rare) {
                rare::acts(world, &mut acts);
            }
        }
        acts
    }

    fn is_down(&self, world: &World, worker: u8) -> bool {
        let (process, _) = self.place(worker);
        world.processes.get(usize::from(process)).is_some_and(|process| process.is_down)
    }

    fn azure_goes_on(&self, world: &World, acts: &mut Vec<Act>) {
        let Some(link) = world.link else { return };
        if link.provision == Provision::Creating {
            acts.push(Act::OperationEnds);
        }
        if link.provision == Provision::Deleting {
            acts.push(Act::DeletionEnds);
        }
        if !link.listed {
            acts.push(Act::ListCatchesUp);
        }
        if !link.requested && matches!(link.provision, Provision::Creating | Provision::Succeeded) {
            acts.push(Act::Request);
        }
        if link.provision == Provision::Succeeded && link.requested && world.own_state() != link.connection {
            acts.push(Act::Propagate);
        }
        let replica = world.vault.iter().any(|pec| pec.opener == Opener::Replica);
        if world.replica && !replica {
            acts.push(Act::ReplicaRequests);
        }
    }

    fn calls_fail(&self, world: &World, acts: &mut Vec<Act>) {
        for at in 0..self.workers() {
            let next = world.workers.get(usize::from(at)).and_then(|worker| worker.held.as_ref()?.next);
            let Some(next) = next else { continue };
            if self.has(Group::Reads) {
                let failures = self.config.failures.iter().filter(|failure| is_of_reads(**failure));
                acts.extend(failures.map(|failure| Act::ReadFails(at, *failure)));
            }
            if self.has(Group::False404) && matches!(next, Read::Links | Read::Link) {
                use signalr_private_link_core::failure::Level;
                acts.push(Act::ReadFails(at, Failure::NotFound(Level::ResourceGroup)));
            }
        }
        for (at, flight) in (0u8..).zip(&world.flights) {
            if flight.awaited && self.has(Group::Refusals) {
                acts.extend(self.config.failures.iter().map(|failure| Act::Refuse(at, *failure)));
            }
            if flight.awaited && self.has(Group::LostAnswers) {
                acts.push(Act::LoseAnswer(at));
            }
        }
        for at in 0..self.processes() {
            let knows = world.workers.iter().any(|worker| worker.process == at && worker.known.is_some());
            if knows && self.has(Group::Crashes) {
                acts.push(Act::Crash(at));
            }
            let waits = world.flights.iter().any(|flight| flight.awaited && flight.process == at);
            if knows && !waits && self.has(Group::Restarts) {
                acts.push(Act::Ends(at));
            }
        }
    }

    fn azure_misbehaves(&self, world: &World, acts: &mut Vec<Act>) {
        match world.link {
            Some(link) => {
                if self.has(Group::BadEnds) {
                    match link.provision {
                        Provision::Creating | Provision::Succeeded => acts.push(Act::OperationFails),
                        Provision::Deleting => acts.push(Act::DeletionFails),
                        Provision::Failed => {}
                    }
                }
                if self.has(Group::OutsideDeletion) {
                    acts.push(Act::DeletedOutside);
                }
                if self.has(Group::LaggingList) && link.listed {
                    acts.push(Act::ListLags);
                }
                let waits = (link.provision, link.connection) == (Provision::Succeeded, ConnectionState::Pending);
                if self.has(Group::TimesOut) && waits {
                    acts.push(Act::TimesOut);
                }
            }
            None if self.has(Group::ForeignLink) && !world.signalr_gone => acts.push(Act::ForeignLink),
            None => {}
        }
        if self.has(Group::SignalR) {
            acts.push(if world.signalr_gone { Act::SignalRComes } else { Act::SignalRGoes });
        }
    }

    fn people(&self, world: &World, acts: &mut Vec<Act>) {
        for at in 0..2u8 {
            if self.has(Group::Delete) && world.object(at).is_some_and(|object| !object.deleting) {
                acts.push(Act::Delete(at));
            }
        }
        let Some(object) = world.object(0) else {
            if self.has(Group::Create) {
                acts.push(Act::Create);
            }
            return;
        };
        let may = [
            (Group::Mode, true, Act::ToggleMode),
            (Group::Observe, true, Act::ToggleObserve),
            (Group::Detach, !object.detach, Act::Detach),
            (Group::Recreate, true, Act::Recreate),
            (Group::Force, object.deleting && !object.force, Act::Force),
            (Group::Strip, object.has_finalizer(), Act::Strip),
            (
                Group::ForeignFinalizer,
                !object.deleting && !object.finalizers.has(Finalizer::Foreign),
                Act::ForeignFinalizer,
            ),
            (Group::Wipe, object.status != crate::state::Status::default(), Act::Wipe),
            (Group::Wipe, true, Act::Forge),
        ];
        acts.extend(may.into_iter().filter(|(group, can, _)| *can && self.has(*group)).map(|(.., act)| act));
    }

    fn vault_side(&self, world: &World, acts: &mut Vec<Act>) {
        let room = world.has_room();
        for pec in &world.vault {
            if self.has(Group::Owner) {
                use ConnectionState::{Approved, Rejected};
                let may = [(Approved, false), (Rejected, false), (Rejected, true)];
                let other = may.into_iter().filter(|(state, _)| *state != pec.state);
                acts.extend(other.map(|(state, by_hand)| Act::Decide(pec.name, state, by_hand)));
            }
            if self.has(Group::OwnerWords) && pec.state != ConnectionState::Approved {
                acts.push(Act::Decide(pec.name, ConnectionState::Approved, true));
            }
            if self.has(Group::Remove) {
                acts.push(Act::Remove(pec.name));
            }
            if self.has(Group::Swap) && pec.opener == Opener::Stranger && room {
                acts.push(Act::Swap(pec.name));
            }
        }
        if room {
            for (group, needs_link, act) in [
                (Group::Copy, true, Act::Copy),
                (Group::CopyElsewhere, true, Act::CopyElsewhere),
                (Group::Guess, false, Act::Guess),
            ] {
                if self.has(group) && (world.link.is_some() || !needs_link) {
                    acts.push(act);
                }
            }
        }
        if self.has(Group::Policy) {
            let others = [Policies::Absent, Policies::Revoke, Policies::Hold].into_iter();
            acts.extend(others.filter(|other| *other != world.policies).map(Act::Policy));
        }
        if self.has(Group::Replica) && !world.replica {
            acts.push(Act::Replica);
        }
    }
}

/// Azure at work for the second tenant.
fn goes_on_beside(world: &World, acts: &mut Vec<Act>) {
    let Some(link) = world.beside else { return };
    let is = |provision| link.provision == provision;
    let may = [
        (is(Provision::Creating), &Act::OperationEnds),
        (is(Provision::Deleting), &Act::DeletionEnds),
        (!link.requested && (is(Provision::Creating) || is(Provision::Succeeded)), &Act::Request),
        (
            is(Provision::Succeeded) && link.requested && world.state_of(world.beside) != link.connection,
            &Act::Propagate,
        ),
    ];
    acts.extend(may.into_iter().filter(|(can, _)| *can).map(|(_, act)| Act::Second(act)));
}

/// The second tenant comes once the first one's link is there, and edits what is theirs.
fn second_tenant(world: &World, acts: &mut Vec<Act>) {
    let Some(object) = world.object(1) else {
        if world.nonces > 0 {
            acts.push(Act::Second(&Act::Create));
        }
        return;
    };
    let may = [
        (true, &Act::ToggleMode),
        (true, &Act::ToggleObserve),
        (!object.detach, &Act::Detach),
        (true, &Act::Recreate),
        (object.deleting && !object.force, &Act::Force),
        (object.has_finalizer(), &Act::Strip),
        (true, &Act::Forge),
        (world.beside.is_some(), &Act::DeletedOutside),
        (world.beside.is_some() && world.names < 20, &Act::Copy),
    ];
    acts.extend(may.into_iter().filter(|(can, _)| *can).map(|(_, act)| Act::Second(act)));
}

impl World {
    /// The state of the link's own request; Disconnected where that is gone.
    #[must_use]
    pub fn own_state(&self) -> ConnectionState {
        self.state_of(self.link)
    }

    fn state_of(&self, link: Option<Spl>) -> ConnectionState {
        let own = link.map(|link| Opener::Link(link.nonce));
        let own = self.vault.iter().find(|pec| Some(pec.opener) == own);
        own.map_or(ConnectionState::Disconnected, |pec| pec.state)
    }

    /// Whether strangers may still open connections: there are so many names.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.names < 20
    }

    /// The message of the link that is there.
    #[must_use]
    pub fn message(&self) -> Option<Text> {
        self.link.map(|link| Text::Message { uid: link.uid, nonce: link.nonce, tag: link.tag })
    }
}
