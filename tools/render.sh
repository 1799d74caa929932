#!/usr/bin/env bash
# Writes the manifests for kubectl, made by the chart: operator.yaml beside every values.yaml in deploy/.
set -euo pipefail
cd "$(dirname "$0")/.."
helm=$(tools/build.sh --with-helm)/helm
name=signalr-private-link-operator
for values in deploy/*/values.yaml deploy/overlays/*/values.yaml; do
    directory=$(dirname "$values")
    {
        echo "# Made of the chart and $values by \`make generate\`."
        # Whoever applies this does not use Helm.
        "$helm" template "$name" "charts/$name" --namespace "$name" --values "$values" --set crds.enabled=false --skip-tests \
            | grep -vE '^# Source: |helm\.sh/chart: |app\.kubernetes\.io/managed-by: Helm'
    } >"$directory/operator.yaml"
done
