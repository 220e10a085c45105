use std::time::Instant;

use notify::event::{ModifyKind, RenameMode};
use notify::{Event, EventKind, RecursiveMode, Watcher as _};

use super::portmap::PORTMAP;
use super::*;

struct Node {
    folders: Folders,
    _root: tempfile::TempDir,
}

/// A node whose runtime has no configuration folder yet.
fn node(portmap: bool) -> Node {
    let root = tempfile::tempdir().unwrap();
    let folders = Folders { conf: root.path().join("net.d"), bin: root.path().join("bin") };
    fs::create_dir(&folders.bin).unwrap();
    if portmap {
        fs::write(folders.bin.join(PORTMAP), "which nobody can execute").unwrap();
    }
    Node { folders, _root: root }
}

impl Node {
    fn writer(&self) -> ConflistWriter {
        ConflistWriter::new(self.folders.clone(), PathBuf::from("/run/flock/agent.sock"))
    }

    fn file(&self) -> PathBuf {
        self.folders.conf.join(FILE)
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }
}

/// What a look sees.
fn look(writer: &mut ConflistWriter) -> Sync {
    writer.look();
    writer.seen.clone().unwrap()
}

#[test]
fn the_file_in_deploy_is_what_the_agent_writes() {
    let text = Conflist { socket: Path::new("/run/flock/agent.sock"), portmap: Portmap::Current }.text();
    assert_eq!(text, include_str!("../../../deploy/01-flock.conflist"));
}

#[test]
fn without_portmap_the_chain_is_flock_alone() {
    let text = Conflist { socket: Path::new("/run/a \"b\".sock"), portmap: Portmap::Missing }.text();
    let conf: serde_json::Value = serde_json::from_str(&text).unwrap();
    let plugins = serde_json::json!([{"type": "flock", "socket": "/run/a \"b\".sock"}]);
    assert_eq!((&conf["plugins"], &conf["cniVersion"]), (&plugins, &"1.0.0".into()));
}

#[test]
fn a_chain_is_as_old_as_its_oldest_plugin() {
    for (portmap, versions, plugins) in [
        (Portmap::Current, serde_json::json!(["1.0.0", "1.1.0"]), 2),
        (Portmap::Old, serde_json::Value::Null, 2),
        (Portmap::Ancient, serde_json::json!(["1.0.0", "1.1.0"]), 1),
        (Portmap::Missing, serde_json::json!(["1.0.0", "1.1.0"]), 1),
    ] {
        let text = Conflist { socket: Path::new("/run/flock/agent.sock"), portmap }.text();
        let conf: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&conf["cniVersions"], &conf["cniVersion"]), (&versions, &"1.0.0".into()), "{portmap:?}");
        assert_eq!(conf["plugins"].as_array().unwrap().len(), plugins, "{portmap:?}");
    }
}

#[test]
fn it_is_written_once_with_the_folder_and_put_back() {
    let node = node(true);
    let mut writer = node.writer();
    assert_eq!(look(&mut writer), Sync::Written);
    let text = node.text();
    assert_eq!(look(&mut writer), Sync::Right);
    fs::remove_file(node.file()).unwrap();
    assert_eq!(look(&mut writer), Sync::Written);
    fs::write(node.file(), "{}").unwrap();
    assert_eq!(look(&mut writer), Sync::Rewritten);
    assert_eq!(node.text(), text);
    fs::remove_dir_all(&node.folders.conf).unwrap();
    assert_eq!(look(&mut writer), Sync::Written);
}

#[test]
fn portmap_is_chained_as_soon_as_it_is_there() {
    let node = node(false);
    let mut writer = node.writer();
    look(&mut writer);
    assert!(!node.text().contains(PORTMAP));
    fs::write(node.folders.bin.join(PORTMAP), "").unwrap();
    assert_eq!(look(&mut writer), Sync::Rewritten);
    assert!(node.text().contains(PORTMAP));
}

#[test]
fn a_folder_that_cannot_be_written_to_is_a_failure_that_is_tried_again() {
    let node = node(true);
    fs::write(&node.folders.conf, "a file in the folder's place").unwrap();
    let mut writer = node.writer();
    assert!(matches!(look(&mut writer), Sync::Failed(_)));
    fs::remove_file(&node.folders.conf).unwrap();
    assert_eq!(look(&mut writer), Sync::Written);
}

#[test]
fn the_runtime_uses_the_first_configuration() {
    let node = node(true);
    let mut writer = node.writer();
    look(&mut writer);
    assert_eq!(writer.before_us, None);
    for name in ["10-calico.conflist", "00-readme.txt", ".00-hidden.new"] {
        fs::write(node.folders.conf.join(name), "").unwrap();
        writer.look();
        assert_eq!(writer.before_us, None, "{name}");
    }
    fs::write(node.folders.conf.join("00-multus.conf"), "").unwrap();
    writer.look();
    assert_eq!(writer.before_us.as_deref(), Some("00-multus.conf"));
}

/// containerd ignores Create events, and what is renamed in from another folder is one (`IN_MOVED_TO` alone): it loads a
/// configuration that is renamed within its folder.
#[test]
fn the_runtime_sees_one_rename_within_its_folder() {
    let node = node(true);
    fs::create_dir(&node.folders.conf).unwrap();
    let (sender, events) = std::sync::mpsc::channel();
    let mut watcher = notify::recommended_watcher(sender).unwrap();
    watcher.watch(&node.folders.conf, RecursiveMode::NonRecursive).unwrap();
    node.writer().look();
    let started = Instant::now();
    let seen: Vec<Event> = std::iter::from_fn(|| events.recv_timeout(Duration::from_secs(10)).ok())
        .map(Result::unwrap)
        .take_while(|event| !renamed(event, &node.file()) && started.elapsed() < Duration::from_secs(10))
        .collect();
    assert!(started.elapsed() < Duration::from_secs(10), "no rename to {}: {seen:#?}", node.file().display());
    let created = seen.iter().filter(|event| matches!(event.kind, EventKind::Create(_)));
    let created: Vec<&PathBuf> = created.flat_map(|event| &event.paths).collect();
    assert_eq!(created, [&replace::temporary(&node.file()).unwrap()]);
}

/// Whether this is both halves of a rename to the file, within the folder.
fn renamed(event: &Event, to: &Path) -> bool {
    event.kind == EventKind::Modify(ModifyKind::Name(RenameMode::Both))
        && event.paths.last().map(PathBuf::as_path) == Some(to)
}
