//! A BIRD that is a script.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use flock_core::bgp::render::Base;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::Instant;

/// What the script does and has seen.
#[derive(Debug, Default)]
pub(super) struct Script {
    /// The configuration that it runs.
    pub(super) running: Option<String>,
    /// What an undo would bring back.
    pub(super) before: Option<String>,
    /// The anycast addresses of each configuration that it has run, and since when.
    pub(super) announced: Vec<(Instant, BTreeSet<IpAddr>)>,
    /// Every command but `show` and `eval`, without file names.
    pub(super) commands: Vec<String>,
    /// What `configure` without a timeout fails with.
    pub(super) objection_to_amendments: Option<String>,
    /// What `configure check` fails with.
    pub(super) objection: Option<String>,
    /// The session's state and last error, by the AS number that the configuration expects of the peer.
    pub(super) sessions: BTreeMap<u32, (&'static str, &'static str)>,
    /// The AS number in the running configuration.
    pub(super) asn: Option<u32>,
    /// Instead of any answer.
    pub(super) nonsense: bool,
}

impl Script {
    fn answer(&mut self, command: &str) -> String {
        if self.nonsense {
            return "HTTP/1.1 400 Bad Request\n".to_owned();
        }
        let mut parts = command.split('"');
        let (verb, file) = (parts.next().unwrap_or_default().trim(), parts.next().unwrap_or_default());
        let has_timeout = parts.next().is_some_and(|rest| rest.contains("timeout"));
        let verb = if has_timeout { "configure timeout" } else { verb };
        if !verb.starts_with("show") && !verb.starts_with("eval") {
            self.commands.push(verb.to_owned());
        }
        match verb {
            "show protocols all" => self.protocols(),
            "configure check" => match &self.objection {
                Some(objection) => format!("8002 {objection}\n"),
                None => "0020 Configuration OK\n".to_owned(),
            },
            "configure" if self.objection_to_amendments.is_some() => {
                format!("8002 {}\n", self.objection_to_amendments.as_deref().unwrap_or_default())
            }
            "configure" | "configure timeout" => self.configure(file),
            "configure confirm" => "0018 Reconfiguration confirmed\n".to_owned(),
            "configure undo" => {
                let before = self.before.take().unwrap();
                self.run(before);
                "0021-Undo requested\n0003 Reconfigured\n".to_owned()
            }
            _ if verb.starts_with("eval ") => match self.value_of(&verb[5..]) {
                Some(value) => format!("0023 {value}\n"),
                None => "9001 syntax error\n".to_owned(),
            },
            _ => "9001 syntax error\n".to_owned(),
        }
    }

    fn configure(&mut self, file: &str) -> String {
        let text = std::fs::read_to_string(file).unwrap();
        self.before = self.running.clone();
        self.run(text);
        "0002-Reading\n0003 Reconfigured\n".to_owned()
    }

    pub(super) fn run(&mut self, text: String) {
        let neighbor = text.lines().find(|line| line.trim().starts_with("neighbor "));
        self.asn = neighbor
            .map(|line| line.split(" as ").nth(1).unwrap().split(';').next().unwrap().parse().unwrap());
        let routes = Base::read(&text).map(|(_, routes)| routes.addresses().collect());
        self.announced.push((Instant::now(), routes.unwrap_or_default()));
        self.running = Some(text);
    }

    fn value_of(&self, constant: &str) -> Option<String> {
        let defined = format!("define {constant} = \"");
        let (_, value) = self.running.as_ref()?.split_once(&defined)?;
        Some(value.split('"').next()?.to_owned())
    }

    fn protocols(&self) -> String {
        let Some(asn) = self.asn else { return "0000 \n".to_owned() };
        let (state, error) = self.sessions.get(&asn).copied().unwrap_or(("Active", ""));
        let up = if state == "Established" { "up" } else { "start" };
        format!(
            "2002-Name       Proto      Table      State  Since         Info
1002-peer_2001_db8__1 BGP        ---        {up}     2026-11-21T09:26:46+0000  {state}  {error}
1006-  BGP state:          {state}
     Neighbor address: 2001:db8::1
     Last error:       {error}
 
0000 
"
        )
    }
}

/// The script as a program behind a socket.
#[derive(Clone)]
pub(super) struct FakeBird(Arc<Mutex<Script>>);

impl FakeBird {
    pub(super) fn start(socket: &Path, script: Script) -> Self {
        let bird = Self(Arc::new(Mutex::new(script)));
        let listener = UnixListener::bind(socket).unwrap();
        let serving = bird.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        bird
    }

    async fn serve(self, stream: UnixStream) {
        let (read, mut write) = stream.into_split();
        write.write_all(b"0001 BIRD 2.0.12 ready.\n").await.unwrap();
        let mut lines = BufReader::new(read).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let answer = self.script(|script| script.answer(&line));
            if write.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    pub(super) fn script<T>(&self, look: impl FnOnce(&mut Script) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn commands(&self) -> Vec<String> {
        self.script(|script| script.commands.clone())
    }
}
