#!/usr/bin/env bash
# Builds a pinned tool once, and prints where it is.
# usage: go-tool.sh MODULE NAME PACKAGE [LDFLAGS]     MODULE: a directory with the go.mod and go.sum that pin it
#
# The cache is keyed by these two files, and by the sources of a tool of our own, and lies outside the checkout, so that
# a fresh clone finds the tool again.
set -euo pipefail
[ $# -ge 3 ] || { echo "usage: go-tool.sh MODULE NAME PACKAGE [LDFLAGS]" >&2; exit 2; }
module=$(cd "$1" && pwd)
name=$2 package=$3 ldflags=${4:-"-s -w"}

say() { printf '%s\n' "tools: $*" >&2; }
die() { printf '%s\n' "tools: error: $*" >&2; exit 1; }

shopt -s nullglob
key=$(cat "$module/go.mod" "$module/go.sum" "$module"/*.go | python3 -c 'import sys,hashlib; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest()[:16])')
cache="${XDG_CACHE_HOME:-$HOME/.cache}/signalr-private-link-operator/$(basename "$module")/$key"
if [ ! -x "$cache/$name" ]; then
    command -v go >/dev/null || die "Go is needed to build $name; install Go 1.26 or newer (https://go.dev/doc/install)"
    say "building $name (once; cached in $cache)"
    begun=$SECONDS
    mkdir -p "$cache"
    # Into a private name first: an interrupted build must not leave half a binary.
    CGO_ENABLED=0 go build -C "$module" -trimpath -ldflags "$ldflags" -o "$cache/.$name.$$" "$package" \
        || die "could not build $name from $package; see the compiler's words above"
    mv "$cache/.$name.$$" "$cache/$name"
    say "built $name in $((SECONDS - begun)) s"
fi
printf '%s\n' "$cache/$name"
