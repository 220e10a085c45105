//! The worked examples of docs/anycast.md: their pools are accepted, and admit what their pods claim.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flock_core::attachment::PodName;
use flock_core::pod::Pod;
use flock_core::pod::intent;
use serde_json::Value;

use crate::source::Source;
use crate::source::manifests::Manifests;
use flock_core::claim::Ownership;
use flock_core::desired::Desired;
use flock_core::host::NodeView;
use flock_core::record::Records;

const NODE: &str = r#"
apiVersion: flock.fritzlab.net/v1alpha1
kind: NodeConfig
metadata: {name: node-a}
spec: {cidr6: ["2001:db8:a:1::/64"], cidr4: ["203.0.113.0/26"]}
"#;

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    files.filter(|path| name(path).starts_with("anycast-")).collect()
}

fn desired(text: &str) -> Arc<Desired> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("node.yaml"), NODE).unwrap();
    fs::write(folder.path().join("example.yaml"), text).unwrap();
    let manifests = Manifests::open(folder.path(), "node-a").unwrap();
    manifests.desired().borrow().clone()
}

/// What a pod of the document would be: its own, or its workload's.
fn pod(document: &str) -> Option<Pod> {
    let value: Value = serde_saphyr::from_str(document).unwrap();
    let template = match value["kind"].as_str()? {
        "Pod" => &value["metadata"],
        "Deployment" | "DaemonSet" => &value["spec"]["template"]["metadata"],
        _ => return None,
    };
    let name = PodName::new(value["metadata"]["namespace"].as_str()?, value["metadata"]["name"].as_str()?);
    let annotations = template["annotations"].as_object()?.iter();
    let annotations = annotations.map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned()));
    Some(Pod::new(name.unwrap()).annotated(&annotations.collect()))
}

#[test]
fn every_pod_of_the_examples_may_have_what_it_asks_for() {
    let mut seen = 0;
    for file in examples() {
        let text = fs::read_to_string(&file).unwrap();
        let desired = desired(&text);
        let odd = desired
            .problems
            .iter()
            .filter(|problem| !problem.reason.contains("is not a kind that flock reads"));
        assert_eq!(
            odd.collect::<Vec<_>>(),
            Vec::<&flock_core::desired::Problem>::new(),
            "{}",
            file.display()
        );
        let ownership = Ownership::new(&desired, &NodeView::default(), &Records::new());
        for pod in text.split("\n---\n").filter_map(pod) {
            let (intent, warnings) = intent::resolve(desired.node.as_ref().unwrap(), &pod).unwrap();
            assert_eq!(warnings, []);
            let named: BTreeSet<_> = intent.static_addresses().iter().collect();
            assert!(!named.is_empty() || !intent.anycast().is_empty(), "{}", pod.name);
            ownership.admit_all(&pod.name, &named, intent.anycast()).unwrap();
            seen += 1;
        }
    }
    assert_eq!(seen, 4);
}
