//! The SignalRs and vaults of the links that are asked about: whether what the operator does there would succeed.

use std::collections::BTreeSet;

use kube::Client;
use serde_json::Value;
use signalr_private_link_core::azure::Links;
use signalr_private_link_core::desired::{ApprovalMode, Desired, ManagementPolicy};
use signalr_private_link_core::failure::{CONNECTION_APPROVER, LINK_MANAGER, Level, role_assignment};
use signalr_private_link_core::message::shell;
use signalr_private_link_core::resource_id::{LinkId, SignalRId, VaultId};
use signalr_private_link_core::{ArmError, Failure};

use super::azure::Azure;
use super::scope::{self, Place};
use super::{Check, Finding, Report};
use crate::azure::Look;
use crate::config::{DoctorArgs, LinkName};
use crate::kubernetes::Objects;

/// A SignalR or a vault, and whether the operator is to write there.
struct Target<Id> {
    id: Id,
    writes: bool,
}

/// A link that an object asks for.
struct Wanted {
    object: LinkName,
    link: LinkId,
    vault: VaultId,
}

/// What is asked about, each thing once.
#[derive(Default)]
struct Subjects {
    signalrs: Vec<Target<SignalRId>>,
    vaults: Vec<Target<VaultId>>,
    links: Vec<Wanted>,
}

fn add<Id: PartialEq>(targets: &mut Vec<Target<Id>>, id: Id, writes: bool) {
    match targets.iter_mut().find(|target| target.id == id) {
        Some(known) => known.writes |= writes,
        None => targets.push(Target { id, writes }),
    }
}

const OF_SIGNALR: &[Check] = &[Check::SignalrTier, Check::SignalrReads, Check::SignalrRights, Check::SignalrLock];
const OF_VAULT: &[Check] = &[Check::VaultReads, Check::VaultRights, Check::VaultLock];

/// Examines the links, SignalRs and vaults that the arguments name.
pub(super) async fn examine(
    args: &DoctorArgs,
    cluster: &Result<Client, Check>,
    azure: &Result<Azure, Check>,
    report: &mut Report,
) {
    let subjects = gather(args, cluster, report).await;
    let azure = match azure {
        Ok(azure) => azure,
        Err(without) => {
            subjects.signalrs.iter().for_each(|signalr| report.skip(OF_SIGNALR, signalr.id.path(), *without));
            subjects.vaults.iter().for_each(|vault| report.skip(OF_VAULT, vault.id.path(), *without));
            subjects.links.iter().for_each(|link| report.skip(&[Check::LinkState], link.link.path(), *without));
            return;
        }
    };
    for (namespace, subscription) in registrations(&subjects) {
        report.add(scope::registration(azure, namespace, subscription).await);
    }
    for Target { id, writes } in &subjects.signalrs {
        let wanted: Vec<&Wanted> = subjects.links.iter().filter(|wanted| wanted.link.signalr() == *id).collect();
        report.add(tier(azure, id, &args.run.signalr_api_version).await);
        let links = read_links(azure, id, report).await;
        let place = Place { id: id.path(), subscription: id.subscription(), group: id.resource_group() };
        report.add(scope::rights(azure, &place, &scope::SIGNALR, *writes).await);
        let below: Vec<&str> = wanted.iter().map(|wanted| wanted.link.path()).collect();
        report.add(scope::lock(azure, &place, &scope::SIGNALR, &below).await);
        for wanted in wanted {
            match &links {
                Some(links) => report.add(state(wanted, links)),
                None => report.skip(&[Check::LinkState], wanted.link.path(), Check::SignalrReads),
            }
        }
    }
    for Target { id, writes } in &subjects.vaults {
        report.add(read_connections(azure, id, *writes).await);
        let place = Place { id: id.path(), subscription: id.subscription(), group: id.resource_group() };
        report.add(scope::rights(azure, &place, &scope::VAULT, *writes).await);
        report.add(scope::lock(azure, &place, &scope::VAULT, &[]).await);
    }
}

