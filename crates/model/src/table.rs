//! What is printed of a run: a line of counts, and what was reached.

use std::time::Duration;

use signalr_private_link_core::Reason;
use signalr_private_link_core::action::ActionKind;

use crate::explore::Found;
use crate::space::Space;
use crate::walk::Walked;

const ACTIONS: [ActionKind; 6] = [
    ActionKind::AddFinalizer,
    ActionKind::RemoveFinalizer,
    ActionKind::PutLink,
    ActionKind::DeleteLink,
    ActionKind::Approve,
    ActionKind::Revoke,
];

/// What several runs reached together.
#[derive(Debug, Default)]
pub struct Reached {
    reasons: u64,
    done: u64,
    stopped: u64,
}

impl Reached {
    /// Adds what a run reached.
    pub fn add(&mut self, space: &Space) {
        let done = ACTIONS.into_iter().filter(|kind| space.reached.count(*kind) > 0);
        self.done |= done.fold(0, |bits, kind| bits | 1 << (kind as u64));
        self.stopped |= space.reached.refusals();
        self.reasons |= space.reached.reasons();
    }

    /// The reasons that were not reached.
    #[must_use]
    pub fn missing_reasons(&self) -> Vec<Reason> {
        Reason::ALL.iter().copied().filter(|reason| self.reasons & 1 << (*reason as u64) == 0).collect()
    }

    /// The actions that were never carried out.
    #[must_use]
    pub fn missing_actions(&self) -> Vec<&'static str> {
        let missing = ACTIONS.into_iter().filter(|kind| self.done & 1 << (*kind as u64) == 0);
        missing.map(Into::into).collect()
    }

    /// The table of what was reached.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec!["actions:".to_owned()];
        for kind in ACTIONS {
            let has = |set: u64| set & 1 << (kind as u64) != 0;
            let stopped = if has(self.stopped) { ", and stopped or refused" } else { "" };
            let done = if has(self.done) { "carried out" } else { "never carried out" };
            lines.push(format!("  {:<20} {done}{stopped}", Into::<&'static str>::into(kind)));
        }
        lines.push("reasons:".to_owned());
        for reason in Reason::ALL {
            let reached = self.reasons & 1 << (*reason as u64) != 0;
            let told = if reached { "told" } else { "NOT REACHED" };
            lines.push(format!("  {:<24} {told}", reason.as_str()));
        }
        lines
    }
}

/// 1234567 as 1,234,567.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The line of so many walks.
#[must_use]
pub fn walks(space: &Space, walked: &Walked) -> String {
    let done = |kind| count(space.reached.count(kind));
    let [exceptions, ..] = space.reached.counts();
    format!(
        "{}: {} walks of {} acts, {} violations, {:.0} s; {} links put and {} deleted, {} objects deleted, {} approvals, \
         of which {exceptions} of a copy that was alone in both lists, {} taken back",
        space.config.name,
        count(walked.walks),
        count(walked.acts),
        u8::from(walked.violation.is_some()),
        walked.took.as_secs_f64(),
        done(ActionKind::PutLink),
        done(ActionKind::DeleteLink),
        done(ActionKind::RemoveFinalizer),
        done(ActionKind::Approve),
        done(ActionKind::Revoke),
    )
}

/// The line of one run.
#[must_use]
pub fn line(space: &Space, found: &Found) -> String {
    let seconds = |took: Duration| took.as_secs_f64();
    let [exceptions, overtaken] = space.reached.counts();
    let how = if found.complete { "all" } else { "up to this depth" };
    format!(
        "{}: {} states ({how}), {} steps, depth {}, {} run to rest within {} passes that change something, {} violations, {:.0} s; \
         {exceptions} steps approve a copy that was alone in both lists, {overtaken} writes overtaken",
        space.config.name,
        count(found.states as u64),
        count(found.steps),
        found.depth,
        count(found.rested),
        found.most_passes,
        u8::from(found.violation.is_some()),
        seconds(found.took),
    )
}
