//! Established connections stay with their pod: what takes routes and a table.

use flock_core::steering::{Routing, Steering, table, table_id};

use crate::{Firewall, KernelError, Routes};

/// Makes the node steer established connections so, and no others; what is right already is not touched. A route or a
/// rule that cannot be made does not keep the others from being made; the first failure is returned.
///
/// What marks packets comes last and goes first, and a marked packet for which there is no rule or no route is routed
/// like any other: at no moment is it worse off.
pub async fn steer<K: Routes + Firewall>(kernel: &K, steering: &Steering) -> Result<(), KernelError> {
    let routing = Routing::of(steering);
    let added = kernel.add_steering(&routing).await;
    kernel.replace_table(&table_id(), table(steering).as_ref()).await?;
    added.and(kernel.remove_steering(&routing).await)
}
