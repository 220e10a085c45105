//! Looks for what is new on the node.

use std::time::Duration;

use flock_core::attachment::AttachmentId;
use flock_core::desired::Desired;
use tokio::time::Instant;

use super::detector::EventDetector;
use crate::environment::sleep_until;
use crate::notice::{Notice, Notices};
use crate::report::Inputs;
use crate::source::until;

/// BIRD is started beside the agent, and may take longer.
const GRACE_PERIOD: Duration = Duration::from_secs(30);

pub(super) struct Watcher {
    pub(super) inputs: Inputs,
    pub(super) notices: Notices,
}

impl Watcher {
    pub(super) async fn run(mut self) {
        until(self.inputs.known.clone()).await;
        let patient_until = Instant::now() + GRACE_PERIOD;
        let mut news = EventDetector::default();
        loop {
            let is_patient = Instant::now() < patient_until;
            let told = self.look(&mut news, is_patient);
            told.into_iter().for_each(|notice| self.notices.tell(notice));
            tokio::select! {
                Ok(()) = self.inputs.desired.changed() => {}
                Ok(()) = self.inputs.usage.changed() => {}
                Ok(()) = self.inputs.bgp.changed() => {}
                Ok(()) = self.inputs.anycast.changed() => {}
                () = sleep_until(is_patient.then_some(patient_until)) => {}
            }
        }
    }

    fn look(&mut self, news: &mut EventDetector, is_patient: bool) -> Vec<Notice> {
        let desired = self.inputs.desired.borrow_and_update().clone();
        let mut told = news.of_config(&desired.config);
        told.extend(news.of_pools(&self.inputs.usage.borrow_and_update()));
        let view = self.inputs.anycast.borrow_and_update().clone();
        told.extend(news.of_anycast(&view.groups, |id| self.uid_of(id, &desired)));
        let bgp = self.inputs.bgp.borrow_and_update().clone();
        // A node that speaks no BGP may have no BIRD.
        if desired.node.as_ref().is_some_and(|node| node.bgp.is_some()) {
            told.extend(news.of_bgp(&bgp.status, is_patient));
        }
        told
    }

    fn uid_of(&self, id: &AttachmentId, desired: &Desired) -> Option<String> {
        let record = self.inputs.records.borrow().get(id).cloned()?;
        let pod = desired.own_pod(&record.pod).and_then(|pod| pod.uid.clone());
        record.uid.clone().or(pod)
    }
}
