//! The cluster: whether it can be reached, what is installed there, and what the operator may do.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::authorization::v1::{SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion,
};
use k8s_openapi::apimachinery::pkg::version::Info;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt as _};
use serde_json::Value;

use super::rights::{self, Access};
use super::{Check, Finding, Report};
use crate::api;
use crate::azure::causes;
use crate::config::RunArgs;
use crate::controller::NAME;
use crate::kubernetes::{KubeFailure, connect, within};

/// The oldest version that the operator is made for.
const OLDEST: (u32, u32) = (1, 33);
/// The first answer has to be there by then. The other calls have the operator's own deadline, which is as long.
const DEADLINE: Duration = Duration::from_secs(20);

const LOOK_AT_ACCESS: &str = "try kubectl get --raw /version: a laptop needs a kubeconfig (KUBECONFIG or ~/.kube/config), a pod the token of its service account";

/// Examines the cluster; the client, or the check without which nothing can be said of it.
pub(super) async fn examine(args: &RunArgs, report: &mut Report) -> Result<Client, Check> {
    let (client, version) = match reach().await {
        Ok(reached) => reached,
        Err(why) => {
            report.add(Finding::failed(Check::ApiServer, "", &why, LOOK_AT_ACCESS));
            report.skip(&[Check::Definition, Check::KubernetesRight], "", Check::ApiServer);
            if args.leader_elect {
                report.skip(&[Check::Lease], &args.lease_name, Check::ApiServer);
            }
            return Err(Check::ApiServer);
        }
    };
    report.add(supported(&version));
    for definition in api::crds() {
        report.add(installed(&client, &definition).await);
    }
    permitted(&client, args, report).await;
    if args.leader_elect {
        report.add(lease(&client, &args.lease_name).await);
    }
    Ok(client)
}

async fn reach() -> Result<(Client, Info), String> {
    let late = |_| format!("no answer within {} s", DEADLINE.as_secs());
    let client = tokio::time::timeout(DEADLINE, connect(Arc::default())).await.map_err(late)?;
    let client = client.map_err(|error| format!("{error:#}"))?;
    let version = tokio::time::timeout(DEADLINE, client.apiserver_version()).await.map_err(late)?;
    match version {
        Ok(version) => Ok((client, version)),
        Err(kube::Error::Api(status)) => Err(format!("{}: {}", status.code, status.message)),
        Err(error) => Err(causes(&error)),
    }
}

/// The numbers of a version; clouds write `33+`.
fn numbers(version: &Info) -> Option<(u32, u32)> {
    let number = |text: &str| text.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().ok();
    Some((number(&version.major)?, number(&version.minor)?))
}

fn supported(version: &Info) -> Finding {
    let message = format!("Kubernetes {}", version.git_version);
    if numbers(version).is_some_and(|version| version < OLDEST) {
        let (major, minor) = OLDEST;
        let way_out = format!("the operator is made for {major}.{minor} and newer: upgrade the cluster");
        return Finding::warning(Check::ApiServer, "", &message, &way_out);
    }
    Finding::ok(Check::ApiServer, "", &message)
}

fn install() -> String {
    format!("{NAME} crds | kubectl apply --server-side --force-conflicts -f -, or helm upgrade with crds.enabled")
}

/// Whether a definition is there, and is ours.
async fn installed(client: &Client, ours: &CustomResourceDefinition) -> Finding {
    let name = ours.name_any();
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let found = match within(definitions.get_opt(&name)).await {
        Ok(found) => found,
        // The operator's own role lets it read one of them only.
        Err(KubeFailure::Forbidden(_)) => return served(client, ours).await,
        Err(error) => return Finding::failed(Check::Definition, &name, &error.to_string(), &install()),
    };
    let Some(found) = found else {
        return Finding::failed(Check::Definition, &name, "it is not installed", &install());
    };
    if found.metadata.deletion_timestamp.is_some() {
        let way_out = format!("nothing can stop that; when it is gone: {}", install());
        return Finding::failed(Check::Definition, &name, "it is being deleted, with all its objects", &way_out);
    }
    match difference(&ours.spec.versions, &found.spec.versions) {
        Some(difference) => {
            let message = format!("{difference}; this is version {}", env!("CARGO_PKG_VERSION"));
            Finding::warning(Check::Definition, &name, &message, &install())
        }
        None => Finding::ok(Check::Definition, &name, "it is installed as this version has it"),
    }
}

/// Whether the kind is served, which everybody may ask.
async fn served(client: &Client, ours: &CustomResourceDefinition) -> Finding {
    let (name, spec) = (ours.name_any(), &ours.spec);
    for version in &spec.versions {
        let group_version = format!("{}/{}", spec.group, version.name);
        let kinds = match within(client.list_api_group_resources(&group_version)).await {
            Ok(list) => list.resources,
            Err(KubeFailure::NotFound) => Vec::new(),
            Err(error) => return Finding::failed(Check::Definition, &name, &error.to_string(), &install()),
        };
        if !kinds.iter().any(|kind| kind.kind == spec.names.kind) {
            let message = format!("the kind {} is not served at {group_version}", spec.names.kind);
            return Finding::failed(Check::Definition, &name, &message, &install());
        }
    }
    let message =
        "its kind is served; the schema was not compared, for the operator has no right to read it and needs none";
    Finding::ok(Check::Definition, &name, message)
}

