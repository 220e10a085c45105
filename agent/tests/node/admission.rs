//! No link comes up before its attachment is admitted, and none is released before its link is gone.

use std::sync::{Arc, Mutex};

use flock_agent::admission::{Admission, AdmissionError, Pending};
use flock_agent::attach::AttachError;
use flock_core::attachment::AttachmentId;
use flock_core::link::{Fact, Side};
use flock_core::record::Record;
use flock_kernel::fake::FakeKernel;

use crate::support::{Cut, World, call, id, node_plan};

/// Writes down what it is asked for, and which links the node has at that moment.
struct Recorder {
    kernel: FakeKernel,
    asked: Mutex<Vec<String>>,
    /// What it refuses, and why.
    refuses: Mutex<Option<(&'static str, &'static str)>>,
}

impl Recorder {
    fn note(&self, what: &str) {
        let links = self.kernel.links().len();
        self.asked.lock().unwrap().push(format!("{what}, {links} links"));
    }

    fn answer(&self, what: &str) -> Result<(), AdmissionError> {
        match *self.refuses.lock().unwrap() {
            Some((refused, reason)) if refused == what => Err(AdmissionError(reason.to_owned())),
            _ => Ok(()),
        }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    fn refuse(&self, what: &'static str, reason: &'static str) {
        *self.refuses.lock().unwrap() = Some((what, reason));
    }

    fn refuse_nothing(&self) {
        *self.refuses.lock().unwrap() = None;
    }
}

impl Admission for Recorder {
    fn prepare(&self) -> Pending<'_, Result<(), AdmissionError>> {
        self.note("prepare");
        Box::pin(std::future::ready(self.answer("prepare")))
    }

    fn admit<'a>(&'a self, record: &'a Record) -> Pending<'a, Result<(), AdmissionError>> {
        self.note(&format!("admit {}", record.id.container));
        Box::pin(std::future::ready(self.answer("admit")))
    }

    fn release<'a>(&'a self, id: &'a AttachmentId) -> Pending<'a, ()> {
        self.note(&format!("release {}", id.container));
        Box::pin(std::future::ready(()))
    }
}

fn world(pods: &[&str]) -> (World, Arc<Recorder>) {
    let mut world = World::new(pods, node_plan("2001:db8:a:1::/64", "203.0.113.0/26"));
    let recorder = Arc::new(Recorder {
        kernel: world.kernel.clone(),
        asked: Mutex::default(),
        refuses: Mutex::default(),
    });
    world.admission = recorder.clone();
    (world, recorder)
}

#[tokio::test]
async fn an_attachment_is_admitted_before_its_link_is_there_and_released_after_it_went() {
    let (world, recorder) = world(&["a"]);
    let agent = world.recovered().await;
    assert_eq!(recorder.asked(), ["prepare, 0 links"]);
    agent.add(call("a")).await.unwrap();
    assert_eq!(recorder.asked(), ["admit a, 0 links"]);
    agent.del(&id("a")).await.unwrap();
    assert_eq!(recorder.asked(), ["release a, 0 links"]);
}

#[tokio::test]
async fn a_pod_that_is_not_admitted_gets_no_link_and_is_told_to_try_again() {
    let (world, recorder) = world(&["a"]);
    let agent = world.recovered().await;
    recorder.refuse("admit", "its labels are not known");
    let error = agent.add(call("a")).await.unwrap_err();
    assert!(matches!(error, AttachError::Admission(_)), "{error}");
    assert_eq!(
        error.to_string(),
        "the pod is not admitted to the network: its labels are not known: try again"
    );
    assert_eq!(error.code(), flock_rpc::error::CniCode::TryAgain);
    assert!(world.kernel.links().is_empty() && agent.records().is_empty());
    assert_eq!(recorder.asked(), ["prepare, 0 links", "admit a, 0 links", "release a, 0 links"]);
}

#[tokio::test]
async fn the_ground_is_prepared_before_a_restart_looks_at_anything_and_all_are_admitted_anew() {
    let (world, recorder) = world(&["a", "b"]);
    let agent = world.recovered().await;
    agent.add(call("a")).await.unwrap();
    agent.add(call("b")).await.unwrap();
    recorder.asked();
    let again = world.agent(&Cut::never());
    again.recover().await.unwrap();
    assert_eq!(recorder.asked(), ["prepare, 2 links", "admit a, 2 links", "admit b, 2 links"]);
    again.reconcile().await.unwrap();
    assert_eq!(recorder.asked(), [""; 0], "once is enough");
}

#[tokio::test]
async fn an_agent_that_cannot_prepare_the_ground_does_not_start() {
    let (world, recorder) = world(&["a"]);
    recorder.refuse("prepare", "the kernel refuses");
    let error = world.agent(&Cut::never()).recover().await.unwrap_err();
    assert!(error.to_string().contains("the kernel refuses"), "{error}");
}

#[tokio::test]
async fn a_link_is_not_repaired_before_its_attachment_is_admitted() {
    let (world, recorder) = world(&["a"]);
    let agent = world.recovered().await;
    let link = agent.add(call("a")).await.unwrap().record.host_link;
    let up = Fact::Up { side: Side::Host };
    let is_up = || world.kernel.facts(&link).contains(&up);
    world.kernel.remove_fact(&link, &up);
    recorder.asked();
    recorder.refuse("admit", "not now");
    agent.reconcile().await.unwrap();
    assert_eq!(recorder.asked(), ["admit a, 1 links"]);
    assert!(!is_up(), "it stays down");
    recorder.refuse_nothing();
    agent.reconcile().await.unwrap();
    assert_eq!(recorder.asked(), ["admit a, 1 links"]);
    assert!(is_up());
}

#[tokio::test]
async fn who_was_not_admitted_at_a_restart_is_admitted_by_a_later_reconcile() {
    let (world, recorder) = world(&["a"]);
    world.recovered().await.add(call("a")).await.unwrap();
    let again = world.agent(&Cut::never());
    recorder.asked();
    recorder.refuse("admit", "not now");
    again.recover().await.unwrap();
    again.reconcile().await.unwrap();
    assert_eq!(recorder.asked(), ["prepare, 1 links", "admit a, 1 links", "admit a, 1 links"]);
    recorder.refuse_nothing();
    again.reconcile().await.unwrap();
    assert_eq!(recorder.asked(), ["admit a, 1 links"]);
    again.reconcile().await.unwrap();
    assert_eq!(recorder.asked(), [""; 0]);
}
