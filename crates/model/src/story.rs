//! What happened, in words.

use signalr_private_link_core::action::Action;
use signalr_private_link_core::marker::Verdict;
use signalr_private_link_core::observed::Read;

use crate::act::Act;
use crate::explore::Trace;
use crate::page::Cut;
use crate::rare::Rare;
use crate::space::{Layout, Space};
use crate::state::{Opener, Provision, Spl, Text, World};
use crate::work::Write;

impl Space {
    /// The story of these steps, one sentence each, where it ends, and the command that plays it again.
    #[must_use]
    pub fn story(&self, trace: &Trace) -> Vec<String> {
        let mut world = self.begin();
        let mut lines = Vec::new();
        for (at, act) in trace.acts.iter().enumerate() {
            if at == trace.disturbed {
                (world.budget, world.visits) = (0, None);
                lines.push("From now on nobody disturbs, and all goes on fairly.".to_owned());
            }
            let Some(after) = self.after(&world, *act) else { break };
            // On the way to rest only what somebody can see is told.
            let seen = (world.objects, world.link, world.beside, &world.vault)
                != (after.objects, after.link, after.beside, &after.vault);
            if at < trace.disturbed || seen || after.flights.len() != world.flights.len() {
                lines.push(self.sentence(&world, *act, &after));
            }
            world = after;
        }
        lines.push(format!("{}: {}.", trace.violation.name, trace.violation.what));
        lines.push(self.command(trace));
        lines
    }

    fn who(&self, at: u8) -> String {
        match (self.config.layout, at) {
            (Layout::Alone, _) => "The operator".to_owned(),
            (Layout::Replicas, 0) => "Replica A".to_owned(),
            (Layout::Replicas, _) => "Replica B".to_owned(),
            (Layout::Rivals, 0) => "The operator, for the first object,".to_owned(),
            (Layout::Tenants, 0) => "The operator, for the first tenant,".to_owned(),
            (Layout::Tenants, _) => "The operator, for the second tenant,".to_owned(),
            (Layout::Rivals, _) => "The operator, for the second object,".to_owned(),
        }
    }

