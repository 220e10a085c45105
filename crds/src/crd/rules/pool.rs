//! AddressPool.

use serde_json::Value;

use super::{Rule, list};

pub(crate) fn address_pool_spec() -> Value {
    list([Rule::new(
        "!has(self.maxAdvertisers) || self.use == 'Anycast'",
        "is for use: Anycast only: an address of use: Static is on one node",
    )
    .field(".maxAdvertisers")
    .forbidden()])
}