/// Reads the objects, and takes together what they and the arguments name.
async fn gather(args: &DoctorArgs, cluster: &Result<Client, Check>, report: &mut Report) -> Subjects {
    let mut subjects = Subjects::default();
    for name in &args.links {
        match cluster {
            Err(without) => report.skip(&[Check::Link], &name.to_string(), *without),
            Ok(client) => match read(client, name).await {
                Ok(desired) => {
                    report.add(Finding::ok(Check::Link, &name.to_string(), &told(&desired)));
                    let manages = desired.management == ManagementPolicy::Manage;
                    let approves = manages && desired.mode == ApprovalMode::Automatic;
                    add(&mut subjects.signalrs, desired.link.signalr(), manages);
                    add(&mut subjects.vaults, desired.vault.clone(), approves);
                    let Desired { link, vault, .. } = desired;
                    subjects.links.push(Wanted { object: name.clone(), link, vault });
                }
                Err((why, way_out)) => report.add(Finding::failed(Check::Link, &name.to_string(), &why, way_out)),
            },
        }
    }
    if let Some(signalr) = &args.signalr {
        add(&mut subjects.signalrs, signalr.clone(), true);
    }
    if let Some(vault) = &args.key_vault {
        add(&mut subjects.vaults, vault.clone(), false);
    }
    if args.links.is_empty() && args.signalr.is_none() && args.key_vault.is_none() {
        let why =
            "no SignalR and no vault was looked at: name them with --link NAMESPACE/NAME, or --signalr and --key-vault";
        report.add(Finding::skipped(Check::Link, "", why));
    }
    subjects
}

/// What an object asks for; or why that is not known, and what helps.
async fn read(client: &Client, name: &LinkName) -> Result<Desired, (String, &'static str)> {
    let stored = Objects::new(client.clone()).get(&name.namespace, &name.name).await;
    let stored = stored.map_err(|error| (error.to_string(), "see the findings about the cluster above"))?;
    let stored =
        stored.ok_or_else(|| ("there is no such object".to_owned(), "kubectl get spl -A shows all of them"))?;
    stored
        .desired()
        .map_err(|problems| (problems.join("; "), "correct the spec: kubectl explain spl.spec tells what it may be"))
}

fn told(desired: &Desired) -> String {
    let mode = match desired.mode {
        ApprovalMode::Manual => "approved by hand",
        ApprovalMode::Automatic => "approved automatically",
    };
    format!("asks for {} to {}, {mode}", desired.link, desired.vault)
}

/// The subscriptions that have to be registered, and for which provider.
fn registrations(subjects: &Subjects) -> BTreeSet<(&'static str, &str)> {
    let signalrs = subjects.signalrs.iter().map(|signalr| (scope::SIGNALR.namespace, signalr.id.subscription()));
    let vaults = subjects.vaults.iter().map(|vault| (scope::VAULT.namespace, vault.id.subscription()));
    signalrs.chain(vaults).collect()
}

/// Only Standard and Premium have shared private links (Microsoft, "Secure Azure SignalR outbound traffic through shared
/// private endpoints", Prerequisites).
async fn tier(azure: &Azure, signalr: &SignalRId, api_version: &str) -> Finding {
    let (check, id) = (Check::SignalrTier, signalr.path());
    let look = Look {
        doing: format!("reading {}", signalr.name()),
        path: id,
        api_version,
        action: "Microsoft.SignalRService/SignalR/read",
        scope: id,
    };
    let body = match azure.arm.look(&look).await {
        Ok((body, _)) => body,
        Err(error) => {
            let way_out = format!("az signalr show --ids {} --query sku.tier", shell(id));
            return scope::unknown(check, id, &error, &way_out);
        }
    };
    let word = |place: &str| body.pointer(place).and_then(Value::as_str);
    let tier = word("/sku/tier").or_else(|| word("/sku/name")).unwrap_or("not told");
    let is = |name: &str| tier.split('_').next().is_some_and(|tier| tier.eq_ignore_ascii_case(name));
    let way_out = format!("az signalr update --ids {} --sku Standard_S1", shell(id));
    if is("Standard") || is("Premium") {
        Finding::ok(check, id, &format!("its tier is {tier}"))
    } else if is("Free") {
        Finding::failed(check, id, "its tier is Free, which has no shared private links", &way_out)
    } else {
        Finding::warning(
            check,
            id,
            &format!("its tier is {tier}; Standard and Premium have shared private links"),
            &way_out,
        )
    }
}

