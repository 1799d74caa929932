#!/usr/bin/env bash
# The chart and the manifests render, with their defaults and with everything switched. One check that
# fails makes the whole script fail, and so does a check that was not run.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
bin=$(tools/build.sh --with-helm) || exit 1
chart=charts/signalr-private-link-operator
checks=0 failed=0
# check NAME COMMAND...: the command has to succeed; it is shown with what it printed where it does not.
check() {
    local name=$1 output
    shift
    checks=$((checks + 1))
    if output=$("$@" 2>&1); then
        printf 'ok   %s\n' "$name"
    else
        failed=$((failed + 1))
        printf 'FAIL %s\n%s\n' "$name" "$output"
    fi
}
render() { "$bin/helm" template test "$chart" -n operator "$@"; }
# Each of these renders first: a helm that fails makes the check fail, whatever is looked for.
counts() { # NUMBER PATTERN ARGUMENTS...: so many lines match
    local wanted=$1 pattern=$2 rendered
    shift 2
    rendered=$(render "$@") || { printf '%s\n' "$rendered"; return 1; }
    local found
    found=$(grep -cE -- "$pattern" <<<"$rendered")
    [ "$found" = "$wanted" ] || { printf 'lines that match %s: %s, expected %s\n' "$pattern" "$found" "$wanted"; return 1; }
}
refused() { # PATTERN ARGUMENTS...: rendering fails with these words
    local pattern=$1 output
    shift
    if output=$(render "$@" 2>&1); then printf 'it was accepted\n'; return 1; fi
    grep -qE -- "$pattern" <<<"$output" || { printf 'refused with other words: %s\n' "$output"; return 1; }
}
tenants_write_no_policies() { # Tenants must never be able to write approval policies.
    local rendered roles
    rendered=$(render) || { printf '%s\n' "$rendered"; return 1; }
    roles=$(awk 'BEGIN{RS="---"} /aggregate-to-/' <<<"$rendered")
    [ -n "$roles" ] || { printf 'there are no aggregated roles\n'; return 1; }
    ! grep -q approvalpolicies <<<"$roles"
}
labels_are_valid_with_a_plus_in_the_version() {
    local copy rendered
    copy=$(mktemp -d) || return 1
    cp -r "$chart" "$copy/chart" && sed -i 's/^version: .*/version: 0.1.0+build.5/' "$copy/chart/Chart.yaml"
    rendered=$("$bin/helm" template test "$copy/chart" -n operator) || { rm -rf "$copy"; printf '%s\n' "$rendered"; return 1; }
    rm -rf "$copy"
    grep -q 'helm.sh/chart: signalr-private-link-operator-0.1.0_build.5' <<<"$rendered" && ! grep -q 'helm.sh/chart: .*[+]' <<<"$rendered"
}

check "helm lint" "$bin/helm" lint --quiet "$chart"
check "the chart installs both definitions" counts 2 '^kind: CustomResourceDefinition'
check "crds.enabled=false leaves them out" counts 0 '^kind: CustomResourceDefinition' --set crds.enabled=false
check "a wrong value is refused by the schema" refused 'azure.cloud|/azure/cloud' --set azure.cloud=Nowhere
check "the aggregated user roles leave approval policies out" tenants_write_no_policies
check "the container's user is a number" counts 1 'runAsUser: 65532$'
check "a plus in the version makes no wrong label" labels_are_valid_with_a_plus_in_the_version
workload='azure.workload.identity/use'
check "workload identity is asked for with a client id" counts 1 "$workload" --set azure.clientId=00000000-0000-0000-0000-000000000000
for other in azure.credential=ManagedIdentity azure.clientSecretName=secret; do
    check "and not with $other" counts 0 "$workload" --set "azure.clientId=00000000-0000-0000-0000-000000000000,$other"
done
check "a proxy and a mounted CA can be given" counts 4 'HTTPS_PROXY|mountPath: /ca|name: ca' \
    --set 'extraEnv[0].name=HTTPS_PROXY,extraEnv[0].value=http://proxy:3128' \
    --set 'extraVolumes[0].name=ca,extraVolumeMounts[0].name=ca,extraVolumeMounts[0].mountPath=/ca'
check "the image's user is a number" grep -qE '^USER [0-9]+(:[0-9]+)?$' Dockerfile
check "deploy/base renders" "$bin/kubectl" kustomize deploy/base
check "the container's user is a number in deploy/base" grep -q 'runAsUser: 65532$' deploy/base/deployment.yaml
check "deploy/overlays/workload-identity renders" "$bin/kubectl" kustomize deploy/overlays/workload-identity

expected=15
if [ "$checks" != "$expected" ]; then
    printf 'error: %s checks were run, and %s are expected\n' "$checks" "$expected"
    failed=$((failed + 1))
fi
printf 'chart: %s checks, %s failed\n' "$checks" "$failed"
[ "$failed" = 0 ]
