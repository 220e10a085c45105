//! `docs/ARCHITECTURE.md` and the code say the same: crates use only what the page says, and the modules of crate
//! `agent` only modules of lower layers.

#[path = "layers/page.rs"]
mod page;
#[path = "layers/rules.rs"]
mod rules;
#[path = "layers/sources.rs"]
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};
use page::Layers;
use rules::objections;
use sources::Sources;

/// How programs know the library.
const LIBRARY: &str = "flock_agent";

/// A page whose crate has a store below a source, two peers above them, and a program.
const PAGE: &str = "
| layer | modules | what they do |
|---|---|---|
| 4 | `main.rs` | starts |
| 3 | `attach`, `bird` | act |
| 2 | `source` | what is desired |
| 1 | `store` | files |

| restricted | used by |
|---|---|
| `store` | `source`, `attach` |
";

const ROOT: &str = "pub mod attach; pub mod bird; pub mod source; pub mod store;";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn page() -> std::io::Result<String> {
    std::fs::read_to_string(root().join("docs/ARCHITECTURE.md"))
}

/// Sources without any arrow, and these in place of theirs.
fn sources(planted: &[(&str, &str)]) -> Sources {
    let empty = ["main.rs", "attach.rs", "bird.rs", "source.rs", "store.rs"].map(|file| (file, ""));
    let all = [("lib.rs", ROOT)].into_iter().chain(empty).chain(planted.iter().copied());
    all.map(|(file, text)| (file.to_owned(), text.to_owned())).collect()
}

fn judge(sources: &Sources) -> anyhow::Result<Vec<String>> {
    Ok(objections(&Layers::read(PAGE)?, &sources::read(sources, LIBRARY)?))
}

/// The one objection to a file with this text.
fn objection(file: &str, text: &str) -> anyhow::Result<String> {
    let found = judge(&sources(&[(file, text)]))?;
    assert_eq!(found.len(), 1, "{file}: {text:?}: {found:?}");
    Ok(found[0].clone())
}

#[test]
fn modules_use_modules_of_lower_layers_only() {
    let sources = sources::load(&root().join("agent/src")).unwrap();
    let modules = sources::read(&sources, LIBRARY).unwrap();
    assert!(modules.arrows.len() > 50, "only {} arrows were found", modules.arrows.len());
    let found = objections(&Layers::read(&page().unwrap()).unwrap(), &modules);
    assert!(found.is_empty(), "against the layers of docs/ARCHITECTURE.md:\n{}", found.join("\n"));
}

#[test]
fn crates_use_what_the_page_says() {
    let mut command = MetadataCommand::new();
    command.no_deps().other_options(vec!["--locked".to_owned()]);
    let there: BTreeMap<String, BTreeSet<String>> = command
        .exec()
        .unwrap()
        .packages
        .into_iter()
        .map(|package| {
            let used = package.dependencies.into_iter();
            let used = used.filter(|used| used.path.is_some() && used.kind == DependencyKind::Normal);
            (package.name.to_string(), used.map(|used| used.name).collect())
        })
        .collect();
    assert_eq!(
        page::crates(&page().unwrap()).unwrap(),
        there,
        "left: the table of crates in docs/ARCHITECTURE.md"
    );
}

#[test]
fn sources_that_keep_to_the_layers_pass() {
    let clean = sources(&[
        ("main.rs", "use flock_agent::{attach::Attachments, bird}; fn main() { bird::run() }"),
        ("attach.rs", "mod add; use crate::source::Source; use crate::store; use self::add::Add;"),
        (
            "attach/add.rs",
            "use super::Attachments; use super::super::source; use crate::attach::AttachError;",
        ),
        ("source.rs", "pub(in crate::source) fn open() { tracing::info!(\"{}\", crate::store::name()) }"),
        ("store.rs", "//! See [`crate::attach`].\nuse std::fs; use ::attach::Foreign;"),
    ]);
    assert_eq!(judge(&clean).unwrap(), Vec::<String>::new());
}

#[test]
fn an_arrow_upwards_is_named_with_its_place() {
    let found = objection("source.rs", "use std::fs;\nuse crate::attach::Attachments;").unwrap();
    assert!(found.starts_with("agent/src/source.rs:2: source (layer 2) names attach (layer 3)"), "{found}");
    assert!(found.contains("move what both use into a lower layer"), "{found}");
}

#[test]
fn an_arrow_within_a_layer_is_named() {
    let found = objection("attach.rs", "use crate::bird;").unwrap();
    assert!(found.starts_with("agent/src/attach.rs:1: attach (layer 3) names bird (layer 3)"), "{found}");
}

