//! What BIRD says on its standard output and error: a file, since a pipe would break, or fill up, when the agent ends
//! and BIRD goes on. The agent copies it into its own log.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::Stdio;

/// The file is emptied beyond this: its folder is in memory.
const LONGEST: u64 = 1024 * 1024;
/// The most of one line that is logged.
const LONGEST_LINE: usize = 4096;

/// BIRD's log and how far it has been copied.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    copied: u64,
    /// The beginning of a line whose end is not written yet.
    started: Vec<u8>,
}

impl Log {
    /// Opens the log, and makes it if need be. What is in it already was copied by an earlier agent, or will not be.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).append(true).create(true).open(path)?;
        let copied = file.metadata()?.len();
        Ok(Self { file, copied, started: Vec::new() })
    }

    /// A handle for a child's standard output or error.
    pub(super) fn handle(&self) -> io::Result<Stdio> {
        // Opened for appending, so that it may be emptied while BIRD writes.
        Ok(Stdio::from(self.file.try_clone()?))
    }

    /// Logs what BIRD has said since the last time.
    pub(super) fn copy(&mut self) {
        match self.lines() {
            Ok(lines) => lines.iter().for_each(|line| tracing::info!(target: "bird", "{line}")),
            Err(error) => tracing::warn!(%error, "cannot read BIRD's log"),
        }
    }

    /// The whole lines that were written since the last time.
    fn lines(&mut self) -> io::Result<Vec<String>> {
        // Somebody else may have emptied it.
        self.copied = self.copied.min(self.file.metadata()?.len());
        self.file.seek(SeekFrom::Start(self.copied))?;
        let mut new = Vec::new();
        self.copied += (&self.file).take(LONGEST).read_to_end(&mut new)? as u64;
        if self.copied > LONGEST {
            self.file.set_len(0)?;
            self.copied = 0;
        }
        self.started.append(&mut new);
        let Some(end) = self.started.iter().rposition(|&byte| byte == b'\n') else {
            self.started.truncate(LONGEST_LINE);
            return Ok(Vec::new());
        };
        let rest = self.started.split_off(end + 1);
        let whole = std::mem::replace(&mut self.started, rest);
        let lines = whole.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        Ok(lines
            .map(|line| String::from_utf8_lossy(&line[..line.len().min(LONGEST_LINE)]).into_owned())
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn whole_lines_are_copied_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bird.log");
        std::fs::write(&path, "said to an earlier agent\n").unwrap();
        let mut log = Log::open(&path).unwrap();
        let mut bird = log.file.try_clone().unwrap();
        assert_eq!(log.lines().unwrap(), [""; 0]);
        bird.write_all(b"<INFO> Started\n\n<WARN> Next").unwrap();
        assert_eq!(log.lines().unwrap(), ["<INFO> Started"]);
        bird.write_all(b" hop\n<FATAL> \xff\n").unwrap();
        assert_eq!(log.lines().unwrap(), ["<WARN> Next hop", "<FATAL> \u{fffd}"]);
        assert_eq!(log.lines().unwrap(), [""; 0]);
    }

    #[test]
    fn a_long_log_is_emptied_under_bird_s_hands() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bird.log");
        let mut log = Log::open(&path).unwrap();
        let mut bird = log.file.try_clone().unwrap();
        let long = "x".repeat(LONGEST_LINE + 10);
        for _ in 0..LONGEST / 4096 + 1 {
            bird.write_all(format!("{long}\n").as_bytes()).unwrap();
        }
        while log.copied > 0 || log.file.metadata().unwrap().len() > 0 {
            assert!(log.lines().unwrap().iter().all(|line| line.len() <= LONGEST_LINE));
        }
        bird.write_all(b"goes on\n").unwrap();
        assert!(log.lines().unwrap().ends_with(&["goes on".to_owned()]));
        assert_eq!(log.file.metadata().unwrap().len(), 8);
    }

    #[test]
    fn a_log_that_somebody_else_has_emptied_is_read_from_its_start() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::open(&dir.path().join("bird.log")).unwrap();
        let mut bird = log.file.try_clone().unwrap();
        bird.write_all(b"one\n").unwrap();
        assert_eq!(log.lines().unwrap(), ["one"]);
        bird.set_len(0).unwrap();
        bird.write_all(b"two\n").unwrap();
        log.copied = 100;
        bird.set_len(0).unwrap();
        assert_eq!(log.lines().unwrap(), [""; 0]);
        bird.write_all(b"three\n").unwrap();
        assert_eq!(log.lines().unwrap(), ["three"]);
    }
}
