//! The node's own pods.

use std::sync::Arc;

use flock_core::attachment::PodName;
use flock_core::pod::Pod;

use super::super::shelf::{Kind, Meta, Reading};
use super::read;
use crate::source::document::pod::PodManifest;
use crate::source::node_config::FieldError;

/// The pods of this node that have a network of their own.
#[derive(Debug)]
pub(in crate::source::kubernetes) struct Pods {
    pub(in crate::source::kubernetes) node: String,
}

impl Kind for Pods {
    type Key = PodName;
    type Value = Arc<Pod>;

    fn key(&self, meta: &Meta) -> Option<PodName> {
        PodName::new(&meta.namespace, &meta.name).ok()
    }

    fn read(&mut self, text: &str, former: Option<&Arc<Pod>>) -> Reading<Arc<Pod>> {
        read(text, "Pod", former, |manifest: PodManifest| {
            if manifest.is_the_nodes_own() {
                return Ok(None);
            }
            let pod = Pod::try_from(manifest)
                .map_err(|error| FieldError { field: "metadata".to_owned(), reason: error.to_string() })?;
            Ok(Some(pod).filter(|pod| pod.node.as_deref() == Some(&self.node)).map(|pod| same(pod, former)))
        })
    }
}

/// What has not changed stays where it is.
pub(super) fn same<T: PartialEq>(value: T, former: Option<&Arc<T>>) -> Arc<T> {
    former.filter(|former| ***former == value).map_or_else(|| Arc::new(value), Arc::clone)
}
