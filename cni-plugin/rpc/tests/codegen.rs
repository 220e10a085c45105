//! The committed code is what the proto file gives. After a change of the proto: `FLOCK_BLESS=1 cargo test -p flock-rpc
//! --test codegen`.

#![expect(clippy::unwrap_used, reason = "a test: panics are its errors")]

use std::fs;
use std::path::Path;

const FILE: &str = "flock.v1alpha1.rs";

fn generate(out: &Path) -> String {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let descriptors = protox::compile(["flock.proto"], [proto]).unwrap();
    tonic_prost_build::configure()
        // The plugin brings its own transport.
        .build_transport(false)
        .client_mod_attribute(".", r#"#[cfg(feature = "client")]"#)
        .server_mod_attribute(".", r#"#[cfg(feature = "server")]"#)
        .out_dir(out)
        .compile_fds(descriptors)
        .unwrap();
    fs::read_to_string(out.join(FILE)).unwrap()
}

#[test]
fn committed_code_matches_the_proto() {
    let out = tempfile::tempdir().unwrap();
    let fresh = generate(out.path());
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/gen").join(FILE);
    if fs::read_to_string(&committed).is_ok_and(|text| text == fresh) {
        return;
    }
    if std::env::var_os("FLOCK_BLESS").is_some_and(|value| value == "1") {
        fs::write(&committed, fresh).unwrap();
        return;
    }
    panic!("{} is stale: run this test with FLOCK_BLESS=1 and commit the file", committed.display());
}
