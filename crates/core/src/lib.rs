//! What the operator decides, apart from how it does it.
//!
//! A pass of the operator is data flowing one way: what is wanted ([`Desired`]) and what was
//! read ([`Observed`]) make a [`Plan`]; the plan's [`Action`], if any, has an outcome; both
//! together make the [`Report`] that becomes `status`. Everything in this crate is a pure
//! function of its arguments: no I/O, no clock, no randomness, and nothing panics.
//!
//! | Module | Subject |
//! |---|---|
//! | [`resource_id`] | ARM resource ids, compared without case |
//! | [`limits`] | how long what is waited for may last |
//! | [`memory`] | what a process learns from its reads |
//! | [`marker`] | the ownership marker in the request message, the record in an approval |
//! | [`desired`] | what one object asks for, validated |
//! | [`azure`] | what ARM says of links, connections and operations |
//! | [`observed`] | what ARM and Kubernetes said in this pass |
//! | [`failure`] | every way in which a call can fail, typed |
//! | [`reason`] | the closed list of reasons and what each means |
//! | [`approval`] | which connection may be approved: the rules M1 to M7 |
//! | [`policy`] | what an administrator permits |
//! | [`plan`] | the decision |
//! | [`report`] | what is said about it |
//! | [`backoff`] | when to look again |
//! | [`annotation`] | what people ask for beside the spec |

pub mod action;
pub mod annotation;
pub mod approval;
pub mod azure;
pub mod backoff;
pub mod desired;
pub mod failure;
pub mod limits;
pub mod marker;
pub mod memory;
pub mod message;
pub mod observed;
pub mod plan;
pub mod policy;
pub mod reason;
pub mod report;
pub mod resource_id;

pub use action::{Action, Outcome};
pub use desired::Desired;
pub use failure::{ArmError, Failure};
pub use limits::Limits;
pub use observed::Observed;
pub use plan::{Again, Next, Plan, conclude, plan};
pub use reason::Reason;
pub use report::Report;
