//! The reference plugin that makes `hostPort` work, as far as it is there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use serde::Deserialize;

pub(super) const PORTMAP: &str = "portmap";

/// It answers within milliseconds.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How often it is looked after while it runs.
const GLANCE: Duration = Duration::from_millis(5);

/// What there is of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Portmap {
    /// It speaks CNI 1.1.0, as those since 1.6.0 do.
    Current,
    /// It speaks 1.0.0, or cannot be asked.
    Old,
    Ancient,
    Missing,
}

/// Looks after it, and asks it whenever it is another one.
#[derive(Debug)]
pub(super) struct Watch {
    plugin: PathBuf,
    /// What was seen the last time, and of which file.
    seen: Option<(Option<Stamp>, Portmap)>,
}

/// A file's length and time.
type Stamp = (u64, SystemTime);

impl Watch {
    pub(super) fn new(bin: &Path) -> Self {
        Self { plugin: bin.join(PORTMAP), seen: None }
    }

    /// What there is now. Changes are logged.
    pub(super) fn look(&mut self) -> Portmap {
        let stamp = stamp(&self.plugin);
        if let Some((seen, portmap)) = &self.seen
            && *seen == stamp
        {
            return *portmap;
        }
        let portmap = stamp.map_or(Portmap::Missing, |_| ask(&self.plugin));
        self.note(portmap);
        self.seen = Some((stamp, portmap));
        portmap
    }

    fn note(&self, portmap: Portmap) {
        let plugin = self.plugin.display();
        match portmap {
            Portmap::Current => tracing::info!(%plugin, "hostPort: the plugin is chained"),
            Portmap::Old => tracing::warn!(
                %plugin,
                "the plugin speaks no CNI 1.1: it is chained, for hostPort, and so runtimes do not ask for STATUS and GC; \
                 install the reference plugins 1.6.0 or later"
            ),
            Portmap::Ancient => tracing::warn!(
                %plugin,
                "hostPort does not work: the plugin speaks no CNI 1.0; install the reference plugins 1.6.0 or later"
            ),
            Portmap::Missing => tracing::warn!(
                %plugin,
                "hostPort does not work: there is no such plugin; install the reference plugins 1.6.0 or later there, and \
                 it is chained without a restart"
            ),
        }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}

/// Which versions of the CNI spec it speaks. One that cannot be executed here may work where the runtime executes it.
fn ask(plugin: &Path) -> Portmap {
    match answer(plugin) {
        Ok(text) => read(&text),
        Err(error) => {
            tracing::warn!(plugin = %plugin.display(), %error, "cannot be asked for its versions");
            Portmap::Old
        }
    }
}

fn answer(plugin: &Path) -> io::Result<String> {
    let mut child = Command::new(plugin)
        .env_clear()
        .env("CNI_COMMAND", "VERSION")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    wait(&mut child)?;
    child.stdout.take().map_or(Ok(String::new()), io::read_to_string)
}

/// Its answer is shorter than what a pipe holds, so it need not be read meanwhile.
fn wait(child: &mut Child) -> io::Result<()> {
    let until = Instant::now() + TIMEOUT;
    while child.try_wait()?.is_none() {
        if Instant::now() >= until {
            child.kill()?;
            child.wait()?;
            return Err(io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(GLANCE);
    }
    Ok(())
}

/// From an answer to VERSION.
fn read(text: &str) -> Portmap {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        supported_versions: Vec<String>,
    }
    let Ok(answer) = serde_json::from_str::<Answer>(text) else { return Portmap::Old };
    let speaks = |version: &str| answer.supported_versions.iter().any(|it| it == version);
    match (speaks("1.1.0"), speaks("1.0.0")) {
        (true, true) => Portmap::Current,
        (false, true) => Portmap::Old,
        (_, false) => Portmap::Ancient,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_as_new_as_it_says() {
        let says =
            |versions: &str| read(&format!(r#"{{"cniVersion":"1.0.0","supportedVersions":[{versions}]}}"#));
        assert_eq!(says(r#""0.4.0","1.0.0","1.1.0""#), Portmap::Current);
        assert_eq!(says(r#""0.4.0","1.0.0""#), Portmap::Old, "Debian 12's");
        assert_eq!(says(r#""0.3.1","0.4.0""#), Portmap::Ancient);
        assert_eq!(read("exec format error"), Portmap::Old);
    }

    #[test]
    fn one_that_cannot_be_asked_may_still_work_for_the_runtime() {
        let bin = tempfile::tempdir().unwrap();
        let mut watch = Watch::new(bin.path());
        assert_eq!(watch.look(), Portmap::Missing);
        fs::write(bin.path().join(PORTMAP), "for another machine").unwrap();
        assert_eq!(watch.look(), Portmap::Old);
    }

    #[test]
    fn it_is_asked_once_and_again_when_it_is_another_one() {
        let bin = tempfile::tempdir().unwrap();
        fs::write(bin.path().join(PORTMAP), "one").unwrap();
        let mut watch = Watch::new(bin.path());
        watch.look();
        let seen = stamp(&watch.plugin);
        watch.seen = Some((seen, Portmap::Current));
        assert_eq!(watch.look(), Portmap::Current, "not asked");
        fs::write(bin.path().join(PORTMAP), "another").unwrap();
        assert_eq!(watch.look(), Portmap::Old, "asked");
    }
}
