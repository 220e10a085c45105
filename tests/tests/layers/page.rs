//! `docs/ARCHITECTURE.md`: its tables, read.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail, ensure};

/// What the page says of crate `agent`. A module is one of `lib.rs`, or a program: `main.rs`, `bin/NAME.rs`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Layers {
    /// The layer of each module; 1 is the lowest.
    layers: BTreeMap<String, u32>,
    /// Modules that only these may use, in whatever layer the others are.
    restricted: BTreeMap<String, BTreeSet<String>>,
}

impl Layers {
    /// Reads the tables whose first columns are `layer` and `restricted`.
    pub(crate) fn read(page: &str) -> anyhow::Result<Self> {
        let mut read = Self::default();
        for row in table(page, "layer")? {
            let layer = row.first().and_then(|cell| cell.parse().ok());
            let layer =
                layer.with_context(|| format!("the row {row:?} does not begin with a layer's number"))?;
            let modules = names(&row, 1);
            ensure!(!modules.is_empty(), "layer {layer} has no `module`");
            for module in modules {
                if read.layers.insert(module.clone(), layer).is_some() {
                    bail!("module {module} stands in the table of layers twice");
                }
            }
        }
        for row in table(page, "restricted")? {
            let (restricted, users) = (names(&row, 0), names(&row, 1));
            for module in restricted.iter().chain(&users) {
                ensure!(read.layers.contains_key(module), "module {module} is restricted but in no layer");
            }
            let users: BTreeSet<String> = users.into_iter().collect();
            read.restricted.extend(restricted.into_iter().map(|module| (module, users.clone())));
        }
        Ok(read)
    }

    pub(crate) fn layer(&self, module: &str) -> Option<u32> {
        self.layers.get(module).copied()
    }

    pub(crate) fn modules(&self) -> impl Iterator<Item = &str> {
        self.layers.keys().map(String::as_str)
    }

    /// Who may use the module, if not everybody above it may.
    pub(crate) fn users(&self, module: &str) -> Option<&BTreeSet<String>> {
        self.restricted.get(module)
    }
}

/// Which crates of ours each crate uses: the table whose first column is `crate`.
pub(crate) fn crates(page: &str) -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    let rows = table(page, "crate")?;
    let read = rows.iter().map(|row| {
        let name = names(row, 0).into_iter().next();
        let name = name.with_context(|| format!("the row {row:?} names no `crate`"))?;
        Ok((name, names(row, 1).into_iter().collect()))
    });
    read.collect()
}

/// The rows of the table whose first heading this is.
fn table(page: &str, heading: &str) -> anyhow::Result<Vec<Vec<String>>> {
    let mut lines = page.lines().skip_while(|line| cells(line).first().is_none_or(|first| first != heading));
    ensure!(lines.next().is_some(), "there is no table whose first column is {heading:?}");
    // The line below the headings is a rule.
    Ok(lines.skip(1).take_while(|line| line.starts_with('|')).map(cells).collect())
}

fn cells(line: &str) -> Vec<String> {
    let Some(inner) = line.trim().strip_prefix('|') else { return Vec::new() };
    inner.trim_end_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// What stands between back quotes in one cell of a row.
fn names(row: &[String], cell: usize) -> Vec<String> {
    let cell = row.get(cell).map(String::as_str).unwrap_or_default();
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}