async fn read_links(azure: &Azure, signalr: &SignalRId, report: &mut Report) -> Option<Links> {
    let (check, id) = (Check::SignalrReads, signalr.path());
    azure.arm.admit_read(signalr.subscription()).await;
    match azure.arm.list_links(signalr).await {
        Ok(links) => {
            report.add(Finding::ok(check, id, &format!("it has {} link(s)", links.links.len())));
            Some(links)
        }
        Err(error) => {
            report.add(Finding::failed(check, id, &error.to_string(), &way_out(&error, LINK_MANAGER)));
            None
        }
    }
}

/// Without approvals of the operator's own the vault need not be read: people find the request by its words.
async fn read_connections(azure: &Azure, vault: &VaultId, approves: bool) -> Finding {
    let (check, id) = (Check::VaultReads, vault.path());
    azure.arm.admit_read(vault.subscription()).await;
    match azure.arm.list_connections(vault).await {
        Ok(connections) => Finding::ok(check, id, &format!("it has {} connection(s)", connections.connections.len())),
        Err(error) => {
            let (message, way_out) = (error.to_string(), way_out(&error, CONNECTION_APPROVER));
            match error.failure {
                Failure::Forbidden | Failure::Denied if !approves => Finding::warning(check, id, &message, &way_out),
                _ => Finding::failed(check, id, &message, &way_out),
            }
        }
    }
}

/// The command that assigns a shipped role.
pub(super) fn grant(role: &str, identity: Option<&str>, scope: &str) -> String {
    let command = role_assignment(role, identity, scope);
    format!("{command} (the role is in deploy/azure/roles; an assignment takes up to ten minutes)")
}

/// What helps where a read that the operator needs was refused.
pub(super) fn way_out(error: &ArmError, role: &str) -> String {
    let scope = shell(&error.scope);
    match error.failure {
        Failure::Forbidden => grant(role, error.caller.as_deref(), &error.scope),
        Failure::NotFound(Level::Subscription) => {
            "the identity sees no such subscription: check the id, --cloud and AZURE_TENANT_ID".to_owned()
        }
        Failure::NotFound(_) => format!("check the id: az resource show --ids {scope}"),
        Failure::UnsupportedVersion => {
            "this cloud lags behind: give --signalr-api-version or --key-vault-api-version one that it has".to_owned()
        }
        Failure::Throttled(_) | Failure::Busy(_) | Failure::Transient(_) => "run doctor again in a minute".to_owned(),
        _ => format!("the words are ARM's own; az rest --method get --url {scope} would meet the same"),
    }
}

/// Where the link stands that an object asks for.
fn state(wanted: &Wanted, links: &Links) -> Finding {
    let (check, id) = (Check::LinkState, wanted.link.path());
    let Some(found) = links.named(&wanted.link) else {
        return Finding::ok(check, id, "it does not exist yet");
    };
    let stands = format!("{}, {}", found.provisioning.as_str(), found.connection.as_str());
    let LinkName { namespace, name } = &wanted.object;
    let way_out = format!("kubectl describe spl {name} -n {namespace} tells what to do");
    if !found.targets(&wanted.vault) {
        Finding::warning(check, id, &format!("it leads to {} ({stands})", found.target), &way_out)
    } else if found.provisioning.has_failed() || found.connection.is_turned_down() {
        Finding::warning(check, id, &stands, &way_out)
    } else {
        Finding::ok(check, id, &stands)
    }
}
