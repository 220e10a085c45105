use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use flock_core::feed::Changes;
use flock_core::pod::Readiness;

use super::*;
use flock_core::desired::{Place, Problem};

const NODE: &str = "apiVersion: flock.fritzlab.net/v1alpha1\nkind: NodeConfig\nmetadata: {name: node-a}\nspec: {cidr6: [\"2001:db8:a:1::/64\"]}\n";
const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: web-0}\n";

const NAMESPACE: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: dns, labels: {team: network}}\n";
const POOL: &str = "apiVersion: flock.fritzlab.net/v1alpha1\nkind: AddressPool\nmetadata: {name: resolvers}\nspec: {cidrs: [\"2001:db8:53::/64\"], use: Anycast, namespaceSelector: {}}\n";
/// Long enough for any machine; nothing waits for it that succeeds.
const PATIENCE: Duration = Duration::from_secs(20);

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(dir.path().join(name), content).unwrap();
    }
    dir
}

fn desired(manifests: &Manifests) -> Arc<Desired> {
    manifests.desired.borrow().clone()
}

fn pod(manifests: &Manifests) -> Option<Arc<flock_core::pod::Pod>> {
    desired(manifests).pods.get(&PodName::new("default", "web-0").unwrap()).cloned()
}

/// The pod with a status of its own.
fn pod_with(number: usize, ready: &str) -> String {
    format!(
        "{POD}  labels: {{number: \"{number}\"}}\nstatus: {{conditions: [{{type: Ready, status: \"{ready}\"}}]}}\n"
    )
    .replace("metadata: {name: web-0}\n", "metadata:\n  name: web-0\n")
}

/// In one step, as an editor or a ConfigMap volume does.
fn put(dir: &Path, name: &str, content: &str) {
    let hidden = dir.join(format!(".{name}.new"));
    fs::write(&hidden, content).unwrap();
    fs::rename(hidden, dir.join(name)).unwrap();
}

async fn until(manifests: &Manifests, condition: impl Fn(&Desired) -> bool) {
    let mut desired = manifests.desired.subscribe();
    let wait = desired.wait_for(|desired| condition(desired));
    tokio::time::timeout(PATIENCE, wait).await.expect("in time").unwrap();
}

fn problems(manifests: &Manifests) -> Vec<String> {
    let strip = |p: &Problem| {
        let Place::File { path, line } = &p.place else { panic!("{p:?}") };
        format!("{}:{}: {}", path.file_name().unwrap().display(), line.unwrap_or(0), p.reason)
    };
    desired(manifests).problems.iter().map(strip).collect()
}

#[test]
fn reads_several_documents_of_several_files() {
    let dir = folder(&[
        ("a.yaml", &format!("# the node\n---\n{NODE}---\n{POD}")),
        ("b.txt", "x"),
        (".c.yaml", "x"),
    ]);
    let manifests = Manifests::open(dir.path(), "node-a").unwrap();
    assert_eq!(problems(&manifests), [] as [String; 0]);
    assert_eq!(desired(&manifests).node.as_ref().unwrap().pools.v6.len(), 1);
    assert!(desired(&manifests).pods.contains_key(&PodName::new("default", "web-0").unwrap()));
}

#[test]
fn an_invalid_document_is_named_and_the_last_good_state_stays() {
    let dir = folder(&[("a.yaml", NODE)]);
    let manifests = Manifests::open(dir.path(), "node-a").unwrap();
    let good = desired(&manifests).node.clone();
    let cases = [
        (
            format!("{POD}---\n{}", NODE.replace("/64", "/32")),
            "a.yaml:8: NodeConfig node-a: spec.cidr6[0]: 2001:db8:a:1::/32",
        ),
        (
            format!("{POD}---\n{}", NODE.replace("cidr6", "cidr7")),
            "a.yaml:8: spec.cidr7: unknown field `cidr7`",
        ),
        ("a: [".to_owned(), "a.yaml:1: "),
    ];
    for (content, expected) in cases {
        fs::write(dir.path().join("a.yaml"), content).unwrap();
        manifests.read(&Scope::default()).unwrap();
        assert!(problems(&manifests)[0].starts_with(expected), "{expected}: {:?}", problems(&manifests));
        assert_eq!(desired(&manifests).node, good);
    }
    fs::write(dir.path().join("a.yaml"), NODE.replace("/64", "/80")).unwrap();
    manifests.read(&Scope::default()).unwrap();
    assert_eq!(problems(&manifests), [] as [String; 0]);
    assert_ne!(desired(&manifests).node, good);
}

