//! Every schedule explored: the decision that ships, in a model of Kubernetes, ARM, the vault, its owner and strangers.
//!
//! The operator's part of each step is the shipped one and no copy: `plan`, `conclude`, `still_authorised`, and what a
//! process learns (`Learned`). The model adds what the shell does between, and everybody else. Then all that can happen
//! is tried, in every order, up to a number of disturbances of any kind at any moment: a crash, a lost answer, an edit, a
//! stranger's copy, a decision of the owner's. What happens without anybody's doing is free: the operator's steps, Azure
//! that goes on, writes that land late, time.
//!
//! | Module | Subject |
//! |---|---|
//! | [`state`], [`finalizers`] | the world, in small numbers |
//! | [`work`] | what the processes have in hand |
//! | [`wire`] | from numbers to what ARM and Kubernetes say, and back from a report to `status` |
//! | [`memory`] | the shipped memory, and its digest |
//! | [`pass`], [`write`](mod@write) | a pass of the operator, cut into steps |
//! | [`page`], [`gate`] | lists that are read in two pages; what waits because ARM asks for it |
//! | [`act`], [`effect`], [`outside`] | what can happen, and what comes of it |
//! | [`rare`] | what happens on random walks only |
//! | [`time`](mod@time) | deadlines, and when two worlds are one |
//! | [`judge`] | the invariants, judged by the truth |
//! | [`rest`] | liveness: the disturbances stop, and all comes to rest |
//! | [`space`], [`begin`], [`catalog`] | who takes part, which disturbances; where it begins; the explorations and the twins |
//! | [`explore`](mod@explore) | breadth first, on all processors |
//! | [`walk`] | at random, longer and with all disturbances at once |
//! | [`replay`], [`shrink`] | what happened once more, from its text; and the same with less |
//! | [`story`], [`table`] | what is printed |
//!
//! # Why an explorer of its own
//! Stateright keeps every state whole, or hashes it by `Hash` as it is. Here two worlds are one when each wait has as long
//! to go, whatever the time, and when two replicas have only changed places; that alone makes 1,300 states of 94,000. So a
//! state is told apart by a fingerprint of its own, only the last level of the search is held whole, and a story is made
//! again from the steps that led there. Two fingerprints of 64 bits are taken for one with a probability of about 10^-7 for
//! two million states. Stateright's `eventually` is wrong on cycles; liveness is a run to rest instead.
//!
//! # A twin
//! For each rule there is the same world without it ([`space::Rule`]). The shipped functions stay as they are: they are handed what they
//! would read if the rule held, or the last look is not taken. Each twin has to find what its rule guards against, or the
//! model would prove nothing.
//!
//! # What is assumed
//! - **A1** Between the last look and the send there is no time; a write lands within less than the fence (90 s) or never.
//! - **A2** What somebody else does between the last look and the landing cannot be seen: S4 and S5 are judged by the last look.
//!   That a write lands on what another process has put meanwhile is counted (`overtaken`), not forbidden; within one
//!   process it is forbidden.
//! - Time moves in steps of 30 s, and the limits keep their order but lie nearer together ([`state::LIMITS`]).
//! - Status is told as `api::status` does it, without the message and the times of the conditions; a write of
//!   Kubernetes' is atomic, and a pass that only says something says it with its last read.
//! - Each pass reads the object. One of the shell's that follows a step begins with the answer to that step's write instead:
//!   the same as a read in the moment of the write.
//! - Policies and replicas are read in the same step as the vault.
//! - A list is read at once, or in two pages ([`page`]): what does not change between them is shown, and once. A service that
//!   counted its pages from the first item could hide one that stands, when another is removed; that is not here.
//! - Clocks may be apart, ARM's from each process's, but go equally fast.
//! - The second tenant's link is another one of the same SignalR, to the same vault; its name is not the first one's.
//! - The operation's own URL is not followed: the link's state tells where it stands.

pub mod act;
pub mod begin;
pub mod catalog;
pub mod effect;
pub mod explore;
pub mod finalizers;
pub mod gate;
pub mod judge;
pub mod memory;
pub mod outside;
pub mod page;
pub mod pass;
pub mod rare;
pub mod replay;
pub mod rest;
pub mod shrink;
pub mod space;
pub mod state;
pub mod story;
pub mod table;
pub mod time;
pub mod walk;
pub mod wire;
pub mod work;
pub mod write;
