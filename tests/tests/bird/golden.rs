//! The committed golden files, judged by BIRD.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::parser;

fn goldens() -> Result<Vec<PathBuf>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bird-templates/golden");
    let files: Result<Vec<PathBuf>, _> =
        dir.read_dir()?.map(|entry| entry.map(|entry| entry.path())).collect();
    let files = files?;
    ensure!(files.len() >= 6, "only {} golden files in {}", files.len(), dir.display());
    Ok(files)
}

pub(crate) fn every_golden_file_is_read_by_bird() -> Result<()> {
    let bird = parser::bird()?;
    goldens()?.iter().try_for_each(|file| parser::accepts_file(&bird, file))
}

/// Core cannot name the kernel crate's constant.
pub(crate) fn the_kernel_filter_knows_flocks_own_routes() -> Result<()> {
    let line = format!("if krt_source = {} then reject;", flock_kernel::ROUTE_PROTOCOL);
    for file in goldens()? {
        let text = fs::read_to_string(&file)?;
        let kernels = text.matches("protocol kernel ").count();
        ensure!(text.matches(&line).count() == kernels, "{}: not {kernels} times `{line}`", file.display());
    }
    Ok(())
}
