#!/usr/bin/env bash
# Builds the pinned etcd, kube-apiserver, kubectl and helm once, and prints the
# directory that holds them on the last line of standard output.
#
# The cache is keyed by go.mod and go.sum, outside the checkout, so that a fresh
# clone finds them again. KUBEBUILDER_ASSETS (the convention of envtest) is
# honoured: what lies there is used and not built.
set -euo pipefail
cd "$(dirname "$0")"

say() { printf '%s\n' "tools: $*" >&2; }
die() { printf '%s\n' "tools: error: $*" >&2; exit 1; }

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

command -v go >/dev/null || die "Go is needed to build kube-apiserver, etcd, kubectl and helm; install Go 1.26 or newer (https://go.dev/doc/install), or set KUBEBUILDER_ASSETS to a directory that holds: $wanted"

# Sources, not the working directory, decide: the same pin is built once per user.
key=$(cat go.mod go.sum | python3 -c 'import sys,hashlib; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest()[:16])')
cache="${XDG_CACHE_HOME:-$HOME/.cache}/signalr-private-link-operator/tools/$key"
mkdir -p "$cache"

kube=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
minor=$(printf '%s' "$kube" | cut -d. -f2)
# Without these the API server calls itself v0.0.0-master and helm refuses it.
ldflags="-s -w -X k8s.io/component-base/version.gitVersion=$kube -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=$minor"

build() { # name package
    [ -x "$cache/$1" ] && return 0
    say "building $1 (once; cached in $cache)"
    begun=$SECONDS
    # Into a private name first: an interrupted build must not leave half a binary.
    CGO_ENABLED=0 go build -trimpath -ldflags "$ldflags" -o "$cache/.$1.$$" "$2" \
        || die "could not build $1 from $2; see the compiler's words above"
    mv "$cache/.$1.$$" "$cache/$1"
    say "built $1 in $((SECONDS - begun)) s"
}

for tool in $wanted; do
    case $tool in
        etcd) build etcd go.etcd.io/etcd/server/v3 ;;
        kube-apiserver) build kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver ;;
        kubectl) build kubectl k8s.io/kubernetes/cmd/kubectl ;;
        helm) build helm helm.sh/helm/v4/cmd/helm ;;
    esac
done
printf '%s\n' "$cache"
