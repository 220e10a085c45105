//! The program `nft`.
//!
//! It runs in the calling thread's network namespace. What it reads and writes are files in memory, so that nobody has
//! to write to it and read from it at the same time, and it can be waited for with a limit.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};

/// The program, looked for in PATH.
pub(super) const NFT: &str = "nft";

/// It takes milliseconds; longer if many want to change something at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is looked after.
const GLANCE: Duration = Duration::from_millis(1);

/// Bytes that are read of its output: a thousand pods' table is a tenth of that.
const MOST: u64 = 8 * 1024 * 1024;

/// Why nft has not done what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// There is no such program.
    #[error("there is no program `{0}`; install nftables (1.0.6 or later)")]
    Missing(String),
    /// It cannot be run.
    #[error("`{program}` cannot be run: {error}")]
    Run { program: String, error: io::Error },
    /// It says no.
    #[error(
        "`{program}` says {line:?} ({status}); install nftables 1.0.6 or later, on a kernel with nf_tables"
    )]
    Failed { program: String, line: String, status: ExitStatus },
    /// It does not end.
    #[error("`{program}` has not ended within {} seconds and was killed", .patience.as_secs())]
    Hangs { program: String, patience: Duration },
}

impl From<Refusal> for io::Error {
    fn from(refusal: Refusal) -> Self {
        let kind = match &refusal {
            Refusal::Missing(_) => io::ErrorKind::NotFound,
            Refusal::Run { error, .. } => error.kind(),
            Refusal::Failed { .. } => io::ErrorKind::Other,
            Refusal::Hangs { .. } => io::ErrorKind::TimedOut,
        };
        io::Error::new(kind, refusal)
    }
}

/// Runs it with `input` to read; what it has written.
pub(super) fn run(program: &str, arguments: &[&str], input: &str) -> Result<String, Refusal> {
    run_for(PATIENCE, program, arguments, input)
}

fn run_for(patience: Duration, program: &str, arguments: &[&str], input: &str) -> Result<String, Refusal> {
    let cannot = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Refusal::Missing(program.to_owned()),
        _ => Refusal::Run { program: program.to_owned(), error },
    };
    let mut run = Run::start(program, arguments, input).map_err(cannot)?;
    let Some(status) = wait(run.child, patience).map_err(cannot)? else {
        return Err(Refusal::Hangs { program: program.to_owned(), patience });
    };
    if !status.success() {
        let errors = read(&mut run.errors).unwrap_or_default();
        let line = errors.lines().next().unwrap_or_default().to_owned();
        return Err(Refusal::Failed { program: program.to_owned(), line, status });
    }
    read(&mut run.output).map_err(cannot)
}

struct Run {
    child: Child,
    output: File,
    errors: File,
}

impl Run {
    fn start(program: &str, arguments: &[&str], input: &str) -> io::Result<Self> {
        let (mut stdin, output, errors) = (in_memory()?, in_memory()?, in_memory()?);
        stdin.write_all(input.as_bytes())?;
        stdin.rewind()?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(stdin)
            .stdout(output.try_clone()?)
            .stderr(errors.try_clone()?)
            .spawn()?;
        Ok(Self { child, output, errors })
    }
}

fn in_memory() -> io::Result<File> {
    Ok(memfd_create("flock-nft", MemfdFlags::CLOEXEC)?.into())
}

/// None if it has not ended in time.
fn wait(mut child: Child, patience: Duration) -> io::Result<Option<ExitStatus>> {
    let started = Instant::now();
    while started.elapsed() < patience {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(GLANCE);
    }
    child.kill()?;
    // One that waits within the kernel does not die before that lets it go. Without a thread it stays a zombie.
    let _ = std::thread::Builder::new().name("flock-nft".to_owned()).spawn(move || child.wait());
    Ok(None)
}

fn read(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.take(MOST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_writes_is_returned() {
        let long = "flock\n".repeat(50_000);
        assert_eq!(run("cat", &[], &long).unwrap(), long);
    }

    #[test]
    fn the_first_line_of_its_errors_is_told() {
        let refusal = run("sh", &["-c", "echo 'Error: no' >&2; echo more >&2; exit 3"], "").unwrap_err();
        let told = io::Error::from(refusal).to_string();
        assert!(told.contains(r#"says "Error: no" (exit status: 3); install nftables"#), "{told}");
    }

    #[test]
    fn a_missing_program_is_told() {
        let error = io::Error::from(run("flock-no-such-program", &[], "").unwrap_err());
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("install nftables"), "{error}");
    }

    #[test]
    fn one_that_hangs_is_killed() {
        let started = Instant::now();
        let refusal = run_for(Duration::from_millis(50), "sleep", &["60"], "").unwrap_err();
        assert!(matches!(refusal, Refusal::Hangs { .. }), "{refusal}");
        assert!(started.elapsed() < Duration::from_secs(30));
    }
}
