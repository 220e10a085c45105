//! AddressPools.

use flock_core::claim::AddressPool;
use flock_crds::{Kind as Schema, unknown_fields};
use serde::Deserialize;
use serde_json::Value;

use super::super::shelf::{Kind, Meta, Reading};
use super::{named, problem, read};
use crate::source::address_pool::address_pool;
use crate::source::node_config::{typed, without_nulls};

/// AddressPools.
#[derive(Debug, Default)]
pub(in crate::source::kubernetes) struct Pools;

impl Kind for Pools {
    type Key = String;
    type Value = AddressPool;

    fn key(&self, meta: &Meta) -> Option<String> {
        named(meta)
    }

    fn read(&mut self, text: &str, former: Option<&AddressPool>) -> Reading<AddressPool> {
        #[derive(Deserialize)]
        struct Pool {
            metadata: Meta,
            #[serde(default)]
            spec: Value,
        }
        let mut remarks = Vec::new();
        let mut reading = read(text, "AddressPool", former, |Pool { metadata, mut spec }| {
            without_nulls(&mut spec);
            let unknown = unknown_fields(Schema::AddressPool, &mut spec).into_iter();
            remarks
                .extend(unknown.map(|field| problem("AddressPool", &metadata.name, &super::unknown(&field))));
            address_pool(metadata.name, typed(&spec)?).map(Some)
        });
        reading.problems.extend(remarks);
        reading
    }
}
