//! A BIRD, a disk and a clock for the pipeline, and what must hold whatever happens to them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jiff::Timestamp;

use super::super::*;
use super::bird::{Bird, Fate};
use super::configs::{BASES, CONFIGS, addresses, announcement, base, desired, routes};
use crate::bgp::control::BirdVersion;
use crate::bgp::status::ConfigStatus;

/// A node.
#[derive(Debug)]
pub(super) struct World {
    pub(super) pipeline: Pipeline,
    pub(super) bird: Bird,
    /// `bird.conf`; none: what BIRD starts with at first.
    pub(super) file: Option<Conf>,
    pub(super) disk_is_full: bool,
    pub(super) is_draining: bool,
    pub(super) wanted: Result<(usize, u8), Option<u8>>,
    asked: Option<Command>,
    /// The BIRD that the agent is connected to has ended.
    is_cut: bool,
    /// What was announced when that was last known.
    pub(super) announced: u8,
    pub(super) now: Instant,
    /// Revisions that have proved themselves.
    proved: BTreeSet<String>,
    /// The revision on trial.
    trial: Option<String>,
    /// When which was taken back.
    taken_back: BTreeMap<String, Instant>,
    /// Everything that was asked for, in short.
    pub(super) log: Vec<String>,
    pub(super) notes: Vec<Note>,
    routes_refused_at: Option<Instant>,
}

