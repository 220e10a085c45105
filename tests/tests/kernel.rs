//! `flock-kernel` against the kernel that runs the test.
//!
//! Each trial has a thread of its own in a new network namespace, the node, and further threads whose namespaces are
//! the pods. Nothing has a name in the file system: when the threads end, everything is gone, failure or not.
//! Needs root, `ip` and `nft`; `FLOCK_SKIP_ROOT_TESTS=1` marks all trials as ignored.

#[path = "kernel/anycast.rs"]
mod anycast;
#[path = "kernel/connections.rs"]
mod connections;
#[path = "kernel/ground.rs"]
mod ground;
#[path = "kernel/links.rs"]
mod links;
#[path = "kernel/marks.rs"]
mod marks;
#[path = "kernel/nft.rs"]
mod nft;
#[path = "kernel/node.rs"]
mod node;
#[path = "kernel/steering.rs"]
mod steering;
#[path = "kernel/watching.rs"]
mod watching;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

use ground::Ground;

const SKIP: &str = "FLOCK_SKIP_ROOT_TESTS";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let skip = std::env::var(SKIP).is_ok_and(|value| value == "1");
    let trials = if skip || arguments.list || rustix::process::geteuid().is_root() {
        all().into_iter().map(|trial| if skip { trial.with_ignored_flag(true) } else { trial }).collect()
    } else {
        let advice =
            format!("these tests need root: run `sudo -E make test`, or skip them with `{SKIP}=1 make test`");
        vec![Trial::test("requirements", move || Err(Failed::from(advice)))]
    };
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn all() -> Vec<Trial> {
    let trials = [
        anycast::trials(),
        links::trials(),
        node::trials(),
        watching::trials(),
        steering::trials(),
        marks::trials(),
        nft::trials(),
    ]
    .concat();
    trials.into_iter().map(|(name, body)| trial(name, body)).collect()
}

/// A trial's body.
type Body = fn(&Ground) -> anyhow::Result<()>;

fn trial(name: &'static str, body: Body) -> Trial {
    Trial::test(name, move || {
        let outcome = std::thread::spawn(move || Ground::new().and_then(|ground| body(&ground))).join();
        match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Failed::from(format!("{error:?}"))),
            Err(_) => Err(Failed::from("panicked, see above")),
        }
    })
}
