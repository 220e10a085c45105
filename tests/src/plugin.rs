//! The plugin as a container runtime calls it: environment, standard input, exit code, standard output.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::command;
use crate::netns::Netns;
use crate::sandbox::Sandbox;

/// A call of the plugin.
#[derive(Debug, Clone)]
#[must_use]
pub struct Invocation<'n> {
    netns: &'n Netns,
    argv: Vec<String>,
    environment: BTreeMap<String, String>,
    config: Value,
    stdin: Option<Vec<u8>>,
    log: PathBuf,
}

impl<'n> Invocation<'n> {
    /// `command` of the plugin at `program`, without an attachment.
    pub fn new(netns: &'n Netns, program: &Path, config: Value, log: PathBuf, command: &str) -> Self {
        let argv = vec![program.display().to_string()];
        let call = Self { netns, argv, environment: BTreeMap::new(), config, stdin: None, log };
        let dir = program.parent().unwrap_or(program).display().to_string();
        call.env("CNI_COMMAND", command).env("CNI_PATH", &dir)
    }

    /// The attachment's environment, CNI_ARGS as kubelet's runtime writes them.
    pub fn of(self, sandbox: &Sandbox) -> Self {
        let Sandbox { netns, container, ifname, namespace, pod, uid } = sandbox;
        let arguments = format!(
            "IgnoreUnknown=1;K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={pod};K8S_POD_INFRA_CONTAINER_ID={container};K8S_POD_UID={uid}"
        );
        self.env("CNI_CONTAINERID", container)
            .env("CNI_NETNS", &netns.path().display().to_string())
            .env("CNI_IFNAME", ifname)
            .env("CNI_ARGS", &arguments)
    }

    /// With this variable.
    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.environment.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Without this variable.
    pub fn without(mut self, key: &str) -> Self {
        self.environment.remove(key);
        self
    }

    /// With this key in the configuration.
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.config[key] = value.into();
        self
    }

    /// With a configuration of this `cniVersion`.
    pub fn version(self, version: &str) -> Self {
        self.with("cniVersion", version)
    }

    /// With these bytes in place of the configuration.
    pub fn stdin(self, bytes: impl Into<Vec<u8>>) -> Self {
        Self { stdin: Some(bytes.into()), ..self }
    }

    /// As user `nobody`, by a copy of the plugin that this user can reach.
    ///
    /// # Errors
    /// When the plugin cannot be copied.
    pub fn as_nobody(mut self) -> Result<Self> {
        let copy = self.log.with_file_name("flock-of-nobody");
        std::fs::copy(&self.argv[0], &copy)?;
        let user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];
        self.argv = user.iter().map(|&word| word.to_owned()).chain([copy.display().to_string()]).collect();
        Ok(self)
    }

    /// Runs it in the node's namespace.
    ///
    /// # Errors
    /// When it cannot be started or hangs.
    pub fn run(self) -> Result<Outcome> {
        let (mut plugin, stdin) = (self.command(), self.input()?);
        let outcome = self.netns.enter(|| outcome(&mut plugin, &stdin))??;
        self.record(&outcome)?;
        Ok(outcome)
    }

    /// Runs it, however long it takes, and returns the time from its start to its end as well.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn time(&self) -> Result<(Duration, Outcome)> {
        let (mut plugin, stdin) = (self.command(), self.input()?);
        plugin.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.netns.enter(|| {
            let start = Instant::now();
            let mut child = plugin.spawn()?;
            // A configuration fits into the pipe.
            child.stdin.take().context("no pipe to the plugin")?.write_all(&stdin)?;
            let output = child.wait_with_output()?;
            Ok((start.elapsed(), Outcome::of(&output)))
        })?
    }

    fn command(&self) -> Command {
        let mut plugin = Command::new(&self.argv[0]);
        plugin.args(&self.argv[1..]).env_clear().envs(&self.environment);
        if let Some(path) = std::env::var_os("PATH") {
            plugin.env("PATH", path);
        }
        plugin
    }

    fn input(&self) -> Result<Vec<u8>> {
        self.stdin.clone().map_or_else(|| Ok(serde_json::to_vec(&self.config)?), Ok)
    }

    /// A line for the report of a failed trial.
    fn record(&self, outcome: &Outcome) -> Result<()> {
        let mut log = File::options().create(true).append(true).open(&self.log)?;
        let Outcome { code, stdout, stderr } = outcome;
        let told = ["CNI_COMMAND", "CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS"];
        let call: Vec<&str> =
            told.iter().filter_map(|key| Some(self.environment.get(*key)?.as_str())).collect();
        let line = format!("{} -> {code:?} {} {}\n", call.join(" "), stdout.trim(), stderr.trim());
        log.write_all(line.as_bytes()).context("write the log of calls")
    }
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Outcome {
    fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The JSON of a successful call.
    ///
    /// # Errors
    /// When it failed, or printed anything but one JSON value.
    pub fn result(&self) -> Result<Value> {
        ensure!(self.code == Some(0), "{self:?}");
        serde_json::from_str(&self.stdout).with_context(|| format!("not a result: {self:?}"))
    }

    /// Fails unless the call succeeded without a word, as all commands but ADD and VERSION do.
    ///
    /// # Errors
    /// When it failed or said something.
    pub fn success(&self) -> Result<()> {
        ensure!(self.code == Some(0), "{self:?}");
        ensure!(self.stdout.trim().is_empty(), "a word too many: {self:?}");
        Ok(())
    }

    /// The error of a failed call (CNI spec 1.1, section 5 "Error").
    ///
    /// # Errors
    /// When it succeeded, died by a signal, or its standard output is not an error object.
    pub fn error(&self) -> Result<CniError> {
        ensure!(self.code.is_some_and(|code| code > 0), "should have failed: {self:?}");
        let value: Value =
            serde_json::from_str(&self.stdout).with_context(|| format!("not an error object: {self:?}"))?;
        let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        match value["code"].as_u64() {
            Some(code) if !text("msg").is_empty() && !text("cniVersion").is_empty() => {
                Ok(CniError { code, text: format!("{} {}", text("msg"), text("details")) })
            }
            _ => bail!("an error object needs cniVersion, code and msg: {self:?}"),
        }
    }
}

/// A CNI error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CniError {
    /// Its code.
    pub code: u64,
    /// Message and details.
    pub text: String,
}

impl CniError {
    /// Fails unless the error says all of these words.
    ///
    /// # Errors
    /// Names the first word that it does not say.
    pub fn says(&self, words: &[&str]) -> Result<()> {
        words.iter().try_for_each(|word| {
            ensure!(self.text.contains(word), "error {} should say {word:?}: {}", self.code, self.text);
            Ok(())
        })
    }

    /// Fails unless the error has this code and says all of these words.
    ///
    /// # Errors
    /// Says what differs.
    pub fn is(&self, code: u64, words: &[&str]) -> Result<()> {
        ensure!(self.code == code, "should be of code {code}: {self:?}");
        self.says(words)
    }
}

/// Whether the plugin asks to be called again (code 11).
pub fn is_try_again(outcome: &Outcome) -> bool {
    outcome.error().is_ok_and(|error| error.code == 11)
}

/// Runs a program to its end.
///
/// # Errors
/// When it cannot be started or hangs.
pub fn outcome(command: &mut Command, stdin: &[u8]) -> Result<Outcome> {
    Ok(Outcome::of(&command::finished(command, stdin)?))
}
