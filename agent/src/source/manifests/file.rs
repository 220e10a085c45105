//! The folder's files, each as it was last read.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::index::FileChange;
use super::notices::{Scope, Which};
use crate::source::document::{self, Object};
use crate::source::objects::{Audience, ConfigObject, Fallback, Unreadable};
use crate::source::reader::Interner;
use flock_core::desired::{Place, Problem};

/// A manifest larger than this is a mistake.
const MAX_FILE: u64 = 64 << 20;

/// A file system's clock is coarse (ext4's counts ticks of up to 10 ms, FAT's 2 s): of two changes closer together than
/// this the second may leave no trace in a [`Stamp`].
const TELLING: Duration = Duration::from_secs(3);

/// The manifests of a folder, in the order of their names.
#[derive(Debug, Default)]
pub(super) struct Files(BTreeMap<PathBuf, File>);

/// One file, as it was last read.
#[derive(Debug, Default)]
pub(super) struct File {
    /// Of the content, or of an earlier one; none while an equal one could belong to a later content.
    stamp: Option<Stamp>,
    content: String,
    /// The objects of the last good content, each with its line.
    objects: Vec<(usize, Object)>,
    problems: Vec<Problem>,
    /// The first of the problems, if the content is not obeyed because of it.
    refusal: Option<Problem>,
}

/// What differs after a file was written or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// What a reading has changed.
#[derive(Debug, Default)]
pub(super) struct Changed {
    /// Files whose objects are others now.
    pub(super) objects: Vec<FileChange>,
    /// Whether any file's problems are others now.
    pub(super) problems: bool,
}

/// What a file said before it was read again.
struct Told {
    objects: Vec<(usize, Object)>,
    problems: Vec<Problem>,
    refusal: Option<Problem>,
}

impl Told {
    fn of(file: &File) -> Self {
        let File { objects, problems, refusal, .. } = file;
        Self { objects: objects.clone(), problems: problems.clone(), refusal: refusal.clone() }
    }
}

impl Changed {
    fn add(&mut self, path: PathBuf, before: Told, file: &File) {
        self.problems |= before.problems != file.problems || before.refusal != file.refusal;
        if before.objects != file.objects {
            self.objects.push(FileChange { path, before: before.objects, now: file.objects.clone() });
        }
    }
}

impl Files {
    /// Reads what has changed in the folder.
    pub(super) fn read(&mut self, dir: &Path, scope: &Scope) -> io::Result<Changed> {
        let found = manifests(dir)?;
        let mut changed = Changed::default();
        let (kept, gone): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.0).into_iter().partition(|(path, _)| found.contains_key(path));
        self.0 = kept;
        for (path, mut file) in gone {
            let before = Told::of(&file);
            file.empty();
            changed.add(path, before, &file);
        }
        for (path, metadata) in found {
            let file = self.0.entry(path.clone()).or_default();
            // Whoever is writing it may have cut it to nothing first. What has said nothing yet has nothing to lose.
            let keeps = scope.unfinished.contains(&path) && !file.objects.is_empty();
            if !keeps && let Some(before) = file.update(&path, &metadata, scope.which) {
                changed.add(path, before, file);
            }
        }
        Ok(changed)
    }

    /// The files in the order of their names.
    pub(super) fn iter(&self) -> impl Iterator<Item = &File> {
        self.0.values()
    }
}

impl File {
    /// A file that cannot be read has the NodeConfigs that it had; if it never could be, it may have any.
    pub(super) fn unreadable(&self) -> Vec<Unreadable> {
        let Some(Problem { place, reason }) = &self.refusal else { return Vec::new() };
        let unreadable =
            |nodes, fallback| Unreadable { place: place.clone(), reason: reason.clone(), nodes, fallback };
        if self.objects.is_empty() {
            return vec![unreadable(Audience::Unknown, Fallback::Nothing)];
        }
        let earlier = self.objects.iter().filter_map(|(_, object)| match object {
            Object::NodeConfig(config) => Some(config.nodes()),
            _ => None,
        });
        earlier.map(|nodes| unreadable(nodes, Fallback::Earlier)).collect()
    }

    /// What is to be said about the content.
    pub(super) fn problems(&self) -> &[Problem] {
        &self.problems
    }

    fn empty(&mut self) {
        *self = Self::default();
    }

