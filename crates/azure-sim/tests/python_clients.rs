//! Microsoft's own Python clients, pinned, against the simulator.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

mod common;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A virtual environment with the pinned clients, made once and kept where a fresh clone finds it.
fn environment() -> PathBuf {
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/requirements.txt");
    let mut hasher = DefaultHasher::new();
    std::fs::read_to_string(&requirements).unwrap().hash(&mut hasher);
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").expect("HOME is not set")).join(".cache"),
        PathBuf::from,
    );
    let directory = cache.join("signalr-private-link-operator/python").join(format!("{:016x}", hasher.finish()));
    let complete = directory.join("complete");
    if complete.exists() {
        return directory;
    }
    // Whatever an interrupted installation left is made anew.
    let _ = std::fs::remove_dir_all(&directory);
    let made = Command::new("python3").args(["-m", "venv"]).arg(&directory).status();
    assert!(
        made.is_ok_and(|s| s.success()),
        "python3 -m venv failed; install Python 3.9 or newer with the venv module"
    );
    let installed =
        Command::new(directory.join("bin/pip")).args(["install", "--quiet", "-r"]).arg(&requirements).status();
    assert!(
        installed.is_ok_and(|s| s.success()),
        "pip could not install {}; is the Python package index reachable?",
        requirements.display()
    );
    std::fs::write(complete, "").unwrap();
    directory
}

#[tokio::test(flavor = "multi_thread")]
async fn create_list_approve_wait_and_delete() {
    let azure = common::Azure::serve().await;
    let directory = environment();
    let ca_file = std::env::temp_dir().join(format!("azure-sim-ca-{}.pem", std::process::id()));
    std::fs::write(&ca_file, azure.ca()).unwrap();
    let mut command = Command::new(directory.join("bin/python"));
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/microsoft_clients.py"))
        .args([azure.endpoint().as_str(), &ca_file.to_string_lossy()])
        .args([&azure.config.tenant_id, &azure.config.client_id, &azure.config.client_secret])
        .args([common::SIGNALR, common::VAULT]);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    std::fs::remove_file(&ca_file).unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said.lines().filter(|line| line.starts_with("ok ")).count(), 7, "{said}");
}
