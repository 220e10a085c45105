//! Running trials: each in a world of its own, nothing left behind.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use libtest_mimic::{Arguments, Failed, Trial};

use crate::world::World;
use crate::{leaks, requirements};

/// Trials that run at once unless `--test-threads` says otherwise.
const THREADS: usize = 2;

/// Makes a list of trials out of functions, each named after its module and itself.
#[macro_export]
macro_rules! trials {
    ($($function:ident),* $(,)?) => {
        vec![$($crate::suite::trial(concat!(module_path!(), "::", stringify!($function)), $function)),*]
    };
}

/// A trial that runs `body` in a new world. Its failure is reported with the end of every log; what it leaves
/// behind is a failure too.
pub fn trial(name: &str, body: fn(&World) -> Result<()>) -> Trial {
    Trial::test(name, move || {
        let world = World::new().map_err(|error| format!("{error:#}"))?;
        let outcome =
            catch_unwind(AssertUnwindSafe(|| body(&world))).unwrap_or_else(|panic| Err(reason(&panic)));
        let failure = outcome.err().map(|error| format!("{error:#}\n{}", world.diagnosis()));
        let failures: Vec<String> =
            failure.into_iter().chain(world.close().err().map(|error| error.to_string())).collect();
        if failures.is_empty() { Ok(()) } else { Err(Failed::from(failures.join("\n"))) }
    })
}

fn reason(panic: &Box<dyn Any + Send>) -> anyhow::Error {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    anyhow!("panicked: {}", text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("?"))
}

/// Runs the suite that the command line asks for.
pub fn run(trials: Vec<Trial>) -> ExitCode {
    run_with(requirements::check, trials)
}

/// Runs the suite that the command line asks for, after BIRD and FRR were found.
pub fn run_routing(trials: Vec<Trial>) -> ExitCode {
    run_with(requirements::check_routing, trials)
}

fn run_with(check: fn() -> Result<()>, trials: Vec<Trial>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    if arguments.list {
        return libtest_mimic::run(&arguments, trials).exit_code();
    }
    if requirements::skip_requested() {
        let skipped = trials.into_iter().map(|trial| trial.with_ignored_flag(true)).collect();
        return libtest_mimic::run(&arguments, skipped).exit_code();
    }
    if let Err(missing) = check() {
        let missing = missing.to_string();
        arguments.filter = None;
        let trial = Trial::test("requirements", move || Err(Failed::from(missing)));
        return libtest_mimic::run(&arguments, vec![trial]).exit_code();
    }
    leaks::sweep_dead_runs();
    // `ip netns add` prepares its directory at first use, and two at once get in each other's way.
    drop(crate::netns::Netns::new(&format!("{}first", leaks::own_prefix())));
    let conclusion = libtest_mimic::run(&arguments, trials);
    judge(conclusion.exit_code(), &leaks::find(&leaks::own_prefix()))
}

fn judge(code: ExitCode, left: &[leaks::Leak]) -> ExitCode {
    if left.is_empty() {
        return code;
    }
    eprintln!("error: the suite left behind {left:?}");
    leaks::remove_all(&leaks::own_prefix());
    ExitCode::FAILURE
}
