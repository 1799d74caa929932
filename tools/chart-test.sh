#!/usr/bin/env bash
# The chart and the manifests render, with their defaults and with everything switched.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$(tools/build.sh --with-helm)
chart=charts/signalr-private-link-operator
passed=0
ok() { passed=$((passed + 1)); printf 'ok   %s\n' "$1"; }

"$bin/helm" lint --quiet "$chart" && ok "helm lint"
rendered=$("$bin/helm" template test "$chart" -n operator)
[ "$(grep -c '^kind: CustomResourceDefinition' <<<"$rendered")" = 2 ] && ok "the chart installs both definitions"
rendered=$("$bin/helm" template test "$chart" -n operator --set crds.enabled=false)
! grep -q '^kind: CustomResourceDefinition' <<<"$rendered" && ok "crds.enabled=false leaves them out"
! "$bin/helm" template test "$chart" --set azure.cloud=Nowhere >/dev/null 2>&1 && ok "a wrong value is refused by the schema"
# Tenants must never be able to write approval policies.
roles=$("$bin/helm" template test "$chart" -n operator | awk 'BEGIN{RS="---"} /aggregate-to-/')
! grep -q approvalpolicies <<<"$roles" && ok "the aggregated user roles leave approval policies out"
"$bin/kubectl" kustomize deploy/base >/dev/null && ok "deploy/base renders"
"$bin/kubectl" kustomize deploy/overlays/workload-identity >/dev/null && ok "deploy/overlays/workload-identity renders"
printf 'chart: %s passed, 0 failed\n' "$passed"
