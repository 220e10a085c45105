//! The files, and how they belong together.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A file below `deploy/`.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name)
}

/// The objects in a file below `deploy/`.
pub(crate) fn objects(name: &str) -> Vec<Value> {
    let text = fs::read_to_string(path(name)).unwrap();
    let objects: Vec<Value> =
        serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(!objects.is_empty(), "{name} is empty");
    objects
}

/// The object of this kind in a file below `deploy/`.
pub(crate) fn object(name: &str, kind: &str) -> Value {
    let found = objects(name).into_iter().find(|object| object["kind"] == kind);
    found.unwrap_or_else(|| panic!("{name} has no {kind}"))
}

/// The strings in a list.
pub(crate) fn strings(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

const KUSTOMIZATIONS: [&str; 2] = ["", "uninstall/"];

#[test]
fn all_that_is_listed_is_there() {
    for folder in KUSTOMIZATIONS {
        let kustomization = object(&format!("{folder}kustomization.yaml"), "Kustomization");
        assert_eq!(kustomization["namespace"], "flock-system");
        for resource in strings(&kustomization["resources"]) {
            objects(&format!("{folder}{resource}"));
        }
    }
}

#[test]
fn every_definition_is_listed() {
    let kustomization = object("kustomization.yaml", "Kustomization");
    for entry in fs::read_dir(path("crds")).unwrap() {
        let name = format!("crds/{}", entry.unwrap().file_name().display());
        assert!(strings(&kustomization["resources"]).contains(&name.as_str()), "{name}");
    }
}

#[test]
fn all_images_are_the_agents_version() {
    for folder in KUSTOMIZATIONS {
        let kustomization = object(&format!("{folder}kustomization.yaml"), "Kustomization");
        let images = serde_json::json!([{"name": "flock", "newTag": env!("CARGO_PKG_VERSION")}]);
        assert_eq!(kustomization["images"], images);
        let pod = object(&format!("{folder}daemonset.yaml"), "DaemonSet")["spec"]["template"]["spec"].take();
        for container in
            pod["initContainers"].as_array().into_iter().chain(pod["containers"].as_array()).flatten()
        {
            assert_eq!(container["image"], "flock", "{}", container["name"]);
            assert_eq!(container["imagePullPolicy"], "IfNotPresent", "{}", container["name"]);
        }
    }
}

#[test]
fn the_namespace_admits_what_a_nodes_network_takes() {
    let namespace = object("namespace.yaml", "Namespace");
    assert_eq!(namespace["metadata"]["name"], "flock-system");
    assert_eq!(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "privileged");
}
