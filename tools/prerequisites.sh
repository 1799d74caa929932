#!/usr/bin/env bash
# Says what is missing, all at once and before anything is built.
set -euo pipefail
missing=0
need() { # command what-for how-to-get-it
    command -v "$1" >/dev/null && return 0
    printf '%s\n' "missing: $1 ($2); $3" >&2
    missing=1
}
need git "the sources" "install git"
need cargo "the operator is written in Rust" "see https://rustup.rs"
need go "kube-apiserver, etcd and kubectl are built from their Go modules" "see https://go.dev/doc/install"
need python3 "Microsoft's own clients test the simulator" "install Python 3.9 or newer with venv"
need cc "the cryptography library is partly written in C" "install gcc or clang"
exit "$missing"