    fn sentence(&self, before: &World, act: Act, after: &World) -> String {
        let flight = |at: u8| before.flights.get(usize::from(at));
        match act {
            Act::Second(act) => second_in_words(*act, after),
            Act::Page(at, cut) => {
                let how = match cut {
                    Cut::Later => "as it is",
                    Cut::Earlier => "as it was",
                    Cut::Twice => "as it was and as it is",
                    Cut::Never => "not at all",
                };
                let step = self.step_in_words(before, at, after);
                format!("{step} What changed since the first page is seen {how}.")
            }
            Act::Starts(process) => format!("Process {} is started.", letter(process)),
            Act::Ends(process) => format!("Process {} ends in good order.", letter(process)),
            Act::TimesOut => "SignalR says that its connection has timed out.".to_owned(),
            Act::ForeignFinalizer => "Somebody adds a finalizer of their own, in front of the others.".to_owned(),
            Act::ForeignFinalizerGoes => "Somebody removes the finalizer of their own.".to_owned(),
            Act::Step(at) => self.step_in_words(before, at, after),
            Act::Answer(at) => match flight(at) {
                Some(flight) => format!("{} has its answer: {}.", what(&flight.write), link_in_words(after)),
                None => String::new(),
            },
            Act::Land(at) => match flight(at) {
                Some(flight) => format!("{} takes effect late: {}.", what(&flight.write), link_in_words(after)),
                None => String::new(),
            },
            Act::Refuse(at, failure) => {
                format!("Azure refuses {} ({}).", flight(at).map_or("a write", |f| what(&f.write)), failure.label())
            }
            Act::LoseAnswer(at) => {
                format!("The answer to {} is lost.", flight(at).map_or("a write", |f| what(&f.write)))
            }
            Act::ReadFails(at, failure) => {
                format!("{} reads {}, which fails ({}).", self.who(at), reading(before, at), failure.label())
            }
            Act::Crash(process) => format!("Process {} ends, and is started anew.", letter(process)),
            Act::WatchDelivers(at) => format!("The watch of {} catches up.", self.who(at).to_lowercase()),
            Act::Advance => {
                let seconds = u64::from(after.now.saturating_sub(before.now)) * crate::state::SECONDS;
                format!("{seconds} s pass.")
            }
            Act::OperationEnds => "Azure has created the link.".to_owned(),
            Act::Request => "SignalR sends its request to the vault.".to_owned(),
            Act::ReplicaRequests => "SignalR sends a request for its replica as well.".to_owned(),
            Act::Propagate => format!("SignalR hears of it: {}.", link_in_words(after)),
            Act::DeletionEnds => "Azure has deleted the link.".to_owned(),
            Act::ListCatchesUp => "The list of links shows the link.".to_owned(),
            Act::OperationFails => "The link's operation ends badly: it is Failed.".to_owned(),
            Act::DeletionFails => "Azure could not delete the link: it stays.".to_owned(),
            Act::DeletedOutside => "Somebody deletes the link in Azure.".to_owned(),
            Act::ForeignLink => "Somebody else puts a link of that name.".to_owned(),
            Act::ListLags => "The list of links lags, and does not show the link.".to_owned(),
            Act::SignalRGoes => "The SignalR is deleted.".to_owned(),
            Act::SignalRComes => "The SignalR is created again.".to_owned(),
            Act::ToggleMode => "The tenant changes approval.mode.".to_owned(),
            Act::ToggleObserve => "The tenant changes managementPolicy.".to_owned(),
            Act::Detach => "The tenant sets deletionPolicy Detach.".to_owned(),
            Act::Recreate => "The tenant asks for the link to be created again.".to_owned(),
            Act::Delete(at) => format!("The tenant deletes the {} object.", if at == 0 { "first" } else { "second" }),
            Act::Force => "The tenant sets force-finalize.".to_owned(),
            Act::Create => "The tenant creates an object of the same name.".to_owned(),
            Act::Strip => "The tenant removes the finalizer by hand.".to_owned(),
            Act::Wipe => "Somebody wipes status.".to_owned(),
            Act::Forge => "Somebody forges status.".to_owned(),
            Act::Decide(name, state, by_hand) => {
                let words = if by_hand { ", with a text of their own" } else { "" };
                format!("The vault's owner sets {} {}{words}.", connection(before, name), state.as_str())
            }
            Act::Remove(name) => format!("{} is removed.", capitalised(&connection(before, name))),
            Act::Copy => "A stranger opens a request with the link's message, in a listed subscription.".to_owned(),
            Act::CopyElsewhere => {
                "A stranger opens a request with the link's message, in another subscription.".to_owned()
            }
            Act::Guess => "A stranger opens a request with a message of their own.".to_owned(),
            Act::Swap(name) => format!("{} gets another endpoint.", capitalised(&connection(before, name))),
            Act::Policy(policies) => format!("An administrator changes the policies: {policies:?}."),
            Act::Replica => "The SignalR gets a replica.".to_owned(),
            Act::Rare(Rare::Copy(how)) => {
                format!("A stranger opens a request with nearly the link's message ({how:?}).")
            }
            Act::Rare(Rare::HideEndpoint(name)) => {
                format!("The vault shows no endpoint of {} any more.", connection(before, name))
            }
            Act::Rare(Rare::ReplicaGoes) => "The replica is removed.".to_owned(),
            Act::Rare(Rare::Backdate) => "Somebody forges the times of the approval in status.".to_owned(),
        }
    }

