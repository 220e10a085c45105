//! Running trials on a cluster that they share, one after the other, nothing left behind.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, anyhow};
use flock_tests::{leaks, requirements};
use libtest_mimic::{Arguments, Failed, Trial};

use crate::cluster::Cluster;
use crate::plan::Plan;

/// What a trial does.
pub type Body = fn(&mut Cluster) -> Result<()>;

/// A trial's name and what it does.
pub type Named = (&'static str, Body);

/// Makes a list of trials out of functions, each named after its module and itself.
#[macro_export]
macro_rules! cluster_trials {
    ($($function:ident),* $(,)?) => {
        vec![$((concat!(module_path!(), "::", stringify!($function)), $function as $crate::suite::Body)),*]
    };
}

/// The cluster, which the first trial brings up.
#[derive(Debug)]
struct Shared {
    plan: Plan,
    harness: PathBuf,
    cluster: Option<Result<Cluster, String>>,
}

impl Shared {
    fn run(&mut self, body: Body) -> Result<(), Failed> {
        let Self { plan, harness, cluster } = self;
        let up = || Cluster::up(plan.clone(), harness).map_err(|error| format!("{error:#}"));
        let cluster = cluster.get_or_insert_with(up).as_mut().map_err(|error| error.clone())?;
        let outcome =
            catch_unwind(AssertUnwindSafe(|| body(cluster))).unwrap_or_else(|panic| Err(reason(&panic)));
        outcome.map_err(|error| Failed::from(format!("{error:#}\n{}", cluster.diagnosis())))
    }
}

/// Runs the trials that the command line asks for. `harness` is this crate's own program: in its tests,
/// `env!("CARGO_BIN_EXE_flock-cluster")`.
pub fn run(plan: Plan, harness: &Path, trials: Vec<Named>) -> ExitCode {
    let shared = Arc::new(Mutex::new(Shared { plan, harness: harness.to_owned(), cluster: None }));
    let mut arguments = Arguments::from_args();
    // They share one cluster, and each may break it.
    arguments.test_threads = Some(1);
    let skip = requirements::skip_requested();
    let trials = trials.into_iter().map(|(name, body)| {
        let shared = Arc::clone(&shared);
        let run = move || shared.lock().unwrap_or_else(PoisonError::into_inner).run(body);
        Trial::test(name, run).with_ignored_flag(skip)
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    let cluster = shared.lock().unwrap_or_else(PoisonError::into_inner).cluster.take();
    let left = cluster.and_then(Result::ok).and_then(|cluster| cluster.close().err());
    if let Some(error) = left {
        eprintln!("error: the suite {error:#}");
        leaks::remove_all(&leaks::own_prefix());
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

fn reason(panic: &Box<dyn Any + Send>) -> anyhow::Error {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    anyhow!("panicked: {}", text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("?"))
}
