#!/usr/bin/env bash
# Sums up a log of `cargo test`: what was run, and what was skipped and why.
# usage: summary.sh LOG
set -euo pipefail
log=$1
grep '^skipped: ' "$log" | sort -u || true
awk '
    /^test result: / { passed += $4; failed += $6; ignored += $8; binaries++ }
    /^skipped: / { skipped[$0] = 1 }
    END {
        count = 0
        for (line in skipped) count++
        printf "%d test programs\n", binaries
        printf "tests: %d passed, %d failed, %d skipped\n", passed - count, failed, ignored + count
    }
' "$log"
