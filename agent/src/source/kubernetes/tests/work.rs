//! What changes cost, counted.

use std::collections::BTreeMap;

use flock_core::feed::{Change, Changes};

use super::api::{NAMESPACES, NODES, PODS};
use super::*;
use crate::source::PeerPod;

/// A peer of another address than its neighbours'.
fn peer(number: usize, label: &str) -> Value {
    let mut peer = pod(&format!("peer-{number}"), "node-b");
    peer["metadata"]["labels"] = json!({"app": label});
    peer
}

/// The labels `app` of all peers, kept up with by the feed alone.
#[derive(Default)]
struct Mirror {
    apps: BTreeMap<String, String>,
    told: usize,
    reread: usize,
}

impl Mirror {
    fn take(&mut self, feed: &mut Feed) {
        feed.peers(|changes, store| {
            let app = |peer: &PeerPod| peer.labels.get("app").unwrap_or_default().to_owned();
            match changes {
                Changes::Relisted => {
                    self.reread += 1;
                    self.apps = store.iter().map(|(name, peer)| (name.name.to_string(), app(peer))).collect();
                }
                Changes::Since(changes) => {
                    self.told += changes.len();
                    for change in changes {
                        match change {
                            Change::Applied(name, peer) => {
                                self.apps.insert(name.name.to_string(), app(&peer));
                            }
                            Change::Deleted(name) => {
                                self.apps.remove(&*name.name);
                            }
                        }
                    }
                }
            }
        });
    }

    async fn until(&mut self, feed: &mut Feed, name: &str, app: Option<&str>) {
        let wait = async {
            loop {
                self.take(feed);
                if self.apps.get(name).map(String::as_str) == app {
                    break;
                }
                feed.changed().await;
            }
        };
        tokio::time::timeout(PATIENCE * 3, wait).await.expect("in time");
    }
}

/// With so many peers, what a label change of one costs that claims nothing.
async fn cost_of_a_label(peers: usize) -> Work {
    let api = Api::start().await;
    api.put(NODES, node());
    for number in 0..peers {
        api.put(PODS, peer(number, "web"));
    }
    let following = follow(&api);
    let (mut feed, mut mirror) = (following.cluster.feed(), Mirror::default());
    following.known().await;
    mirror.until(&mut feed, &format!("peer-{}", peers - 1), Some("web")).await;
    // The lists were complete one after the other.
    sleep(PACE * 5).await;
    let mut desired = following.cluster.desired();
    desired.borrow_and_update();
    let (before, reread) = (following.cluster.work(), mirror.reread);
    for round in 0..5 {
        api.put(PODS, peer(0, &format!("web-{round}")));
        mirror.until(&mut feed, "peer-0", Some(&format!("web-{round}"))).await;
    }
    sleep(PACE * 2).await;
    assert!(!desired.has_changed().unwrap(), "no consumer of the Desired is woken");
    assert_eq!((mirror.told, mirror.reread), (5, reread), "the feed tells each change, and nothing else");
    let after = following.cluster.work();
    Work {
        compositions: after.compositions - before.compositions,
        publications: after.publications - before.publications,
        objects: after.objects - before.objects,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_of_a_peer_that_claims_nothing_costs_one_look_at_it_however_many_there_are() {
    let expected = Work { compositions: 0, publications: 0, objects: 5 };
    assert_eq!(cost_of_a_label(10).await, expected);
    assert_eq!(cost_of_a_label(10_000).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_begins_to_claim_wakes_the_consumers_and_one_that_ends_to() {
    let api = Api::start().await;
    api.put(NODES, node());
    let following = follow(&api);
    following.known().await;
    let mut claiming = peer(0, "dns");
    claiming["metadata"]["annotations"] = json!({"flock.fritzlab.net/anycast": "2001:db8:53::1"});
    api.put(PODS, peer(0, "dns"));
    api.put(PODS, claiming);
    following.until(|desired| desired.pods.len() == 1).await;
    api.put(PODS, peer(0, "dns"));
    following.until(|desired| desired.pods.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn namespaces_are_fed_too() {
    let api = Api::start().await;
    api.put(NODES, node());
    let following = follow(&api);
    let mut feed = following.cluster.feed();
    following.known().await;
    feed.namespaces(|changes, _| assert_eq!(changes, Changes::Relisted));
    api.put(NAMESPACES, json!({"metadata": {"name": "dns", "labels": {"team": "network"}}}));
    following.until(|desired| desired.namespaces.len() == 1).await;
    let name = feed.namespaces(|changes, _| match changes {
        Changes::Since(changes) => match changes.as_slice() {
            [Change::Applied(name, labels)] if labels.get("team") == Some("network") => name.clone(),
            other => panic!("{other:?}"),
        },
        Changes::Relisted => panic!("read again"),
    });
    assert_eq!(name, "dns");
}
