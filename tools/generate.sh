#!/usr/bin/env bash
# Writes each CustomResourceDefinition that the operator prints into a file named by its plural.
# usage: generate.sh OPERATOR DIRECTORY...
set -euo pipefail
operator=$1
shift
"$operator" crds | python3 -c '
import pathlib, re, sys
documents = [d for d in re.split(r"^---\n", sys.stdin.read(), flags=re.M) if d.strip()]
for directory in map(pathlib.Path, sys.argv[1:]):
    directory.mkdir(parents=True, exist_ok=True)
    for document in documents:
        plural = re.search(r"^  name: ([a-z]+)\.", document, flags=re.M).group(1)
        (directory / f"{plural}.yaml").write_text("# Generated from the Rust types by `make generate`.\n" + document)
' "$@"