#[test]
fn the_same_object_twice_is_reported_and_the_first_one_counts() {
    let cases = [
        (NODE, "/64", "/80", "NodeConfig node-a"),
        (POD, "web-0}", "web-0, labels: {a: b}}", "Pod default/web-0"),
        (NAMESPACE, "network", "security", "Namespace dns"),
        (POOL, "db8:53", "db8:54", "AddressPool resolvers"),
    ];
    for (document, old, new, title) in cases {
        let dir = folder(&[("a.yaml", document)]);
        let first = Manifests::open(dir.path(), "node-a").unwrap();
        let dir = folder(&[("a.yaml", document), ("b.yaml", &document.replace(old, new))]);
        let both = Manifests::open(dir.path(), "node-a").unwrap();
        let expected = format!(
            "b.yaml:1: {title} is there already, in an earlier document or file: this one has no effect"
        );
        assert_eq!(problems(&both), [expected]);
        assert_eq!(Desired { problems: Vec::new(), ..(*desired(&both)).clone() }, *desired(&first));
    }
}

#[test]
fn pools_are_sorted_by_name_whatever_file_they_are_in() {
    let named = |name| POOL.replace("resolvers", name);
    let dir = folder(&[("a.yaml", &format!("{}---\n{}", named("c"), named("a"))), ("b.yaml", &named("b"))]);
    let manifests = Manifests::open(dir.path(), "node-a").unwrap();
    let pools: Vec<String> = desired(&manifests).pools.iter().map(|pool| pool.name.clone()).collect();
    assert_eq!(pools, ["a", "b", "c"]);
    assert_eq!(problems(&manifests), [] as [String; 0]);
}

#[test]
fn namespaces_have_labels_only_where_there_is_a_document() {
    let dir = folder(&[("a.yaml", NAMESPACE), ("b.yaml", POD)]);
    let manifests = Manifests::open(dir.path(), "node-a").unwrap();
    let desired = desired(&manifests);
    assert_eq!(desired.namespaces.keys().collect::<Vec<_>>(), ["dns"]);
    let labels: Vec<&str> = desired.namespaces["dns"].iter().map(|(key, _)| &**key).collect();
    assert_eq!(labels, ["kubernetes.io/metadata.name", "team"]);
}

#[test]
fn pods_of_other_nodes_are_known_too() {
    let there = format!("{POD}spec: {{nodeName: node-b}}\n");
    let claiming = there.replace("web-0}", "web-0, annotations: {flock.fritzlab.net/anycast: 192.0.2.53}}");
    let dir = folder(&[("a.yaml", &claiming), ("b.yaml", &there.replace("web-0", "web-1"))]);
    let manifests = Manifests::open(dir.path(), "node-a").unwrap();
    assert_eq!(pod(&manifests).unwrap().node.as_deref(), Some("node-b"));
    let peers: Vec<(String, String)> = manifests.feed().peers(|_, peers| {
        peers.iter().map(|(name, peer)| (name.name.to_string(), peer.node.to_string())).collect()
    });
    let on_b = |name: &str| (name.to_owned(), "node-b".to_owned());
    assert_eq!(peers, [on_b("web-0"), on_b("web-1")]);
}

#[test]
fn other_nodes_prefixes_are_the_clusters() {
    let other = NODE.replace("node-a", "node-b").replace("db8:a", "db8:b");
    let dir = folder(&[("a.yaml", NODE), ("b.yaml", &other)]);
    let manifests = Manifests::open(dir.path(), "node-a").unwrap();
    let cluster: Vec<String> = desired(&manifests).cluster.iter().map(ToString::to_string).collect();
    assert_eq!(cluster, ["2001:db8:b:1::/64"]);
}

#[test]
fn what_is_not_served_is_said() {
    let dir = folder(&[
        ("a.yaml", &NODE.replace("cidr6:", "masquerade: {}, cidr6:")),
        ("b.yaml", "apiVersion: v2\nkind: X\n"),
        ("c.yaml", "apiVersion: flock.fritzlab.net/v1alpha1\nkind: NodeState\n"),
    ]);
    let manifests = Manifests::open(dir.path(), "node-a").unwrap();
    assert!(desired(&manifests).node.is_some());
    assert!(problems(&manifests)[0].contains("a.yaml:4: NodeConfig node-a: spec.masquerade is not served"));
    assert!(problems(&manifests)[1].starts_with("b.yaml:2: v2 X is not a kind that flock reads"));
    assert!(problems(&manifests)[2].starts_with("c.yaml:2: NodeState is written by agents"));
}

#[test]
fn a_missing_folder_is_an_error() {
    let dir = folder(&[]);
    assert!(Manifests::open(&dir.path().join("nonexistent"), "node-a").is_err());
}

