//! What survives the agent: one JSON file per attachment, one per resting address, and damaged files set aside.
//!
//! ```text
//! RUN_DIR/attachments/CONTAINER_ID@IFNAME.json   records
//! RUN_DIR/resting/203.0.113.7                    released addresses, each with the time
//! RUN_DIR/damaged/...                            files that could not be read, for a person to look at
//! RUN_DIR/tombstones/CONTAINER_ID@IFNAME         DELs that the plugin took while the agent was away
//! ```

mod files;

pub use files::{Disk, Files};

use std::ffi::{OsStr, OsString};
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use flock_core::attachment::AttachmentId;
use flock_core::record::{Record, RecordError};
use jiff::Timestamp;

/// The store of one agent.
#[derive(Debug)]
pub struct Store {
    files: Box<dyn Files>,
    attachments: PathBuf,
    resting: PathBuf,
    damaged: PathBuf,
}

/// Everything that the store holds.
#[derive(Debug, Default)]
pub struct Contents {
    /// The records that could be read.
    pub records: Vec<Record>,
    /// Resting addresses, and since when.
    pub resting: Vec<(Ipv4Addr, Timestamp)>,
    /// What could not be read, and where it is now.
    pub damaged: Vec<Damaged>,
}

/// A file that was set aside.
#[derive(Debug)]
pub struct Damaged {
    pub file: PathBuf,
    pub kept: PathBuf,
    pub reason: String,
}

/// A step that failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{action} {}: {cause}", path.display())]
    File {
        /// What was being done.
        action: &'static str,
        path: PathBuf,
        cause: io::Error,
    },
    /// A record that cannot be written as JSON.
    #[error(transparent)]
    Record(#[from] RecordError),
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |cause| StoreError::File { action, path, cause }
}

impl Store {
    /// A store below `run_dir`, whose directories are made if they are not there.
    pub fn open(files: impl Files, run_dir: &Path) -> Result<Self, StoreError> {
        let [attachments, resting, damaged] =
            ["attachments", "resting", "damaged"].map(|name| run_dir.join(name));
        for dir in [&attachments, &resting, &damaged] {
            files.make_dir(dir).map_err(failed("make directory", dir))?;
        }
        Ok(Self { files: Box::new(files), attachments, resting, damaged })
    }

    /// Writes a record over its former self.
    pub fn save(&self, record: &Record) -> Result<(), StoreError> {
        let path = self.record_path(&record.id);
        tracing::debug!(attachment = %record.id, phase = ?record.phase, "recording");
        self.files.write(&path, &record.encode()?).map_err(failed("write", &path))
    }

    /// Forgets a record. One that is not there is fine.
    pub fn remove(&self, id: &AttachmentId) -> Result<(), StoreError> {
        let path = self.record_path(id);
        self.files.remove(&path).map_err(failed("remove", &path))
    }

    /// Notes that an address was released.
    pub fn rest(&self, address: Ipv4Addr, since: Timestamp) -> Result<(), StoreError> {
        let path = self.resting.join(address.to_string());
        self.files.write(&path, format!("{since}\n").as_bytes()).map_err(failed("write", &path))
    }

    /// Notes that an address has rested, or is used again.
    pub fn end_cool_down(&self, address: Ipv4Addr) -> Result<(), StoreError> {
        let path = self.resting.join(address.to_string());
        self.files.remove(&path).map_err(failed("remove", &path))
    }

    /// Reads everything. A file that makes no sense is moved out of the way, never trusted and never lost.
    pub fn load(&self) -> Result<Contents, StoreError> {
        let mut contents = Contents::default();
        for (path, name) in self.entries(&self.attachments)? {
            match self.read_record(&path, &name) {
                Ok(record) => contents.records.push(record),
                Err(reason) => contents.damaged.push(self.set_aside(path, &name, reason)?),
            }
        }
        for (path, name) in self.entries(&self.resting)? {
            match self.read_resting(&path, &name) {
                Ok(resting) => contents.resting.push(resting),
                Err(reason) => contents.damaged.push(self.set_aside(path, &name, reason)?),
            }
        }
        Ok(contents)
    }

    /// The files of a directory, after what an interrupted write left has been removed.
    fn entries(&self, dir: &Path) -> Result<Vec<(PathBuf, OsString)>, StoreError> {
        let mut entries = Vec::new();
        for name in self.files.list(dir).map_err(failed("list", dir))? {
            let path = dir.join(&name);
            if name.as_encoded_bytes().ends_with(files::TEMPORARY.as_bytes()) {
                self.files.remove(&path).map_err(failed("remove", &path))?;
            } else {
                entries.push((path, name));
            }
        }
        Ok(entries)
    }

    fn read_record(&self, path: &Path, name: &OsStr) -> Result<Record, String> {
        let bytes = self.files.read(path).map_err(|error| error.to_string())?;
        let record = Record::decode(&bytes).map_err(|error| error.to_string())?;
        let expected = record_name(&record.id);
        if name == expected.as_str() { Ok(record) } else { Err(format!("it is the record of {}", record.id)) }
    }

