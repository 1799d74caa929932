#!/usr/bin/env bash
# Writes the CustomResourceDefinitions of the Prometheus operator, Argo CD and Flux once, and prints the directory that
# holds them. They are made of the pinned Go types by the generator that these projects use themselves; Argo CD's is a file
# of its module.
set -euo pipefail
cd "$(dirname "$0")"

generator=$(./go-tool.sh definitions controller-gen sigs.k8s.io/controller-tools/cmd/controller-gen)
written=$(dirname "$generator")/definitions
if [ ! -d "$written" ]; then
    cd definitions
    # Into a private name first: whoever is interrupted must not leave half of them.
    private=$written.$$
    "$generator" crd "paths=$(go list -f '{{join .Imports ";"}}' .)" "output:crd:dir=$private" >&2
    argo=$(go list -f '{{.Module.Dir}}' github.com/argoproj/argo-cd/v3/assets)
    install -m 0644 "$argo/manifests/crds/application-crd.yaml" "$private/argoproj.io_applications.yaml"
    mv "$private" "$written"
fi
printf '%s\n' "$written"