    /// Reads the file if it looks another, and says what it said before. `metadata` is from before the content is read: what
    /// is written in between differs from it the next time.
    fn update(&mut self, path: &Path, metadata: &Metadata, which: Which) -> Option<Told> {
        let stamp = Stamp::of(metadata);
        if which == Which::Changed && self.stamp == Some(stamp) {
            return None;
        }
        let content = read_text(path, metadata.len());
        self.stamp = Some(stamp).filter(|stamp| content.is_ok() && stamp.tells(SystemTime::now()));
        if content.as_ref().is_ok_and(|content| *content == self.content && self.problems.is_empty()) {
            return None;
        }
        let before = Told::of(self);
        match content {
            Ok(content) => {
                self.take(path, &content);
                self.content = content;
            }
            Err(cause) => {
                self.problems = vec![Problem {
                    place: Place::File { path: path.to_owned(), line: None },
                    reason: cause.to_string(),
                }];
                self.refusal = self.problems.first().cloned();
            }
        }
        Some(before)
    }

    fn take(&mut self, path: &Path, content: &str) {
        let mut objects = Vec::new();
        let mut refusals = Vec::new();
        let mut remarks = Vec::new();
        let place = |line| Place::File { path: path.to_owned(), line: Some(line) };
        let problem = |line, reason| Problem { place: place(line), reason };
        let mut interner = Interner::default();
        for document in document::split(content) {
            match document.read_with(&mut interner) {
                Ok(reading) => {
                    let line = document.first_line();
                    objects.extend(reading.object.map(|object| (line, located(object, place(line)))));
                    remarks.extend(reading.remarks.into_iter().map(|(line, text)| problem(line, text)));
                }
                Err(refusal) => refusals.push(problem(refusal.line, refusal.reason)),
            }
        }
        if refusals.is_empty() {
            self.objects = objects;
        }
        self.refusal = refusals.first().cloned();
        self.problems = refusals.into_iter().chain(remarks).collect();
    }
}

/// The object with its place, where that is asked for later.
fn located(object: Object, place: Place) -> Object {
    match object {
        Object::NodeConfig(config) => {
            Object::NodeConfig(Arc::new(ConfigObject { place, ..Arc::unwrap_or_clone(config) }))
        }
        object => object,
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether a later change would make another stamp. One from the future tells nothing.
    fn tells(&self, now: SystemTime) -> bool {
        let Ok(seconds) = u64::try_from(self.changed.0) else { return false };
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds + 1);
        now.duration_since(changed).is_ok_and(|age| age >= TELLING)
    }
}

fn read_text(path: &Path, size: u64) -> io::Result<String> {
    if size > MAX_FILE {
        return Err(io::Error::other(format!(
            "{size} bytes are too many: split it, at most {MAX_FILE} are read"
        )));
    }
    std::fs::read_to_string(path)
}

/// The manifests in a folder, as they are there now.
fn manifests(dir: &Path) -> io::Result<BTreeMap<PathBuf, Metadata>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if !is_manifest(&path) {
            continue;
        }
        let metadata = std::fs::metadata(&path).ok().filter(Metadata::is_file);
        found.extend(metadata.map(|metadata| (path, metadata)));
    }
    Ok(found)
}

/// Whether a file of this name is read. Hidden files (editors' and ConfigMap volumes' `..data`) are not.
pub(super) fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str);
    let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    matches!(extension, Some("yaml" | "yml" | "json")) && !hidden
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(changed: i64) -> Stamp {
        Stamp { inode: (1, 2), size: 3, modified: (changed, 0), changed: (changed, 999_999_999) }
    }

    #[test]
    fn a_stamp_tells_what_comes_later_only_when_it_is_old() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let cases = [(996, true), (997, false), (1000, false), (1001, false), (2000, false), (-1, false)];
        for (changed, tells) in cases {
            assert_eq!(stamp(changed).tells(now), tells, "{changed}");
        }
    }

    #[test]
    fn a_file_that_looks_the_same_is_read_only_when_all_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.yaml");
        std::fs::write(&path, "apiVersion: v1\nkind: Namespace\nmetadata: {name: dns}\n").unwrap();
        let metadata = std::fs::metadata(&path).unwrap();
        let mut file = File { stamp: Some(Stamp::of(&metadata)), ..File::default() };
        file.update(&path, &metadata, Which::Changed);
        assert_eq!(file.objects.len(), 0);
        file.update(&path, &metadata, Which::All);
        assert_eq!(file.objects.len(), 1);
        assert_eq!(file.stamp, None, "just written");
    }
}
