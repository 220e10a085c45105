//! Every dependency's licence is one that an Apache-2.0 program may be linked with and shipped under.

use cargo_metadata::{MetadataCommand, Package};
use spdx::{Expression, ParseMode};

/// SPDX identifiers. An addition is a decision: its obligations must be met by the image and the release archive.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// All packages in `Cargo.lock` but our own, on the systems that flock runs on.
fn dependencies() -> anyhow::Result<Vec<Package>> {
    let options = ["--locked", "--filter-platform", "x86_64-unknown-linux-gnu"];
    let mut command = MetadataCommand::new();
    command.other_options(options.map(str::to_owned).to_vec());
    let packages = command.exec()?.packages;
    Ok(packages.into_iter().filter(|package| package.source.is_some()).collect())
}

/// Why the licence is refused; none when it is allowed.
fn objection(licence: Option<&str>) -> Option<String> {
    let Some(licence) = licence else { return Some("names no licence".to_owned()) };
    match Expression::parse_mode(licence, ParseMode::LAX) {
        Err(error) => Some(format!("licence {licence:?} is not an SPDX expression: {}", error.reason)),
        Ok(expression) if expression.evaluate(is_allowed) => None,
        Ok(_) => Some(format!("licence {licence:?} is not allowed")),
    }
}

fn is_allowed(requirement: &spdx::LicenseReq) -> bool {
    requirement.license.id().is_some_and(|id| ALLOWED.contains(&id.name))
}

#[test]
fn every_dependency_has_an_allowed_licence() {
    let dependencies = dependencies().unwrap();
    assert!(dependencies.len() > 50, "only {} dependencies were found", dependencies.len());
    let refused: Vec<String> = dependencies
        .iter()
        .filter_map(|package| Some((package, objection(package.license.as_deref())?)))
        .map(|(package, why)| format!("{} {}: {why}", package.name, package.version))
        .collect();
    assert!(refused.is_empty(), "allowed are {ALLOWED:?}; refused:\n{}", refused.join("\n"));
}

#[test]
fn licences_are_judged_as_expressions() {
    for allowed in ["MIT", "MIT OR GPL-3.0-only", "MIT/Apache-2.0", "Apache-2.0 WITH LLVM-exception OR MIT"] {
        assert_eq!(objection(Some(allowed)), None, "{allowed}");
    }
    for refused in ["GPL-3.0-only", "MIT AND GPL-2.0-or-later", "LicenseRef-ours", "Proprietary"] {
        assert!(objection(Some(refused)).is_some(), "{refused}");
    }
    assert!(objection(None).is_some());
}