#[test]
fn an_arrow_is_found_however_it_is_written() {
    for text in [
        "use crate::{source::Source, attach::{add::Add}};",
        "use crate::{self as root};",
        "use crate as root;",
        "use crate::*;",
        "use super::*;",
        "use super::attach;",
        "use self::super::attach as other;",
        "pub use crate::attach::*;",
        "fn f() { use crate::attach::Add; }",
        "fn f() -> crate::attach::Add { todo() }",
        "fn f() { let x: Vec<Option<crate::attach::Add>> = Vec::new(); }",
        "fn f() { <super::attach::Add as Clone>::clone() }",
        "fn f() { println!(\"{}\", [crate::attach::name()]) }",
        "fn f() { crate::attach::log!(1) }",
        "macro_rules! m { () => { $crate::attach::Add } }",
        "#[serde(with = \"crate::attach::add\")] struct S;",
        "#[arg(value_parser = crate::attach::parse)] struct S;",
        "#[cfg(not(test))] use crate::attach::Add;",
        "mod inner { use super::super::attach::Add; }",
        "mod inner { fn f() { crate::attach::f() } }",
    ] {
        let found = objection("bird.rs", text).unwrap();
        assert!(found.contains("agent/src/bird.rs:1: bird "), "{text}: {found}");
    }
}

#[test]
fn an_arrow_of_a_module_far_down_is_its_top_modules() {
    let text = "use super::super::super::attach;";
    let deep = [("bird.rs", "mod a;"), ("bird/a.rs", "mod b;"), ("bird/a/b.rs", text)];
    let found = judge(&sources(&deep)).unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("agent/src/bird/a/b.rs:1: bird (layer 3) names attach (layer 3)"),
        "{found:?}"
    );
}

#[test]
fn tests_may_use_anything() {
    for text in [
        "#[cfg(test)] mod tests { use crate::attach::Add; }",
        "#[cfg(test)] mod tests;",
        "#[cfg(all(test, unix))] mod tests;",
        "#[cfg(test)] use crate::attach::Add;",
        "#[cfg(test)] fn f() -> crate::attach::Add { todo() }",
        "#[cfg(test)] impl S { fn f() -> crate::attach::Add { todo() } }",
        "impl S { #[cfg(test)] fn f() -> crate::attach::Add { todo() } }",
    ] {
        assert_eq!(judge(&sources(&[("source.rs", text)])).unwrap(), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn a_restricted_module_is_named_by_its_users_only() {
    let text = "use flock_agent::store::Store;";
    let found = objection("main.rs", text).unwrap();
    assert!(found.starts_with("agent/src/main.rs:1: main.rs (layer 4) names store (layer 1)"), "{found}");
    assert!(found.contains("which only attach, source may"), "{found}");
    assert_eq!(judge(&sources(&[("attach.rs", "use crate::store::Store;")])).unwrap(), Vec::<String>::new());
}

#[test]
fn page_and_crate_have_the_same_modules() {
    let added = format!("{ROOT} pub mod policy;");
    let found = judge(&sources(&[("lib.rs", &added), ("policy.rs", "")])).unwrap();
    assert!(found.len() == 1 && found[0].contains("module policy is in no layer"), "{found:?}");
    let found = judge(&sources(&[("lib.rs", &ROOT.replace("pub mod bird;", ""))])).unwrap();
    assert!(found.len() == 1 && found[0].contains("a module bird that does not exist"), "{found:?}");
    let found = judge(&sources(&[("bin/other.rs", "")])).unwrap();
    assert!(found.len() == 1 && found[0].contains("module bin/other.rs is in no layer"), "{found:?}");
}

#[test]
fn a_page_that_cannot_be_read_is_refused() {
    for (page, reason) in [
        ("no table", "no table whose first column is \"layer\""),
        ("| layer | modules |\n|---|---|\n| one | `a` |", "does not begin with a layer's number"),
        ("| layer | modules |\n|---|---|\n| 1 | none |", "layer 1 has no `module`"),
        ("| layer | modules |\n|---|---|\n| 1 | `a` |\n| 2 | `a` |", "stands in the table of layers twice"),
        (&PAGE.replace("| `source`, `attach` |", "| `nobody` |"), "nobody is restricted but in no layer"),
    ] {
        let error = Layers::read(page).unwrap_err().to_string();
        assert!(error.contains(reason), "{page}: {error}");
    }
}

#[test]
fn sources_that_cannot_be_followed_are_refused() {
    for (text, reason) in [
        ("mod absent;", "bird.rs: there is no file for its module absent"),
        ("#[path = \"x.rs\"] mod x;", "bird.rs: #[path] of module x cannot be followed"),
        ("fn {", "bird.rs is not Rust"),
    ] {
        let error = sources::read(&sources(&[("bird.rs", text)]), LIBRARY).unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
    }
}
