//! `flockctl`: asks the agent of this node, prints tables or JSON. [`agent`]: the arguments of `flock-agent`.

pub mod agent;
mod output;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use flock_rpc::client;

use flock_rpc::v1alpha1::{
    CniError, ListAttachmentsRequest, ShowAnycastRequest, ShowAttachmentRequest, ShowBgpRequest,
    ShowNodeRequest,
};
use tonic::Status;

/// Ask flock's agent on this node. Run as root.
#[derive(Debug, Parser)]
#[command(name = "flockctl", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// How to print.
    #[arg(short, long, value_enum, global = true, default_value_t = Format::Table)]
    output: Format,
    /// The agent's socket.
    #[arg(long, global = true, value_name = "PATH", default_value = "/run/flock/agent.sock")]
    socket: PathBuf,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    /// List the pods of this node: addresses, links, state, age.
    Pods,
    /// Show one attachment, what should be beside what is.
    Attachment {
        /// Container ID or a beginning of it, CONTAINER_ID@IFNAME, NAMESPACE/POD, or the host link's name.
        id: String,
    },
    /// Show this node: readiness, pools, uplinks, manifests that were refused.
    Node,
    /// Show BGP: BIRD, its configuration, sessions with state, prefixes and what is wrong.
    Bgp,
    /// Show anycast: addresses, the pods that serve them, next hops, advertised to whom and since when.
    Anycast,
}

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Runs flockctl. Errors go to stderr, on one line.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}")),
    };
    match runtime.block_on(answer(&arguments)) {
        Ok(text) => output::print(&text),
        Err(message) => fail(&message),
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("flockctl: {}", message.replace('\n', " "));
    ExitCode::FAILURE
}

async fn answer(arguments: &Arguments) -> Result<String, String> {
    let uds = client::connect(&arguments.socket).await.map_err(|error| {
        format!("{error}: is the agent running on this node, and are you root? another socket: --socket PATH")
    })?;
    let mut agent = client::inspect(uds);
    let format = arguments.output;
    match &arguments.command {
        Command::Pods => {
            let response = agent.list_attachments(ListAttachmentsRequest {}).await.map_err(said)?;
            Ok(output::pods(response.into_inner().attachments, format))
        }
        Command::Attachment { id } => {
            let request = ShowAttachmentRequest { selector: id.clone() };
            let response = agent.show_attachment(request).await.map_err(said)?;
            Ok(output::attachment(response.into_inner(), format))
        }
        Command::Node => {
            let response = agent.show_node(ShowNodeRequest {}).await.map_err(said)?;
            Ok(output::node(&response.into_inner(), format))
        }
        Command::Anycast => {
            let response = agent.show_anycast(ShowAnycastRequest {}).await.map_err(said)?;
            output::anycast(&response.into_inner().status, format)
        }
        Command::Bgp => {
            let response = agent.show_bgp(ShowBgpRequest {}).await.map_err(said)?;
            output::bgp(&response.into_inner().status, format)
        }
    }
}

fn said(status: Status) -> String {
    CniError::from(&status).msg
}
