//! A BIRD that behaves as the real one does.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::super::super::observed::SessionState;
use super::super::*;
use super::configs::{BASES, SHARED, base, own_session};
use crate::bgp::observed::ObservedSession;

/// How a configuration's sessions fare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Up,
    Down,
    BadAs,
}

/// A BIRD that behaves as the real one does.
#[derive(Debug)]
pub(super) struct Bird {
    pub(super) is_there: bool,
    /// None: a configuration that is not flock's.
    pub(super) running: Option<Conf>,
    pub(super) before: Option<Conf>,
    pub(super) undo_at: Option<Instant>,
    pub(super) fates: [Fate; BASES],
    pub(super) refuses_check: bool,
    pub(super) refuses_configure: bool,
    /// It takes a configuration and goes on with the one before.
    pub(super) is_busy: bool,
}

impl Bird {
    pub(super) fn new() -> Self {
        Self {
            is_there: true,
            running: None,
            before: None,
            undo_at: None,
            fates: [Fate::Up; BASES],
            refuses_check: false,
            refuses_configure: false,
            is_busy: false,
        }
    }

    pub(super) fn says(&self) -> Running {
        let revision = self.running.as_ref().map(|conf| conf.base.revision().to_owned());
        Running { revision, anycast: self.running.as_ref().map(|conf| conf.routes.revision().to_owned()) }
    }

    pub(super) fn configure(&mut self, conf: Option<Conf>, undo_at: Option<Instant>) {
        self.before = std::mem::replace(&mut self.running, conf);
        self.undo_at = undo_at;
    }

    pub(super) fn pass(&mut self, now: Instant) {
        if self.undo_at.is_some_and(|at| now >= at) {
            self.undo_at = None;
            self.running = self.before.take();
        }
    }

    pub(super) fn sessions(&self) -> BTreeMap<String, ObservedSession> {
        let Some(number) = self.number() else { return BTreeMap::new() };
        let (state, error) = match self.fates[number] {
            Fate::Up => (SessionState::Established, None),
            Fate::Down => (SessionState::Active, None),
            Fate::BadAs => (SessionState::Idle, Some("Bad peer AS: 65009".to_owned())),
        };
        let session = ObservedSession { state, since: None, last_error: error, channels: BTreeMap::new() };
        [SHARED.to_owned(), own_session(number)].into_iter().map(|name| (name, session.clone())).collect()
    }

    fn number(&self) -> Option<usize> {
        let revision = self.running.as_ref()?.base.revision();
        (0..BASES).find(|number| base(*number).revision() == revision)
    }

    pub(super) fn announces(&self) -> BTreeSet<IpAddr> {
        self.running.iter().flat_map(|conf| conf.routes.addresses()).collect()
    }
}
