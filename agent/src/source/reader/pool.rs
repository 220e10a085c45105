//! AddressPools.

use flock_core::claim::AddressPool;
use flock_core::feed::Parsed;
use flock_crds::{Kind as Schema, unknown_fields};
use serde::Deserialize;
use serde_json::Value;

use super::{Meta, ReadError, Reader, parsed, problem, shaped, unknown};
use crate::source::address_pool::address_pool;
use crate::source::node_config::{typed, without_nulls};

#[derive(Deserialize)]
struct Document {
    metadata: Meta,
    #[serde(default)]
    spec: Value,
}

/// Reads an AddressPool. A field that the schema does not know is refused.
///
/// # Errors
/// The first field that cannot be read, and why.
pub(in crate::source) fn pool(text: &str) -> Result<AddressPool, ReadError> {
    shaped(text).and_then(whole)
}

fn whole(Document { metadata, mut spec }: Document) -> Result<AddressPool, ReadError> {
    without_nulls(&mut spec);
    address_pool(metadata.name, typed(&spec).map_err(ReadError::Shape)?).map_err(ReadError::Value)
}

#[derive(Debug)]
pub(in crate::source) struct PoolReader;

impl Reader for PoolReader {
    type Key = String;
    type Value = AddressPool;

    fn of_node(_: &str) -> Self {
        Self
    }

    fn key(&mut self, meta: &Meta) -> Option<String> {
        meta.cluster_scoped()
    }

    /// A newer release's fields are told and have no effect.
    fn read(&mut self, text: &str, _: Option<&AddressPool>) -> Parsed<AddressPool> {
        let mut remarks = Vec::new();
        let read = shaped(text).and_then(|mut document: Document| {
            without_nulls(&mut document.spec);
            let unknown_fields = unknown_fields(Schema::AddressPool, &mut document.spec).into_iter();
            let name = &document.metadata.name;
            remarks.extend(unknown_fields.map(|field| problem("AddressPool", name, &unknown(&field))));
            whole(document)
        });
        let mut parsed = parsed("AddressPool", text, read.map(Some));
        parsed.problems.extend(remarks);
        parsed
    }
}
