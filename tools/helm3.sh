#!/usr/bin/env bash
# Builds the pinned Helm 3 once, and prints where it is.
set -euo pipefail
cd "$(dirname "$0")"
# As Helm's own releases: without these it takes every cluster for one of Kubernetes 1.20.
minor=$(sed -nE 's|.*k8s.io/client-go v0\.([0-9]+).*|\1|p' helm3/go.mod)
version="helm.sh/helm/v3/pkg/chartutil.k8sVersion"
exec ./go-tool.sh helm3 helm helm.sh/helm/v3/cmd/helm "-s -w -X ${version}Major=1 -X ${version}Minor=$minor"