/// What of ours is missing there, or is another one.
fn difference(ours: &[CustomResourceDefinitionVersion], theirs: &[CustomResourceDefinitionVersion]) -> Option<String> {
    ours.iter().find_map(|version| {
        let name = &version.name;
        match theirs.iter().find(|there| there.name == *name) {
            None => Some(format!("the version {name} is missing")),
            Some(there) if !there.served => Some(format!("the version {name} is not served")),
            Some(there) if schema(there) != schema(version) => {
                Some(format!("the schema of {name} is that of another version"))
            }
            Some(_) => None,
        }
    })
}

/// The schema without what says nothing: the API server leaves that out.
fn schema(version: &CustomResourceDefinitionVersion) -> Option<Value> {
    fn says_something(value: &Value) -> bool {
        match value {
            Value::Null | Value::Bool(false) => false,
            Value::Array(items) => !items.is_empty(),
            Value::Object(fields) => !fields.is_empty(),
            _ => true,
        }
    }
    fn essence(value: Value) -> Value {
        match value {
            Value::Array(items) => items.into_iter().map(essence).collect(),
            Value::Object(fields) => {
                let fields = fields.into_iter().map(|(name, value)| (name, essence(value)));
                fields.filter(|(_, value)| says_something(value)).collect()
            }
            other => other,
        }
    }
    serde_json::to_value(&version.schema).ok().map(essence)
}

/// Asks of every right that the operator uses whether it has it.
async fn permitted(client: &Client, args: &RunArgs, report: &mut Report) {
    let lease = args.leader_elect.then(|| (client.default_namespace(), args.lease_name.as_str()));
    let needed = rights::needed(&args.watch_namespaces, lease);
    let mut missing = 0;
    for access in &needed {
        match is_allowed(client, access).await {
            Ok(true) => {}
            Ok(false) => {
                missing += 1;
                let way_out = format!("add a rule to {}; the chart does so with rbac.create", access.rule());
                let finding =
                    Finding::failed(Check::KubernetesRight, &access.to_string(), "the right is missing", &way_out);
                report.add(finding);
            }
            Err(error) => {
                let way_out =
                    "let system:authenticated create selfsubjectaccessreviews, as the role system:basic-user does";
                return report.add(Finding::failed(Check::KubernetesRight, "", &error.to_string(), way_out));
            }
        }
    }
    if missing == 0 {
        let message = format!("all {} rights that the operator uses", needed.len());
        report.add(Finding::ok(Check::KubernetesRight, "", &message));
    }
}

async fn is_allowed(client: &Client, access: &Access) -> Result<bool, KubeFailure> {
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let spec = SelfSubjectAccessReviewSpec {
        resource_attributes: Some(access.attributes()),
        ..SelfSubjectAccessReviewSpec::default()
    };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let answer = within(reviews.create(&PostParams::default(), &review)).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

async fn lease(client: &Client, name: &str) -> Finding {
    let leases: Api<Lease> = Api::default_namespaced(client.clone());
    let subject = format!("{}/{name}", client.default_namespace());
    match within(leases.get_opt(name)).await {
        Ok(lease) => Finding::ok(Check::Lease, &subject, &held(lease.and_then(|lease| lease.spec), Timestamp::now())),
        Err(error) => {
            let way_out =
                "the replicas cannot elect a leader without it: give them the rights of the chart's Role for the Lease";
            Finding::failed(Check::Lease, &subject, &error.to_string(), way_out)
        }
    }
}

/// Who holds the Lease.
fn held(spec: Option<LeaseSpec>, now: Timestamp) -> String {
    let LeaseSpec { holder_identity, renew_time, .. } = spec.unwrap_or_default();
    // Whoever gives it back leaves an empty name there.
    let Some(holder) = holder_identity.filter(|holder| !holder.is_empty()) else {
        return "nobody holds it".to_owned();
    };
    match renew_time {
        Some(renewed) => format!("{holder} holds it, and renewed it {} s ago", now.duration_since(renewed.0).as_secs()),
        None => format!("{holder} holds it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn a_version_below_the_oldest_is_told() {
        let verdict = |major: &str, minor: &str| {
            let (major, minor) = (major.to_owned(), minor.to_owned());
            supported(&Info { major, minor, ..Info::default() }).verdict
        };
        for (major, minor, expected) in [
            ("1", "33", Verdict::Ok),
            ("1", "33+", Verdict::Ok),
            ("1", "32+", Verdict::Warning),
            ("2", "0", Verdict::Ok),
            ("", "", Verdict::Ok),
        ] {
            assert_eq!(verdict(major, minor), expected, "{major}.{minor}");
        }
    }

    #[test]
    fn a_definition_differs_by_what_it_says_only() {
        let ours = api::crds().remove(0);
        let mut theirs = ours.clone();
        let compare = |theirs: &CustomResourceDefinition| difference(&ours.spec.versions, &theirs.spec.versions);
        assert_eq!(compare(&theirs), None);
        let root = theirs.spec.versions[0].schema.as_mut().unwrap().open_api_v3_schema.as_mut().unwrap();
        (root.nullable, root.enum_) = (Some(false), Some(Vec::new()));
        assert_eq!(compare(&theirs), None);
        let root = theirs.spec.versions[0].schema.as_mut().unwrap().open_api_v3_schema.as_mut().unwrap();
        root.properties.as_mut().unwrap().remove("status");
        assert!(compare(&theirs).unwrap().contains("another version"));
        theirs.spec.versions[0].name = "v2".into();
        assert!(compare(&theirs).unwrap().contains("missing"));
    }
}