    fn step_in_words(&self, before: &World, at: u8, after: &World) -> String {
        let who = self.who(at);
        let worker = |world: &World| world.workers.get(usize::from(at)).and_then(|worker| worker.held.clone());
        let does = match worker(before) {
            None => "reads the object".to_owned(),
            Some(held) => match &held.plan {
                None if self.begins_list(&held) => format!("reads the first page of {}", reading(before, at)),
                None => format!("reads {}", reading(before, at)),
                Some(plan) => plan.action.as_ref().map_or(String::new(), |action| match action {
                    Action::AddFinalizer => "adds the finalizer".to_owned(),
                    Action::RemoveFinalizer { .. } if after.objects != before.objects => {
                        "removes the finalizer, and is done with the object".to_owned()
                    }
                    _ if after.flights.len() > before.flights.len() => {
                        let sent = after.flights.last().map_or("a write", |flight| what(&flight.write));
                        format!("takes its last look, and sends {sent}")
                    }
                    _ => format!("takes its last look for {}, and finds it changed", action.label()),
                }),
            },
        };
        let next = match worker(after).and_then(|held| held.plan.clone()).and_then(|plan| plan.action) {
            Some(action) if worker(before).is_none_or(|held| held.plan.is_none()) => {
                format!(", and decides: {}", action.label())
            }
            _ => String::new(),
        };
        format!("{who} {does}{next}.")
    }
}

fn second_in_words(act: Act, after: &World) -> String {
    let does = match act {
        Act::Create => "creates an object, in whose request message the marker of the first tenant's link is copied",
        Act::ToggleMode => "changes approval.mode",
        Act::ToggleObserve => "changes managementPolicy",
        Act::Detach => "sets deletionPolicy Detach",
        Act::Recreate => "asks for their link to be created again",
        Act::Force => "sets force-finalize",
        Act::Strip => "removes the finalizer by hand",
        Act::Forge => "forges status",
        Act::DeletedOutside => "deletes their link in Azure",
        Act::Copy => "opens a request with the message of their link",
        _ => {
            let link = after.beside.map_or_else(|| "gone".to_owned(), |link| link_state(&link));
            return format!("The second tenant's link is {link}.");
        }
    };
    format!("The second tenant {does}.")
}

fn letter(number: u8) -> char {
    if number == 0 { 'A' } else { 'B' }
}

fn what(write: &Write) -> &'static str {
    match write {
        Write::Put { replaces: false, .. } => "the PUT of the link",
        Write::Put { .. } => "the PUT over the failed link",
        Write::Delete { .. } => "the DELETE of the link",
        Write::Decide { verdict: Verdict::Approved, .. } => "the approval",
        Write::Decide { .. } => "the revocation",
    }
}

fn reading(world: &World, at: u8) -> &'static str {
    let next = world.workers.get(usize::from(at)).and_then(|worker| worker.held.as_ref()?.next);
    match next {
        Some(Read::Links) => "the links",
        Some(Read::Link) => "the link",
        Some(Read::Connections) => "the vault",
        _ => "more",
    }
}

fn link_in_words(world: &World) -> String {
    let Some(link) = world.link else { return "there is no link".to_owned() };
    format!("the link is {}", link_state(&link))
}

fn link_state(link: &Spl) -> String {
    let state = match link.provision {
        Provision::Creating => "Creating",
        Provision::Succeeded => "Succeeded",
        Provision::Failed => "Failed",
        Provision::Deleting => "Deleting",
    };
    format!("number {}, {state} and {}", link.nonce, link.connection.as_str())
}

fn connection(world: &World, name: u8) -> String {
    let Some(pec) = world.vault.iter().find(|pec| pec.name == name) else { return format!("connection {name}") };
    let whose = match pec.opener {
        Opener::Link(nonce) => format!("the request of link number {nonce}"),
        Opener::Replica => "the replica's request".to_owned(),
        Opener::Stranger => "the stranger's connection".to_owned(),
    };
    let approved = matches!(pec.text, Text::Record { verdict: Verdict::Approved, .. });
    if approved { format!("{whose} (approved by the operator)") } else { whose }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}
