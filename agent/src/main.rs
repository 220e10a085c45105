//! `flock-agent`: logs, configuration, run. Everything else is in the library.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use flock_agent::api::client::Access;
use flock_agent::app;
use flock_agent::bird::marker::Purpose;
use flock_agent::bird::start;
use flock_agent::bird_stop::stop_reason::Identity;
use flock_agent::bird_stop::{self, Stop, auto};
use flock_agent::cli::agent::{Arguments, BirdStop, Command, For, LogFormat, Run, Uninstall};
use flock_agent::conflist::Folders;
use flock_agent::store::Disk;
use flock_agent::supervision::Tasks;
use flock_agent::{install, uninstall};
use flock_kernel::linux::LinuxKernel;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    log_to_stderr(if let Command::Run(run) = &command { run.log_format } else { LogFormat::Text });
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            app::exit_code(&error)
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Run(run) => serve(run),
        Command::Install(install) => install::run(&install),
        Command::Bird(bird) => start::become_bird(&bird).map(|never| match never {}).map_err(Into::into),
        Command::BirdStop(stop) => stop_bird(stop),
        Command::Uninstall(uninstall) => take_off(uninstall),
    }
}

fn serve(run: Run) -> anyhow::Result<()> {
    let proc_sys_net = run.proc_sys_net.clone();
    app::block_on(async {
        let kernel = LinuxKernel::open()?.with_sysctls_at(proc_sys_net);
        app::run(run.into(), kernel, Disk, &Tasks::default()).await
    })
}

fn access(kubeconfig: Option<PathBuf>) -> Access {
    kubeconfig.map_or(Access::InCluster, Access::Kubeconfig)
}

fn stop_bird(stop: BirdStop) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (run_dir, wait) = (stop.run_dir.clone(), Duration::from_secs(stop.wait));
        let purpose = purpose(stop).await;
        let report = bird_stop::stop(&Stop { run_dir, purpose, wait }).await?;
        println!("{report}");
        Ok(())
    })
}

async fn purpose(stop: BirdStop) -> Purpose {
    match stop.purpose {
        For::Purpose(purpose) => purpose,
        For::Auto => {
            let (node, pod) = (stop.node.unwrap_or_default(), stop.pod.unwrap_or_default());
            let identity = Identity { node, namespace: stop.namespace, pod };
            let decided = auto::decide(&access(stop.kubeconfig), &identity).await;
            println!("{decided}");
            decided.purpose
        }
    }
}

fn take_off(arguments: Uninstall) -> anyhow::Result<()> {
    let in_cluster = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let access = (arguments.kubeconfig.is_some() || in_cluster).then(|| access(arguments.kubeconfig));
    let uninstall = uninstall::Uninstall {
        folders: Folders { conf: arguments.cni_conf_dir, bin: arguments.cni_bin_dir },
        run_dir: arguments.run_dir,
        cluster: access.zip(arguments.node),
        dry_run: arguments.dry_run,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Before anything is done, so that it is not lost.
        let mut terminated = signal(SignalKind::terminate())?;
        uninstall::run(&uninstall, &LinuxKernel::open()?, std::io::stdout()).await?;
        if arguments.then_wait {
            terminated.recv().await;
        }
        Ok(())
    })
}

fn log_to_stderr(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // How long a call took, and how long it waited: at level debug, which its span has.
    let logs = logs.with_span_events(FmtSpan::CLOSE);
    match format {
        LogFormat::Text => logs.with_ansi(false).init(),
        LogFormat::Json => logs.json().flatten_event(true).init(),
    }
}
