//! Programs, run with a time limit and with errors that tell what was run and what it said.

use std::io::{Read, Write};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// How long a program may take before it counts as hanging. Kubelet's own patience is minutes.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Runs `argv` and returns its standard output.
///
/// # Errors
/// When it cannot be started, fails, or hangs.
pub fn run(argv: &[&str]) -> Result<String> {
    run_within(LIMIT, argv)
}

/// The same, with less patience.
///
/// # Errors
/// When it cannot be started, fails, or hangs.
pub fn run_within(limit: Duration, argv: &[&str]) -> Result<String> {
    finished_within(limit, &mut command(argv)?, &[]).and_then(|output| stdout_of(argv, output))
}

/// A command that reads nothing and whose output is captured.
///
/// # Errors
/// When `argv` is empty.
pub fn command(argv: &[&str]) -> Result<Command> {
    let (program, arguments) = argv.split_first().context("a command needs a program")?;
    let mut command = Command::new(program);
    command.args(arguments);
    Ok(command)
}

/// Starts the command, feeds it `stdin` and waits for its end.
///
/// # Errors
/// When it cannot be started or hangs; how it ended is the caller's affair.
pub fn finished(command: &mut Command, stdin: &[u8]) -> Result<Output> {
    finished_within(LIMIT, command, stdin)
}

/// The same, with less patience.
///
/// # Errors
/// When it cannot be started or hangs; how it ended is the caller's affair.
pub fn finished_within(limit: Duration, command: &mut Command, stdin: &[u8]) -> Result<Output> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child =
        command.spawn().with_context(|| format!("start {}", command.get_program().to_string_lossy()))?;
    thread::scope(|scope| {
        let input = child.stdin.take();
        let writer = scope.spawn(move || feed(input, stdin));
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let (out, err) = (scope.spawn(move || drain(out)), scope.spawn(move || drain(err)));
        let status = wait(&mut child, limit);
        writer.join().ok();
        let (stdout, stderr) = (out.join().unwrap_or_default(), err.join().unwrap_or_default());
        let status =
            status.with_context(|| format!("{command:?} said {}", String::from_utf8_lossy(&stderr)))?;
        Ok(Output { status, stdout, stderr })
    })
}

/// A program may end before it has read everything; that is not the writer's failure.
fn feed(pipe: Option<impl Write>, bytes: &[u8]) {
    if let Some(mut pipe) = pipe {
        pipe.write_all(bytes).ok();
    }
}

fn drain(pipe: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        pipe.read_to_end(&mut bytes).ok();
    }
    bytes
}

/// Waits for the child's end, and ends it itself when that takes longer than `limit`.
///
/// # Errors
/// When the limit has passed.
pub fn wait(child: &mut Child, limit: Duration) -> Result<std::process::ExitStatus> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            bail!("process {} did not end within {limit:?} and was killed", child.id());
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn stdout_of(argv: &[&str], output: Output) -> Result<String> {
    let Output { status, stdout, stderr } = output;
    let text = String::from_utf8_lossy(&stdout).into_owned();
    ensure!(status.success(), "`{}`: {status}: {}{text}", argv.join(" "), String::from_utf8_lossy(&stderr));
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_program_is_quoted_with_what_it_said() {
        let message = run(&["sh", "-c", "echo broken >&2; exit 3"]).unwrap_err().to_string();
        assert!(
            message.contains("sh -c") && message.contains("broken") && message.contains('3'),
            "{message}"
        );
    }

    #[test]
    fn a_program_that_reads_nothing_may_be_fed_more_than_a_pipe_holds() {
        let output = finished(&mut Command::new("true"), &vec![b'x'; 1 << 20]).unwrap();
        assert!(output.status.success());
    }

    #[test]
    fn a_hanging_program_is_ended() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        assert!(wait(&mut child, Duration::from_millis(10)).is_err());
        assert!(child.try_wait().unwrap().is_some());
    }
}
