//! What GitOps controllers make of the objects, said by the libraries that they run themselves: Argo CD's Lua,
//! kstatus, and Flux's evaluator of `healthCheckExprs`; and the files in `integrations` that tell them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod argocd;
mod examples;
mod judges;
mod states;
mod verdicts;

use std::path::{Path, PathBuf};

use serde_json::Value;

/// A file or directory of `integrations`.
fn integrations(path: &str) -> PathBuf {
    testkit::tools::root().join("integrations").join(path)
}

/// The documents of a YAML file.
fn documents(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

/// Holds a file against what it is made of; `UPDATE=1` writes it.
fn is_made_of(file: &Path, made: &str) {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(file, made).unwrap();
    }
    let is = std::fs::read_to_string(file).unwrap_or_default();
    for (line, (is, made)) in is.lines().zip(made.lines()).enumerate() {
        assert_eq!(is, made, "line {} of {}; UPDATE=1 cargo test --test gitops writes it", line + 1, file.display());
    }
    assert!(is == made, "{} has other lines; UPDATE=1 cargo test --test gitops writes it", file.display());
}
