#!/usr/bin/env bash
# Checks the workflows: with the pinned actionlint, which is built once, and for actions that no commit pins.
# usage: lint.sh [WORKFLOW...]
#
# actionlint has a module of its own, so that a new one does not build kube-apiserver again. The cache is keyed like that of
# build.sh, by go.mod and go.sum.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "workflows: $*" >&2; }
die() { printf '%s\n' "workflows: error: $*" >&2; exit 1; }

if [ $# -eq 0 ]; then
    shopt -s nullglob
    set -- .github/workflows/*.yml .github/workflows/*.yaml
fi
[ $# -gt 0 ] || die "there is no workflow in .github/workflows"

key=$(cat tools/lint/go.mod tools/lint/go.sum | python3 -c 'import sys,hashlib; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest()[:16])')
cache="${XDG_CACHE_HOME:-$HOME/.cache}/signalr-private-link-operator/lint/$key"
if [ ! -x "$cache/actionlint" ]; then
    command -v go >/dev/null || die "Go is needed to build actionlint; install Go 1.26 or newer (https://go.dev/doc/install)"
    say "building actionlint (once; cached in $cache)"
    begun=$SECONDS
    mkdir -p "$cache"
    # Into a private name first: an interrupted build must not leave half a binary.
    CGO_ENABLED=0 go build -C tools/lint -trimpath -ldflags "-s -w" -o "$cache/.actionlint.$$" github.com/rhysd/actionlint/cmd/actionlint \
        || die "could not build actionlint; see the compiler's words above"
    mv "$cache/.actionlint.$$" "$cache/actionlint"
    say "built actionlint in $((SECONDS - begun)) s"
fi

failed=0
# Without shellcheck and pyflakes, which are on some machines only: everywhere the same is checked.
"$cache/actionlint" -shellcheck= -pyflakes= "$@" || failed=1
# A tag can be moved to other code, a commit cannot. The comment is what people and Dependabot read.
loose=$(grep -nHE '^[[:space:]]*(-[[:space:]]+)?uses:' "$@" | grep -vE 'uses: (\./[^[:space:]]+|[^[:space:]@]+@[0-9a-f]{40} # v[0-9][0-9.]*)$' || true)
if [ -n "$loose" ]; then
    printf '%s\n' "$loose" >&2
    say "the actions above are not pinned as OWNER/ACTION@COMMIT # vVERSION"
    failed=1
fi
[ "$failed" -eq 0 ] || die "see above"
say "$# files, nothing to say against them"