impl World {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let wanted = Ok((0, 0));
        Self {
            pipeline: Pipeline::new(Ok(desired(0, 0)), None, moment(now)),
            bird: Bird::new(),
            file: None,
            disk_is_full: false,
            is_draining: false,
            wanted,
            asked: None,
            is_cut: false,
            announced: 0,
            now,
            proved: BTreeSet::new(),
            trial: None,
            taken_back: BTreeMap::new(),
            log: Vec::new(),
            notes: Vec::new(),
            routes_refused_at: None,
        }
    }

    fn desired(&self) -> Result<DesiredConfig, Undesired> {
        let undesired = |mask: Option<u8>| Undesired {
            reason: "no plan".to_owned(),
            announcement: mask.map(|mask| Arc::new(announcement(mask))),
        };
        self.wanted.map(|(number, mask)| desired(number, mask)).map_err(undesired)
    }

    pub(super) fn want(&mut self, wanted: Result<(usize, u8), Option<u8>>) {
        self.wanted = wanted;
        self.announced = self.mask().unwrap_or(self.announced);
        self.tell(Event::Desired(self.desired()));
    }

    /// What is announced, if that is known.
    pub(super) fn mask(&self) -> Option<u8> {
        match self.wanted {
            Ok((_, mask)) => Some(mask),
            Err(mask) => mask,
        }
    }

    pub(super) fn drain(&mut self, is_draining: bool) {
        self.is_draining = is_draining;
        self.tell(Event::Draining(is_draining));
    }

    /// The agent dies, and another one is started.
    pub(super) fn restart_agent(&mut self) {
        let file = self.file.clone().map(|conf| (conf.base, conf.routes));
        self.pipeline = Pipeline::new(self.desired(), file, moment(self.now));
        (self.asked, self.trial, self.routes_refused_at) = (None, None, None);
        self.taken_back.clear();
        self.tell(Event::Draining(self.is_draining));
    }

    pub(super) fn stop_bird(&mut self) {
        self.bird.is_there = false;
        self.is_cut = true;
        self.bird.undo_at = None;
    }

    /// It starts with `bird.conf`.
    pub(super) fn start_bird(&mut self) {
        if !self.bird.is_there {
            self.bird.is_there = true;
            self.bird.running = self.file.clone();
            self.bird.before = None;
        }
    }

    /// Lets time pass, in steps in which everybody does what is due.
    pub(super) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            self.answer();
            let due = self.pipeline.wake_at(self.now).filter(|due| self.asked.is_none() && *due <= until);
            let undo = self.bird.undo_at.filter(|at| *at <= until);
            let Some(next) = due.into_iter().chain(undo).min() else { break };
            self.now = self.now.max(next);
            self.bird.pass(self.now);
            if self.asked.is_none() {
                self.tell(Event::Tick);
                let due = self.pipeline.wake_at(self.now);
                let is_idling = self.asked.is_none() && due.is_some_and(|due| due <= self.now);
                assert!(!is_idling, "{:?} wakes for nothing: {:#?}", self.pipeline.state(), self.log);
            }
        }
        self.now = until;
        self.bird.pass(until);
    }

    /// BIRD answers what it was asked, and what follows from that.
    pub(super) fn answer(&mut self) {
        for _ in 0..64 {
            if !self.answer_one() {
                return;
            }
        }
        panic!("this does not end: {:#?}", self.log);
    }

    /// BIRD answers what it was asked; whether it was asked anything.
    pub(super) fn answer_one(&mut self) -> bool {
        let Some(asked) = self.asked.take() else { return false };
        if !self.bird.is_there || (self.is_cut && !matches!(asked, Command::Connect)) {
            if matches!(asked, Command::Try(_)) || self.trial.is_some() {
                self.trial = None;
            }
            self.tell(Event::Lost("nobody answers".to_owned()));
            return true;
        }
        self.is_cut = false;
        let event = match asked {
            Command::Connect => Event::Connected { version: BirdVersion::OLDEST, running: self.bird.says() },
            Command::Look { .. } => Event::Replied(Reply::Looked(Look {
                sessions: self.bird.sessions(),
                running: self.bird.says(),
                ..Look::default()
            })),
            Command::Check(_) => self.outcome(self.bird.refuses_check),
            Command::Try(conf) => self.configured(Some(conf), Some(self.now + UNDO_AFTER)),
            Command::Update(conf) => self.configured(Some(conf), None),
            Command::Revert(Some(conf)) => self.configured(Some(conf), None),
            Command::Revert(None) => {
                let before = self.bird.before.take();
                self.configured(before, None)
            }
            Command::Confirm => {
                self.bird.undo_at = None;
                if let Some(conf) = &self.bird.running {
                    self.proved.insert(conf.base.revision().to_owned());
                }
                self.trial = None;
                self.outcome(false)
            }
            Command::Keep(_) | Command::DiscardCandidate | Command::Note(_) => unreachable!(),
        };
        self.tell(event);
        true
    }

    fn configured(&mut self, conf: Option<Conf>, undo_at: Option<Instant>) -> Event {
        if !self.bird.refuses_configure && !self.bird.is_busy {
            self.bird.configure(conf, undo_at);
        } else if undo_at.is_some() {
            self.trial = None;
        } else {
            self.routes_refused_at = Some(self.now);
        }
        self.outcome(self.bird.refuses_configure)
    }

    fn outcome(&self, is_refused: bool) -> Event {
        Event::Replied(if is_refused {
            Reply::Refused("no".to_owned())
        } else {
            Reply::Done(self.bird.says())
        })
    }

    pub(super) fn tell(&mut self, event: Event) {
        let commands = self.pipeline.on(event, moment(self.now));
        for command in commands {
            self.judge(&command);
            let entry = short(&command);
            if entry != "look" || self.log.last() != Some(&entry) {
                self.log.push(entry);
            }
            match command {
                Command::Note(note) => self.notes.push(note),
                Command::DiscardCandidate => {}
                Command::Keep(_) if self.disk_is_full => self.tell(Event::NotKept),
                Command::Keep(conf) => self.file = Some(conf),
                asked => {
                    assert!(self.asked.is_none(), "two commands at once: {:#?}", self.log);
                    self.asked = Some(asked);
                }
            }
        }
    }

    /// What must hold of every command.
    fn judge(&mut self, command: &Command) {
        match command {
            Command::Note(Note::RolledBack(_)) => {
                // The trial that has failed is over, whatever is told next.
                if let Some(revision) = self.trial.take() {
                    self.taken_back.insert(revision, self.now);
                }
            }
            Command::Try(conf) => {
                assert_eq!(self.trial, None, "one trial at a time: {:#?}", self.log);
                let revision = conf.base.revision().to_owned();
                let before = self.taken_back.get(&revision);
                assert!(
                    before.is_none_or(|at| self.now - *at >= Duration::from_secs(60)),
                    "tried again before its time: {:#?}",
                    self.log
                );
                self.trial = Some(revision);
                self.ensure_announced(conf);
            }
            Command::Update(conf) => self.ensure_announced(conf),
            Command::Revert(Some(conf)) | Command::Keep(conf) => {
                let revision = conf.base.revision();
                assert!(self.proved.contains(revision), "not proved: {:#?}", self.log);
                self.ensure_announced(conf);
            }
            Command::Look { .. } | Command::Check(_) | Command::Confirm => {
                self.ensure_nothing_withdrawn(command)
            }
            _ => {}
        }
    }

    /// Nothing withdrawn is written or configured again without an announcement.
    fn ensure_announced(&self, conf: &Conf) {
        let has: BTreeSet<IpAddr> = conf.routes.addresses().collect();
        let may = match self.wanted {
            Ok((_, mask)) | Err(Some(mask)) => addresses(mask),
            // Nobody knows: what there is stays.
            Err(None) => {
                let in_file = self.file.iter().flat_map(|file| file.routes.addresses());
                let known = self.bird.announces().into_iter().chain(in_file);
                known.chain(addresses(self.announced)).collect()
            }
        };
        assert!(has.is_subset(&may), "{has:?} and not {may:?}: {:#?}", self.log);
    }

    /// A withdrawal is never later than the next command, unless BIRD has just refused one.
    fn ensure_nothing_withdrawn(&self, command: &Command) {
        let Some(mask) = self.mask() else { return };
        let withdrawn = !self.bird.announces().is_subset(&addresses(mask));
        let is_refused = self.routes_refused_at.is_some_and(|at| self.now - at <= Duration::from_secs(5));
        // What runs must be known: somebody else may have configured it since the last look.
        let is_known = self.pipeline.running == self.bird.says()
            && self.bird.running.as_ref().is_some_and(|conf| {
                let revision = conf.base.revision();
                self.trial.as_deref() == Some(revision)
                    || self.file.as_ref().is_some_and(|file| file.base.revision() == revision)
            });
        assert!(
            !withdrawn || is_refused || self.is_draining || !is_known,
            "{command:?} before a withdrawal: {:#?}",
            self.log
        );
    }

    /// Everything is well from now on: what is wanted must come of it.
    pub(super) fn ensure_it_comes_right(&mut self) {
        self.start_bird();
        self.bird.fates = [Fate::Up; BASES];
        self.bird.refuses_check = false;
        (self.bird.refuses_configure, self.bird.is_busy) = (false, false);
        self.disk_is_full = false;
        self.drain(false);
        // What has begun may fail once more.
        self.pass(Duration::from_secs(2));
        let (number, mask) = self.wanted.unwrap_or((0, 0));
        self.want(Ok((number, mask)));
        // A configuration that was taken back is not tried again while the one before does well.
        let revision = base(number).revision().to_owned();
        if self.pipeline.rolled_back(&revision).is_some() {
            let is_fresh = |other: &usize| self.pipeline.rolled_back(base(*other).revision()).is_none();
            let Some(other) = (0..BASES).find(is_fresh) else { return };
            self.want(Ok((other, mask)));
        }
        self.pass(Duration::from_secs(130));
        let (number, mask) = self.wanted.unwrap();
        let wanted = Conf { base: base(number), routes: routes(mask) };
        assert_eq!(self.bird.running.as_ref(), Some(&wanted), "{:#?}", self.log);
        assert_eq!(self.file.as_ref(), Some(&wanted), "{:#?}", self.log);
        assert_eq!(self.bird.undo_at, None, "{:#?}", self.log);
        let config = self.pipeline.status().config;
        assert!(matches!(config, ConfigStatus::Applied { .. }), "{config:?}: {:#?}", self.log);
        assert!(matches!(self.pipeline.state(), State::Idle));
    }

    /// What BIRD was told since the log had this length.
    pub(super) fn since(&self, length: usize) -> Vec<&str> {
        let told = self.log[length..].iter().map(String::as_str);
        told.filter(|entry| !["look", "keep", "discard", "note"].contains(entry)).collect()
    }
}

pub(super) fn moment(at: Instant) -> Now {
    Now { at, wall: Timestamp::UNIX_EPOCH }
}

fn short(command: &Command) -> String {
    let with = |verb: &str, conf: &Conf| {
        let number = (0..BASES).find(|number| CONFIGS[*number].revision() == conf.base.revision());
        format!("{verb} {} {}", number.unwrap(), conf.routes.addresses().count())
    };
    match command {
        Command::Connect => "connect".to_owned(),
        Command::Look { .. } => "look".to_owned(),
        Command::Check(conf) => with("check", conf),
        Command::Try(conf) => with("try", conf),
        Command::Update(conf) => with("update", conf),
        Command::Confirm => "confirm".to_owned(),
        Command::Revert(Some(conf)) => with("revert", conf),
        Command::Revert(None) => "undo".to_owned(),
        Command::Keep(_) => "keep".to_owned(),
        Command::DiscardCandidate => "discard".to_owned(),
        Command::Note(_) => "note".to_owned(),
    }
}
