#!/usr/bin/env bash
# Checks the workflows: with the pinned actionlint, which is built once, and for actions that no commit pins.
# usage: lint.sh [WORKFLOW...]
#
# actionlint has a module of its own, so that a new one does not build kube-apiserver again.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "workflows: $*" >&2; }
die() { printf '%s\n' "workflows: error: $*" >&2; exit 1; }

if [ $# -eq 0 ]; then
    shopt -s nullglob
    set -- .github/workflows/*.yml .github/workflows/*.yaml
fi
[ $# -gt 0 ] || die "there is no workflow in .github/workflows"

actionlint=$(tools/go-tool.sh tools/lint actionlint github.com/rhysd/actionlint/cmd/actionlint)

failed=0
# Without shellcheck and pyflakes, which are on some machines only: everywhere the same is checked.
"$actionlint" -shellcheck= -pyflakes= "$@" || failed=1
# A tag can be moved to other code, a commit cannot. The comment is what people and Dependabot read.
loose=$(grep -nHE '^[[:space:]]*(-[[:space:]]+)?uses:' "$@" | grep -vE 'uses: (\./[^[:space:]]+|[^[:space:]@]+@[0-9a-f]{40} # v[0-9][0-9.]*)$' || true)
if [ -n "$loose" ]; then
    printf '%s\n' "$loose" >&2
    say "the actions above are not pinned as OWNER/ACTION@COMMIT # vVERSION"
    failed=1
fi
[ "$failed" -eq 0 ] || die "see above"
say "$# files, nothing to say against them"