#[test]
fn a_file_that_is_being_written_keeps_what_it_said() {
    let dir = folder(&[("a.yaml", POD)]);
    let manifests = Manifests::open(dir.path(), "node-a").unwrap();
    fs::write(dir.path().join("a.yaml"), "").unwrap();
    fs::write(dir.path().join("b.yaml"), POOL).unwrap();
    let unfinished = ["a.yaml", "b.yaml"].map(|name| dir.path().join(name));
    manifests.read(&Scope { unfinished: BTreeSet::from(unfinished), ..Scope::default() }).unwrap();
    // The other one has said nothing that it could lose.
    assert!(pod(&manifests).is_some() && !desired(&manifests).pools.is_empty());
    manifests.read(&Scope::default()).unwrap();
    assert_eq!(pod(&manifests), None);
}

#[test]
fn every_change_is_seen_however_quickly_it_follows_another() {
    let dir = folder(&[]);
    let path = dir.path().join("a.yaml");
    let manifests = Manifests::open(dir.path(), "node-a").unwrap();
    for number in 100..400 {
        // The same size each time, and most of them within one tick of the file system's clock.
        fs::write(&path, pod_with(number, "True")).unwrap();
        manifests.read(&Scope::default()).unwrap();
        assert_eq!(pod(&manifests).unwrap().labels.get("number"), Some(&*number.to_string()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pods_readiness_is_followed() {
    let dir = folder(&[("a.yaml", &pod_with(0, "False"))]);
    let manifests = Manifests::open(dir.path(), "node-a").unwrap();
    manifests.follow(&Tasks::default()).unwrap();
    for (ready, expected) in [("True", Readiness::Ready), ("False", Readiness::NotReady)] {
        put(dir.path(), "a.yaml", &pod_with(0, ready));
        until(&manifests, |desired| desired.pods.values().any(|pod| pod.readiness == expected)).await;
    }
    fs::remove_file(dir.path().join("a.yaml")).unwrap();
    until(&manifests, |desired| desired.pods.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_of_many_changes_is_read_and_none_takes_the_pod_away() {
    let dir = folder(&[("a.yaml", &pod_with(0, "True")), ("b.yaml", NODE)]);
    let manifests = Manifests::open(dir.path(), "node-a").unwrap();
    manifests.follow(&Tasks::default()).unwrap();
    for number in 1..=300 {
        put(dir.path(), "a.yaml", &pod_with(number, "True"));
        fs::write(dir.path().join("b.yaml"), NODE.replace("/64", &format!("/{}", 64 + number % 8))).unwrap();
        assert!(pod(&manifests).is_some());
    }
    let last = |desired: &Desired| {
        let number = desired.pods.values().all(|pod| pod.labels.get("number") == Some("300"));
        number && desired.node.as_ref().is_some_and(|node| node.pools.v6[0].net().prefix_len() == 68)
    };
    until(&manifests, last).await;
}

#[test]
fn what_is_written_but_cannot_be_read_is_reported_as_not_obeyed() {
    let dir = folder(&[("a.yaml", NODE)]);
    let manifests = Manifests::open(dir.path(), "node-a").unwrap();
    assert_eq!(desired(&manifests).config.refused, None);
    fs::write(dir.path().join("a.yaml"), NODE.replace("cidr6", "cidr7")).unwrap();
    manifests.read(&Scope::default()).unwrap();
    let refused = desired(&manifests).config.refused.clone().unwrap();
    assert!(refused.contains("a.yaml:4 cannot be read: spec.cidr7: unknown field"), "{refused}");
}

#[test]
fn an_agent_that_starts_while_the_folder_is_bad_goes_on_with_the_last_good_configuration() {
    let (dir, run_dir) = (folder(&[("a.yaml", NODE)]), folder(&[]));
    let open = || Manifests::open_kept(dir.path(), "node-a", crate::store::Disk, run_dir.path()).unwrap();
    let good = desired(&open()).node.clone();
    fs::write(dir.path().join("a.yaml"), NODE.replace("cidr6", "cidr7")).unwrap();
    let after = desired(&open());
    assert!(after.node.is_some() && after.node == good);
    assert!(after.config.refused.is_some());
    fs::remove_file(dir.path().join("a.yaml")).unwrap();
    assert_eq!(desired(&open()).node, None, "what is taken away on purpose does not stay");
}

#[test]
fn templates_and_nodes_in_the_folder_make_the_nodes_configuration() {
    let template = "apiVersion: flock.fritzlab.net/v1alpha1\nkind: NodeConfig\nmetadata: {name: rack-1}\nspec: {nodeSelector: {matchLabels: {rack: r1}}, priority: 5, mtu: 1400}\n";
    let node = "apiVersion: v1\nkind: Node\nmetadata: {name: node-a, labels: {rack: r1}}\nspec: {podCIDRs: [10.244.1.0/24]}\nstatus: {addresses: [{type: InternalIP, address: 192.0.2.1}]}\n";
    let other = node.replace("node-a", "node-b").replace("244.1", "244.2").replace("0.2.1", "0.2.2");
    let dir = folder(&[("a.yaml", template), ("b.yaml", &format!("{node}---\n{other}"))]);
    let manifests = Manifests::open(dir.path(), "node-a").unwrap();
    let desired = desired(&manifests);
    let plan = desired.node.as_ref().unwrap();
    assert_eq!((plan.pools.v4.len(), plan.mtu), (1, Some(1400)));
    assert_eq!(desired.config.templates, ["rack-1"]);
    assert_eq!(desired.cluster.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.244.2.0/24"]);
    assert_eq!(desired.machines.iter().map(ToString::to_string).collect::<Vec<_>>(), ["192.0.2.2"]);
    assert_eq!(problems(&manifests), [] as [String; 0]);
}

/// A pod of another node.
fn peer(number: usize, label: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: peer-{number}, labels: {{app: {label}}}}}\nspec: {{nodeName: node-b}}\n"
    )
}

/// With so many peers, each in a file, what a label change of one costs that claims nothing.
fn cost_of_a_label(peers: usize) -> Work {
    let dir = folder(&[("node.yaml", NODE)]);
    for number in 0..peers {
        fs::write(dir.path().join(format!("peer-{number}.yaml")), peer(number, "web")).unwrap();
    }
    let manifests = Manifests::open(dir.path(), "node-a").unwrap();
    let (mut feed, mut desired) = (manifests.feed(), manifests.desired());
    feed.peers(|_, store| assert_eq!(store.iter().count(), peers));
    desired.borrow_and_update();
    let before = manifests.work();
    for round in 0..5 {
        put(dir.path(), "peer-0.yaml", &peer(0, &format!("web-{round}")));
        manifests.read(&Scope::default()).unwrap();
        let told = feed.peers(|changes, _| match changes {
            Changes::Since(changes) => changes.len(),
            Changes::Relisted => panic!("read again"),
        });
        assert_eq!(told, 1);
    }
    assert!(!desired.has_changed().unwrap(), "no consumer of the Desired is woken");
    let after = manifests.work();
    Work {
        compositions: after.compositions - before.compositions,
        publications: after.publications - before.publications,
        objects: after.objects - before.objects,
    }
}

#[test]
fn a_label_of_a_peer_that_claims_nothing_costs_one_look_at_it_however_many_there_are() {
    let expected = Work { compositions: 0, publications: 0, objects: 5 };
    assert_eq!(cost_of_a_label(10), expected);
    assert_eq!(cost_of_a_label(10_000), expected);
}

#[test]
fn a_pod_that_moves_to_another_node_is_no_pod_of_this_one_any_more() {
    let there = |rest: &str| {
        format!("{POD}spec: {{nodeName: node-b}}\n").replace("web-0}", &format!("web-0{rest}}}"))
    };
    let claiming = there(", annotations: {flock.fritzlab.net/anycast: \"2001:db8:53::1\"}");
    let dir = folder(&[("a.yaml", POD)]);
    let manifests = Manifests::open(dir.path(), "node-a").unwrap();
    for (content, pods, node) in [(&*claiming, 1, Some("node-b")), (&*there(""), 0, None), (POD, 1, None)] {
        put(dir.path(), "a.yaml", content);
        manifests.read(&Scope::default()).unwrap();
        let desired = desired(&manifests);
        let found = desired.pods.values().next().and_then(|pod| pod.node.as_deref());
        assert_eq!((desired.pods.len(), found), (pods, node), "{content}");
    }
}

#[test]
fn when_the_first_of_two_objects_goes_the_second_one_counts() {
    let named = |team: &str| NAMESPACE.replace("network", team);
    let dir = folder(&[("a.yaml", &named("first")), ("b.yaml", &named("second"))]);
    let manifests = Manifests::open(dir.path(), "node-a").unwrap();
    let team = |manifests: &Manifests| {
        desired(manifests).namespaces.get("dns").and_then(|labels| labels.get("team").map(str::to_owned))
    };
    assert_eq!((team(&manifests).as_deref(), problems(&manifests).len()), (Some("first"), 1));
    fs::remove_file(dir.path().join("a.yaml")).unwrap();
    manifests.read(&Scope::default()).unwrap();
    assert_eq!((team(&manifests).as_deref(), problems(&manifests).len()), (Some("second"), 0));
    fs::remove_file(dir.path().join("b.yaml")).unwrap();
    manifests.read(&Scope::default()).unwrap();
    assert_eq!(team(&manifests), None);
}
