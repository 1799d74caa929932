#!/usr/bin/env bash
# Builds the pinned etcd, kube-apiserver and kubectl once, with --with-helm helm as well, and prints the directory
# that holds them on the last line of standard output.
#
# KUBEBUILDER_ASSETS (the convention of envtest) is honoured: what lies there is used and not built.
set -euo pipefail
cd "$(dirname "$0")"

say() { printf '%s\n' "tools: $*" >&2; }

wanted="etcd kube-apiserver kubectl"
if [ "${1:-}" = --with-helm ]; then wanted="$wanted helm"; fi

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
    missing=""
    for tool in $wanted; do [ -x "$KUBEBUILDER_ASSETS/$tool" ] || missing="$missing $tool"; done
    if [ -z "$missing" ]; then
        printf '%s\n' "$KUBEBUILDER_ASSETS"
        exit 0
    fi
    say "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS lacks$missing; building the pinned ones instead"
fi

# Without these the API server calls itself v0.0.0-master and helm refuses it.
kube=$(sed -nE 's|^\t?(require )?k8s.io/kubernetes (v[0-9.]+).*|\2|p' go.mod)
minor=$(printf '%s' "$kube" | cut -d. -f2)
ldflags="-s -w -X k8s.io/component-base/version.gitVersion=$kube -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=$minor"

for tool in $wanted; do
    case $tool in
        etcd) package=go.etcd.io/etcd/server/v3 ;;
        helm) package=helm.sh/helm/v4/cmd/helm ;;
        *) package=k8s.io/kubernetes/cmd/$tool ;;
    esac
    built=$(./go-tool.sh . "$tool" "$package" "$ldflags")
done
dirname "$built"
