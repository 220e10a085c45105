//! The committed CustomResourceDefinitions and their reference are what the types give. After a change of the types:
//! `FLOCK_BLESS=1 cargo test -p flock-crds --test generated`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test: panics are its errors")]

mod constraints;
mod reference;
mod yaml;

use std::fs;
use std::path::Path;

use flock_crds::Kind;
use flock_crds::crd::custom_resource_definition;
use serde_json::Value;

#[test]
fn committed_definitions_match_the_types() {
    is_committed("deploy/crds/nodeconfigs.yaml", &yaml(Kind::NodeConfig));
    is_committed("deploy/crds/addresspools.yaml", &yaml(Kind::AddressPool));
    is_committed("deploy/crds/nodestates.yaml", &yaml(Kind::NodeState));
}

#[test]
fn the_committed_reference_matches_the_types() {
    is_committed("docs/reference.md", &reference::markdown());
}

#[track_caller]
fn is_committed(path: &str, fresh: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    if fs::read_to_string(&path).is_ok_and(|text| text == fresh) {
        return;
    }
    if std::env::var_os("FLOCK_BLESS").is_some_and(|value| value == "1") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, fresh).unwrap();
        return;
    }
    panic!("{} is stale: run this test with FLOCK_BLESS=1 and commit the file", path.display());
}

fn yaml(kind: Kind) -> String {
    let definition = custom_resource_definition(kind);
    let text = yaml::document(&definition);
    assert_eq!(serde_saphyr::from_str::<Value>(&text).unwrap(), definition, "{text}");
    format!("# Generated from crds/src, see crds/tests/generated: do not edit.\n{text}")
}