    fn read_resting(&self, path: &Path, name: &OsStr) -> Result<(Ipv4Addr, Timestamp), String> {
        let address =
            name.to_str().and_then(|name| name.parse().ok()).ok_or("its name is not an IPv4 address")?;
        let bytes = self.files.read(path).map_err(|error| error.to_string())?;
        let text = String::from_utf8(bytes).map_err(|error| error.to_string())?;
        let since = text.trim().parse().map_err(|error: jiff::Error| error.to_string())?;
        Ok((address, since))
    }

    fn set_aside(&self, file: PathBuf, name: &OsStr, reason: String) -> Result<Damaged, StoreError> {
        let kept = self.damaged.join(name);
        self.files.rename(&file, &kept).map_err(failed("set aside", &file))?;
        Ok(Damaged { file, kept, reason })
    }

    fn record_path(&self, id: &AttachmentId) -> PathBuf {
        self.attachments.join(record_name(id))
    }
}

fn record_name(id: &AttachmentId) -> String {
    format!("{id}.json")
}

#[cfg(test)]
mod tests {
    use flock_core::claim::Claimed;
    use flock_core::prefix::PodAddresses;
    use flock_core::record::{NewRecord, Phase};

    use super::*;

    fn record(id: &str) -> Record {
        let new = NewRecord {
            id: id.parse().unwrap(),
            network: "flock".to_owned(),
            pod: "default/web-0".parse().unwrap(),
            uid: None,
            netns: None,
            host_link: "flock0a1b2c3d".parse().unwrap(),
            addresses: PodAddresses { v6: None, v4: Some(Ipv4Addr::new(192, 0, 2, 5)) },
            claimed: Claimed::default(),
            created: Timestamp::UNIX_EPOCH,
        };
        Record::new(Phase::Ready, new)
    }

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(Disk, dir.path()).unwrap();
        (dir, store)
    }

    #[test]
    fn what_is_saved_is_loaded_until_it_is_removed() {
        let (_dir, store) = store();
        store.save(&record("a@eth0")).unwrap();
        store.save(&record("a@eth0").in_phase(Phase::Deleting)).unwrap();
        store.save(&record("b@eth0")).unwrap();
        store.rest(Ipv4Addr::new(192, 0, 2, 9), Timestamp::UNIX_EPOCH).unwrap();
        let contents = store.load().unwrap();
        assert_eq!(contents.records, [record("a@eth0").in_phase(Phase::Deleting), record("b@eth0")]);
        assert_eq!(contents.resting, [(Ipv4Addr::new(192, 0, 2, 9), Timestamp::UNIX_EPOCH)]);
        for id in ["a@eth0", "a@eth0", "b@eth0"] {
            store.remove(&id.parse().unwrap()).unwrap();
        }
        store.end_cool_down(Ipv4Addr::new(192, 0, 2, 9)).unwrap();
        let contents = store.load().unwrap();
        assert!(contents.records.is_empty() && contents.resting.is_empty() && contents.damaged.is_empty());
    }

    #[test]
    fn damaged_files_are_set_aside_and_the_others_load() {
        let (dir, store) = store();
        store.save(&record("a@eth0")).unwrap();
        let attachments = dir.path().join("attachments");
        std::fs::write(attachments.join("b@eth0.json"), "{").unwrap();
        std::fs::copy(attachments.join("a@eth0.json"), attachments.join("c@eth0.json")).unwrap();
        std::fs::write(dir.path().join("resting/192.0.2.9"), "yesterday").unwrap();
        let contents = store.load().unwrap();
        assert_eq!(contents.records, [record("a@eth0")]);
        let names: Vec<_> = contents.damaged.iter().map(|d| d.kept.file_name().unwrap().to_owned()).collect();
        assert_eq!(names, ["b@eth0.json", "c@eth0.json", "192.0.2.9"]);
        assert!(contents.damaged.iter().all(|damaged| damaged.kept.exists() && !damaged.file.exists()));
    }

    #[test]
    fn what_an_interrupted_write_left_is_no_record() {
        let (dir, store) = store();
        let left = dir.path().join("attachments/a@eth0.json.tmp");
        std::fs::write(&left, "{").unwrap();
        let contents = store.load().unwrap();
        assert!(contents.records.is_empty() && contents.damaged.is_empty());
        assert!(!left.exists());
    }

    #[test]
    fn a_failed_write_names_the_file_and_leaves_nothing() {
        let (dir, store) = store();
        let attachments = dir.path().join("attachments");
        std::fs::remove_dir(&attachments).unwrap();
        let error = store.save(&record("a@eth0")).unwrap_err().to_string();
        assert!(error.contains("attachments/a@eth0.json"), "{error}");
    }
}
