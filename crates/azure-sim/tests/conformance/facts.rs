//! Where Microsoft's definitions and recordings are.

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A directory of the facts; where it is absent, says that the test is skipped, and why.
pub fn directory(name: &str) -> Option<PathBuf> {
    let facts = std::env::var_os("AZURE_FACTS_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/azure"),
        PathBuf::from,
    );
    let directory = facts.join(name);
    if directory.is_dir() {
        return Some(directory);
    }
    // Past the capture of tests that pass: who runs them should know that nothing was compared.
    let _ = writeln!(
        std::io::stderr(),
        "skipped: Azure's {name} are not in {}; set AZURE_FACTS_DIR to a directory that holds them",
        facts.display()
    );
    None
}
