//! The documents: every relative link leads to a file and a heading that exist, and `README.md` is short enough to read.

#[path = "links/markdown.rs"]
mod markdown;

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use markdown::{Link, anchors, links};

/// Lines of `README.md`: the rest belongs into `docs`.
const README_LINES: usize = 200;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// README.md, CONTRIBUTING.md and docs/*.md, below the root.
fn pages(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut pages = vec![PathBuf::from("README.md"), PathBuf::from("CONTRIBUTING.md")];
    for entry in fs::read_dir(root.join("docs"))? {
        let page = Path::new("docs").join(entry?.file_name());
        if page.extension().is_some_and(|extension| extension == "md") {
            pages.push(page);
        }
    }
    pages.sort();
    Ok(pages)
}

/// What is wrong with a page's links.
fn objections(root: &Path, page: &Path) -> io::Result<Vec<String>> {
    let text = fs::read_to_string(root.join(page))?;
    let wrong = links(&text).into_iter().filter_map(|link| {
        let reason = objection(root, page, &link)?;
        Some(format!("{}:{}: {}: {reason}", page.display(), link.line, link.target))
    });
    Ok(wrong.collect())
}

fn objection(root: &Path, page: &Path, link: &Link) -> Option<String> {
    if is_absolute(&link.target) {
        return None;
    }
    let (path, anchor) = match link.target.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (link.target.as_str(), None),
    };
    let Some(file) = target(page, path) else { return Some("leads out of the repository".to_owned()) };
    if !root.join(&file).exists() {
        return Some(format!("there is no {}", file.display()));
    }
    let anchor = anchor?;
    match fs::read_to_string(root.join(&file)) {
        Ok(text) if anchors(&text).contains(anchor) => None,
        Ok(_) => Some(format!("{} has no heading #{anchor}", file.display())),
        Err(error) => Some(format!("{} has no headings: {error}", file.display())),
    }
}

/// Whether a link names its scheme, and so another place than the repository (RFC 3986, section 3.1).
fn is_absolute(target: &str) -> bool {
    let scheme = target.split_once(':').map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| {
        !scheme.is_empty() && scheme.chars().all(|each| each.is_ascii_alphanumeric() || "+-.".contains(each))
    })
}

/// The file that a link of the page leads to, below the root; none: it leads out of it.
fn target(page: &Path, path: &str) -> Option<PathBuf> {
    if path.is_empty() {
        return Some(page.to_owned());
    }
    let mut target = page.parent()?.to_owned();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => target.push(name),
            Component::CurDir => {}
            Component::ParentDir if target.pop() => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(target)
}

fn is_too_long(readme: &str) -> bool {
    readme.lines().count() > README_LINES
}

/// The objections to a page `docs/page.md` with this text, in a repository with a README and a page beside it.
fn planted(text: &str) -> io::Result<Vec<String>> {
    let root = tempfile::tempdir()?;
    fs::create_dir(root.path().join("docs"))?;
    fs::write(root.path().join("README.md"), "# flock\n\n## Quick start\n")?;
    fs::write(root.path().join("docs/other.md"), "# Other\n\n```sh\n# not a heading\n```\n")?;
    fs::write(root.path().join("docs/page.md"), text)?;
    objections(root.path(), Path::new("docs/page.md"))
}

#[test]
fn every_relative_link_of_the_documents_resolves() {
    let root = root();
    let pages = pages(&root).unwrap();
    assert!(pages.len() >= 11, "only {} pages were found", pages.len());
    let found: Vec<String> = pages.iter().flat_map(|page| objections(&root, page).unwrap()).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
    let read = |page: &PathBuf| links(&fs::read_to_string(root.join(page)).unwrap()).len();
    let count: usize = pages.iter().map(read).sum();
    assert!(count > 80, "only {count} links were found");
}

#[test]
fn the_readme_is_short() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(
        !is_too_long(&readme),
        "README.md has {} lines, of at most {README_LINES}: move the details to docs",
        readme.lines().count()
    );
    assert!(!is_too_long(&"line\n".repeat(README_LINES)));
    assert!(is_too_long(&"line\n".repeat(README_LINES + 1)));
}

#[test]
fn links_that_resolve_pass() {
    for text in [
        "[page](other.md) and [another](./other.md#other), [up](../README.md#quick-start), [folder](../docs)",
        "# A heading\n\n[here](#a-heading)",
        "[broken over\nlines](other.md)",
        "[![image](../README.md)](other.md)",
        "[label]: other.md \"a title\"",
        "[elsewhere](https://example.org/none#none), [mail](mailto:nobody@example.org)",
    ] {
        assert_eq!(planted(text).unwrap(), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn a_broken_link_is_named_with_its_place() {
    for (text, objection) in [
        ("[a](none.md)", "docs/page.md:1: none.md: there is no docs/none.md"),
        ("one\n\n[a](../docs/none.md)", "docs/page.md:3: ../docs/none.md: there is no docs/none.md"),
        ("[a](Other.md)", "docs/page.md:1: Other.md: there is no docs/Other.md"),
        ("[a](other.md#none)", "docs/page.md:1: other.md#none: docs/other.md has no heading #none"),
        (
            "[a](other.md#not-a-heading)",
            "docs/page.md:1: other.md#not-a-heading: docs/other.md has no heading #not-a-heading",
        ),
        ("# Here\n[a](#Here)", "docs/page.md:2: #Here: docs/page.md has no heading #Here"),
        ("[a](../../other.md)", "docs/page.md:1: ../../other.md: leads out of the repository"),
        ("[a](/docs/other.md)", "docs/page.md:1: /docs/other.md: leads out of the repository"),
        ("![a](none.png)", "docs/page.md:1: none.png: there is no docs/none.png"),
        ("one\n[label]: none.md", "docs/page.md:2: none.md: there is no docs/none.md"),
        ("`code` [a](none.md)", "docs/page.md:1: none.md: there is no docs/none.md"),
        ("```\ncode\n```\n[a](none.md)", "docs/page.md:4: none.md: there is no docs/none.md"),
        ("```code``` [a](none.md)", "docs/page.md:1: none.md: there is no docs/none.md"),
        ("one ` alone\n\n[a](none.md) `", "docs/page.md:3: none.md: there is no docs/none.md"),
    ] {
        assert_eq!(planted(text).unwrap(), [objection], "{text}");
    }
    let error = planted("[a](../docs#none)").unwrap();
    assert!(error.len() == 1 && error[0].contains("docs has no headings"), "{error:?}");
}

#[test]
fn links_in_code_are_none() {
    for text in [
        "```md\n[a](none.md)\n```",
        "````\n```\n[a](none.md)\n````",
        "~~~\n[a](none.md)\n```\n[a](none.md)\n~~~",
        "1. item\n\n   ```\n   [a](none.md)\n   ```",
        "`[a](none.md)` and ``one ` [a](none.md)``",
        "`broken over\n[a](none.md)`",
    ] {
        assert_eq!(links(text), [], "{text}");
    }
}

#[test]
fn anchors_are_those_of_github() {
    let page =
        "# flock\n## What is `spec.bgp.peers[]`?\n## ip-algo\n### A_b [link](x.md), Ä – 2.0 ##\n#none\n";
    let expected = ["a_b-link-ä--20", "flock", "ip-algo", "what-is-specbgppeers"];
    assert_eq!(anchors(page).into_iter().collect::<Vec<_>>(), expected);
    let twice = anchors("## Spec\n## Spec\n## Spec\n## Spec-1\n");
    assert_eq!(twice.into_iter().collect::<Vec<_>>(), ["spec", "spec-1", "spec-1-1", "spec-2"]);
}
