//! What is held, and what is left out.

use std::ffi::OsString;
use std::io;
use std::sync::Condvar;

use super::api::{CONFIGS, NODES, PODS};
use super::*;
use crate::source::kubernetes::lister_watcher::{Handler as _, Object};
use crate::store::Files;

/// A disk that takes until it is let go, at the latest by the end of the test.
#[derive(Debug, Clone, Default)]
struct Slow(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    is_writing: bool,
    may_go_on: bool,
}

impl Slow {
    fn is_writing(&self) -> bool {
        self.0.0.lock().unwrap().is_writing
    }

    fn go_on(&self) {
        self.0.0.lock().unwrap().may_go_on = true;
        self.0.1.notify_all();
    }
}

/// A runtime waits for its blocking threads.
struct GoOn(Slow);

impl Drop for GoOn {
    fn drop(&mut self) {
        self.0.go_on();
    }
}

impl Files for Slow {
    fn make_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, _: &Path) -> io::Result<Vec<OsString>> {
        Ok(Vec::new())
    }

    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn write(&self, _: &Path, _: &[u8]) -> io::Result<()> {
        let mut state = self.0.0.lock().unwrap();
        state.is_writing = true;
        drop(self.0.1.wait_while(state, |state| !state.may_go_on).unwrap());
        Ok(())
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_disk_holds_up_nobody() {
    let api = Api::start().await;
    api.put(NODES, node());
    api.put(CONFIGS, config(NODE, json!({"mtu": 1400})));
    let (run_dir, disk) = (tempfile::tempdir().unwrap(), Slow::default());
    let going_on = GoOn(disk.clone());
    let composer = Composer::kept_in(NODE, disk.clone(), run_dir.path());
    let following = Following {
        cluster: Cluster::start(api.client(), NODE, composer, &timing(), &Tasks::default()),
        _run_dir: run_dir,
    };
    following.known().await;
    let writing = async {
        while !disk.is_writing() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, writing).await.expect("in time");
    api.put(PODS, pod("web-0", NODE));
    let name = pod_name("web-0");
    let refresh = following.cluster.refresh(&name, None);
    tokio::time::timeout(PATIENCE, refresh).await.expect("while the file is written");
    assert!(following.cluster.desired().borrow().pods.contains_key(&name));
    drop(going_on);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_without_a_version_is_left_out_and_told_once() {
    let api = Api::start().await;
    let following = follow(&api);
    let mut collection = Collection {
        cluster: Arc::clone(&following.cluster),
        kind: Kind::Pods,
        reader: PodReader::of_node(NODE),
        store: |kinds| &mut kinds.pods,
        unversioned: 0,
    };
    let mut odd = pod("web-0", NODE);
    for version in [json!("x"), json!("-1"), json!("")] {
        odd["metadata"]["resourceVersion"] = version;
        let text = odd.to_string();
        collection.applied(&Object { meta: Meta::of(&text), text: &text });
    }
    assert_eq!(collection.unversioned, 3);
    assert_eq!(following.cluster.stores.lock().kinds.pods.iter().count(), 0);
}
