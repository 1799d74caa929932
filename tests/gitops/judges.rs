//! The program in `tools/gitops`, which asks the libraries of the controllers.

use std::io::{Seek as _, Write as _};
use std::process::{Command, Output, Stdio};

use serde::Deserialize;
use serde_json::Value;

use crate::integrations;

/// What is said of one object.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Said {
    pub argo: String,
    pub argo_message: String,
    /// The actions that Argo CD offers.
    pub actions: Vec<String>,
    pub kstatus: String,
    pub flux: String,
    /// What failed on the way.
    pub problems: Vec<String>,
}

/// Runs the program; `stdin` is a line for each object.
fn run(arguments: &[&str], stdin: Stdio) -> Output {
    let argo = integrations("argocd/resource_customizations");
    let mut command = Command::new(testkit::tools::gitops().unwrap());
    command.arg("-argo").arg(argo).args(arguments).stdin(stdin);
    command.output().unwrap()
}

/// What the program printed.
fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What all three say of these objects.
pub fn judge<'a>(objects: impl IntoIterator<Item = &'a Value>) -> Vec<Said> {
    let mut lines = tempfile::tempfile().unwrap();
    for object in objects {
        writeln!(lines, "{object}").unwrap();
    }
    lines.rewind().unwrap();
    let checks = integrations("flux/health-checks.yaml");
    let said = printed(&run(&["-flux", checks.to_str().unwrap()], lines.into()));
    said.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// Runs Argo CD's own tests of the customizations; how many there were.
pub fn run_argo_tests() -> usize {
    let said = printed(&run(&["-test"], Stdio::null()));
    said.strip_suffix(" tests\n").and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{said}"))
}
