use std::fs;

use flock_core::anycast::{NextHop, RouteChange};
use flock_core::host::HostChange;
use flock_kernel::fake::{FailMode, FakeKernel};
use flock_kernel::{Node as _, Routes};

use super::*;

struct Node {
    kernel: FakeKernel,
    uninstall: Uninstall,
    root: tempfile::TempDir,
}

/// A node on which flock is installed: the runtime's files, a blackhole and a route to an anycast address.
async fn node() -> Node {
    let root = tempfile::tempdir().unwrap();
    let folders = Folders { conf: root.path().join("net.d"), bin: root.path().join("bin") };
    for (folder, file) in [(&folders.conf, FILE), (&folders.bin, PLUGIN), (&folders.bin, "portmap")] {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join(file), "").unwrap();
    }
    let run_dir = root.path().join("run");
    fs::create_dir(&run_dir).unwrap();
    let kernel = FakeKernel::new();
    let blackhole = HostChange::AddBlackhole("203.0.113.0/26".parse().unwrap());
    kernel.change_host(&[blackhole]).await.unwrap();
    let hop = NextHop { via: "203.0.113.2".parse().unwrap(), link: "flock0000000a".parse().unwrap() };
    // Without a pod's alias.
    kernel.add_foreign_link(&hop.link);
    let anycast = RouteChange::Set("198.51.100.53".parse().unwrap(), [hop].into());
    kernel.change_anycast_routes(&[anycast]).await.unwrap();
    let uninstall = Uninstall { folders, run_dir, cluster: None, dry_run: false };
    Node { kernel, uninstall, root }
}

impl Node {
    /// What is said, without the folders' names.
    async fn uninstalled(&self) -> (Vec<String>, usize) {
        let mut said = Vec::new();
        let mut report = Report::new(&mut said, self.uninstall.dry_run);
        steps(&self.uninstall, &self.kernel, &mut report).await;
        let failures = report.failures();
        let said = String::from_utf8(said).unwrap().replace(self.root.path().to_str().unwrap(), "");
        (said.lines().map(str::to_owned).collect(), failures)
    }

    fn files(&self) -> [bool; 3] {
        let Folders { conf, bin } = &self.uninstall.folders;
        [conf.join(FILE), bin.join(PLUGIN), bin.join("portmap")].map(|path| path.exists())
    }
}

const LEFT: &str = "left: the node's sysctls, and what BIRD has learned (ip route show proto bird)";

#[tokio::test]
async fn everything_of_flocks_goes_in_order_and_nothing_else() {
    let node = node().await;
    let (lines, failures) = node.uninstalled().await;
    assert_eq!(
        lines,
        [
            "remove /net.d/01-flock.conflist: done",
            "BIRD is not running: nothing to stop",
            &format!(
                "remove the nftables table {TABLE}, policy rules and routes that steer connections: done"
            ),
            "remove the route to 198.51.100.53: done",
            "remove blackhole 203.0.113.0/26: done",
            "remove /bin/flock: done",
            LEFT,
        ]
    );
    assert_eq!((failures, node.files()), (0, [false, false, true]));
    assert!(node.kernel.node().blackholes.is_empty() && node.kernel.anycast().is_empty());
}

#[tokio::test]
async fn again_it_finds_nothing() {
    let node = node().await;
    node.uninstalled().await;
    let (lines, failures) = node.uninstalled().await;
    assert_eq!(failures, 0);
    assert_eq!(lines[0], "/net.d/01-flock.conflist is not there");
    assert_eq!(lines[3], "/bin/flock is not there");
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let mut node = node().await;
    node.uninstall.dry_run = true;
    let steps = node.kernel.steps();
    let (lines, _) = node.uninstalled().await;
    assert!(lines[..lines.len() - 1].iter().all(|line| line.starts_with("would ")), "{lines:#?}");
    assert!(lines.contains(&"would remove blackhole 203.0.113.0/26".to_owned()), "{lines:#?}");
    assert_eq!((node.kernel.steps(), node.files()), (steps, [true; 3]));
    assert!(!node.uninstall.run_dir.join("bird").exists());
}

#[tokio::test]
async fn a_step_that_fails_keeps_no_other_from_being_made() {
    let node = node().await;
    node.kernel.fail_at(node.kernel.steps(), FailMode::Error);
    let (lines, failures) = node.uninstalled().await;
    assert_eq!(failures, 1, "{lines:#?}");
    assert!(lines[3].starts_with("remove the route to 198.51.100.53: FAILED: "), "{lines:#?}");
    assert_eq!(node.files(), [false, false, true]);
    assert!(node.kernel.node().blackholes.is_empty());
    assert_eq!(node.uninstalled().await.1, 0);
    assert!(node.kernel.anycast().is_empty());
}

#[tokio::test]
async fn beside_an_agent_it_refuses() {
    let node = node().await;
    let lock = File::create(node.uninstall.run_dir.join("agent.lock")).unwrap();
    lock.try_lock().unwrap();
    let error = run(&node.uninstall, &node.kernel, Vec::new()).await.unwrap_err().to_string();
    assert!(
        error.contains("stop it first, with `kubectl --namespace flock-system delete daemonset flock`"),
        "{error}"
    );
    assert_eq!(node.files(), [true; 3]);
    drop(lock);
    run(&node.uninstall, &node.kernel, Vec::new()).await.unwrap();
}

#[tokio::test]
async fn pods_that_run_keep_their_links_and_the_plugin() {
    let node = node().await;
    let removal = Removal { pods: vec!["flock0000000a".parse().unwrap()], ..Removal::default() };
    let (plugin, mut said) = (node.uninstall.folders.bin.join(PLUGIN), Vec::new());
    remove_plugin(&mut Report::new(&mut said, false), &plugin, &removal).await;
    let said = String::from_utf8(said).unwrap();
    assert!(said.starts_with("left: the links, addresses and routes of 1 pods: flock0000000a\n"), "{said}");
    assert!(plugin.exists());
}
