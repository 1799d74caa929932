//! The operator as a process, reached only as a user reaches it: flags, variables, signals.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::{Azure, Cluster, process};

/// A running operator; dropping it ends it, and so does the end of this process.
pub struct Operator {
    wrapper: Child,
    process: String,
    log: PathBuf,
}

/// Runs a command until it ends or standard input does: the pipe behind it is held by the starting
/// process only, so nothing is left behind after a panic or a kill -9 of that one.
pub(crate) const WRAPPER: &str = r#"
exec 3<&0
"$@" 3<&- >>"$LOG" 2>&1 </dev/null &
process=$!
echo "$process"
exec >/dev/null 2>&1
( cat <&3 >/dev/null; kill -TERM "$process"; sleep 5; kill -KILL "$process" ) 2>/dev/null &
watcher=$!
wait "$process"
code=$?
kill "$watcher" 2>/dev/null
exit "$code"
"#;

/// The operator's binary beside this process's own: cargo puts both below one target directory.
///
/// # Errors
/// When it was not built.
pub fn binary() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let found = own
        .ancestors()
        .skip(1)
        .take(2)
        .map(|dir| dir.join("signalr-private-link-operator"))
        .find(|path| path.is_file());
    found.context("the operator is not built; run cargo build first")
}

/// Settings of an operator that a test or the demo starts.
pub struct Settings<'a> {
    /// The binary.
    pub binary: &'a Path,
    /// The cluster's kubeconfig.
    pub kubeconfig: PathBuf,
    /// Variables, over those of the simulator.
    pub environment: Vec<(String, String)>,
    /// Further flags of `run`.
    pub flags: Vec<String>,
    /// Where its log goes; it is appended to.
    pub log: PathBuf,
}

impl<'a> Settings<'a> {
    /// As a developer would run it: against this cluster and this simulator, at this pace.
    #[must_use]
    pub fn new(binary: &'a Path, cluster: &Cluster, azure: &Azure, pace: &str) -> Self {
        Self {
            binary,
            kubeconfig: cluster.kubeconfig(),
            environment: azure.environment(),
            flags: ["--pace", pace, "--metrics-address", "0", "--health-address", "0"].map(str::to_owned).to_vec(),
            log: cluster.directory().join("operator.log"),
        }
    }

    /// The command, with nothing of this process's own Azure or Kubernetes settings.
    ///
    /// # Errors
    /// When the log cannot be opened.
    pub fn command(&self) -> anyhow::Result<Command> {
        Ok(self.subcommand("run"))
    }

    /// Another subcommand that takes the same settings.
    #[must_use]
    pub fn subcommand(&self, name: &str) -> Command {
        let mut command = Command::new(self.binary);
        command.arg(name).args(&self.flags).env_clear();
        for name in ["PATH", "HOME", "SSL_CERT_FILE", "SSL_CERT_DIR"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.env("KUBECONFIG", &self.kubeconfig).envs(self.environment.iter().cloned()).stdin(Stdio::null());
        command
    }
}

impl Operator {
    /// Starts the operator.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn start(settings: &Settings<'_>) -> anyhow::Result<Self> {
        let command = settings.command()?;
        let mut wrapper = Command::new("sh");
        wrapper.args(["-c", WRAPPER, "operator"]).arg(command.get_program()).args(command.get_args()).env_clear();
        wrapper.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("LOG", &settings.log);
        let mut wrapper = wrapper
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .with_context(|| format!("{} cannot be run", settings.binary.display()))?;
        let mut process = String::new();
        if let Some(stdout) = wrapper.stdout.take() {
            BufReader::new(stdout).read_line(&mut process)?;
        }
        Ok(Self { wrapper, process: process.trim().to_owned(), log: settings.log.clone() })
    }

    fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let sent = Command::new("kill").args([signal, &self.process]).status()?;
        anyhow::ensure!(sent.success(), "the operator has ended already; the end of its log:\n{}", self.log());
        Ok(())
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Kills it without a warning, as `kill -9` does.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.signal("-KILL")?;
        self.wrapper.wait()?;
        Ok(())
    }

    /// Stops it where it stands, as a machine does that has no time for it.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal("-STOP")
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.signal("-CONT")
    }

    /// Asks it to end, as Kubernetes does, and waits.
    ///
    /// # Errors
    /// When it does not end within half a minute.
    pub fn terminate(mut self) -> anyhow::Result<ExitStatus> {
        self.signal("-TERM")?;
        let begun = Instant::now();
        loop {
            if let Some(status) = self.wrapper.try_wait()? {
                return Ok(status);
            }
            anyhow::ensure!(begun.elapsed() < Duration::from_secs(30), "the operator did not end on SIGTERM");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Its resident memory in KiB, where /proc tells.
    #[must_use]
    pub fn memory(&self) -> Option<u64> {
        process::status(&self.process, "VmRSS:")
    }

    /// The most resident memory that it has had so far, in KiB, where /proc tells.
    #[must_use]
    pub fn peak_memory(&self) -> Option<u64> {
        process::status(&self.process, "VmHWM:")
    }

    /// The processor time that it has used so far, where /proc tells.
    #[must_use]
    pub fn processor_time(&self) -> Option<Duration> {
        process::processor_time(&self.process)
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        // The end of its input is what the wrapper waits for.
        self.wrapper.stdin = None;
        let _ = self.wrapper.wait();
    }
}
