//! The connection to the API server.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::http::HeaderValue;
use axum::http::header::USER_AGENT;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// Where the API server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// As a kubeconfig file says.
    Kubeconfig(PathBuf),
    /// As a pod's environment and service account say.
    InCluster,
}

/// One that is there answers a SYN within milliseconds; one retransmission (RFC 6298: after 1 s) is allowed for.
const CONNECT: Duration = Duration::from_secs(4);

/// Longer than the API server leaves a watch without a word, which is the longest that it may: it ends each of ours
/// after 45 s.
const READ: Duration = Duration::from_secs(60);

/// A client. It connects when it is asked for something. A service account's token and the authority's certificates are
/// read anew as they are replaced; what a kubeconfig says is read once, but for its `tokenFile` and `exec`.
///
/// # Errors
/// When the configuration cannot be read.
pub async fn connect(access: &Access) -> anyhow::Result<Client> {
    client(config(access).await?)
}

/// A client as the agent needs one, of what says where the API server is.
pub(crate) fn client(mut config: Config) -> anyhow::Result<Client> {
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(READ);
    // Otherwise the time in which a connection was not used would count.
    config.reset_reader_on_write = true;
    // Whoever asks knows best when to ask again, and says so when the API server refuses.
    config.default_retry = false;
    // A node's agent goes to the API server itself: what stands in the environment is meant for other programs.
    config.proxy_url = None;
    let agent = HeaderValue::from_static(concat!("flock-agent/", env!("CARGO_PKG_VERSION")));
    config.headers.push((USER_AGENT, agent));
    Client::try_from(config).context("cannot make a client for the API server")
}

async fn config(access: &Access) -> anyhow::Result<Config> {
    let Access::Kubeconfig(path) = access else {
        let missing = "this is no pod with a service account: name a kubeconfig with --kubeconfig, or a folder with --manifests";
        return Config::incluster_env().context(missing);
    };
    let file = || format!("kubeconfig {}", path.display());
    let kubeconfig = Kubeconfig::read_from(path).with_context(file)?;
    if kubeconfig.clusters.iter().any(|named| {
        named
            .cluster
            .as_ref()
            .and_then(|cluster| cluster.proxy_url.as_ref())
            .is_some_and(|url| !url.is_empty())
    }) {
        bail!("{}: proxy-url is not supported: take it out", file());
    }
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.with_context(file)
}

/// The addresses of the API server, where they are said as such and not by a name.
pub async fn servers(access: &Access) -> BTreeSet<IpAddr> {
    let config = config(access).await.ok();
    let host = config.as_ref().and_then(|config| config.cluster_url.host());
    host.and_then(address).into_iter().chain(service_address()).collect()
}

/// The address of the service `kubernetes`, as a pod's environment says.
pub(crate) fn service_address() -> Option<IpAddr> {
    address(&std::env::var("KUBERNETES_SERVICE_HOST").ok()?)
}

/// A URL has an IPv6 address in brackets (RFC 3986, section 3.2.2).
fn address(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KUBECONFIG: &str = "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {token: t}}]\nclusters: [{name: c, cluster: {server: \"https://SERVER:6443\"}}]\n";

    fn kubeconfig(text: &str) -> (tempfile::TempDir, Access) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        std::fs::write(&path, text).unwrap();
        (dir, Access::Kubeconfig(path))
    }

    #[tokio::test]
    async fn the_server_of_a_kubeconfig_is_known_by_its_address() {
        for (server, expected) in [
            ("192.0.2.1", vec!["192.0.2.1"]),
            ("[2001:db8::1]", vec!["2001:db8::1"]),
            ("api.example", vec![]),
        ] {
            let (_dir, access) = kubeconfig(&KUBECONFIG.replace("SERVER", server));
            let servers: Vec<String> = servers(&access).await.iter().map(ToString::to_string).collect();
            assert_eq!(servers, expected, "{server}");
            connect(&access).await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_cannot_be_is_said_with_the_file() {
        let missing = Access::Kubeconfig("/nonexistent/config".into());
        let error = format!("{:#}", connect(&missing).await.err().unwrap());
        assert!(error.starts_with("kubeconfig /nonexistent/config: "), "{error}");
        let text =
            KUBECONFIG.replace("SERVER", "192.0.2.1").replace("server:", "proxy-url: \"http://p\", server:");
        let (_dir, access) = kubeconfig(&text);
        let error = format!("{:#}", connect(&access).await.err().unwrap());
        assert!(error.ends_with("proxy-url is not supported: take it out"), "{error}");
    }
}
