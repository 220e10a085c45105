//! nftables as values: what a table holds, and what has to be done to make it hold something else.
//!
//! Nothing here knows netlink. The kernel's side turns a [`Batch`] into messages, commits it as one transaction and
//! remembers the [`Ruleset`] that it has committed.
//!
//! * [`value`]: what keys and elements are made of. [`rule`]: expressions and verdicts.
//! * [`table`]: tables, chains, sets and maps.
//! * [`batch`]: operations in order. [`delta`](mod@delta): the batch between two states of a table.
//! * [`ruleset`]: all tables, changed operation by operation; it refuses what the kernel would refuse.
//! * [`observed`]: what is read back.
//! * `text`: operations as `nft -f` reads them, for people and for tests.
//! * `examples`: rules for tests (feature `examples`).

pub mod batch;
pub mod delta;
#[cfg(any(test, feature = "examples"))]
pub mod examples;
pub mod observed;
pub mod rule;
pub mod ruleset;
pub mod table;
mod text;
pub mod value;

pub use batch::{Batch, Op};
pub use delta::delta;
pub use observed::{Observed, ObservedChain};
pub use rule::{Bits, Direction, End, Expr, Field, Is, Link, Mark, Reference, Rule, Transport, Verdict};
pub use ruleset::{Refusal, Ruleset};
pub use table::{
    Chain, ChainType, Data, DataType, Family, Hook, HookPoint, Policy, Set, SetFlag, SetType, Table, TableId,
};
pub use value::{Key, Name, Type, Value};

#[cfg(test)]
mod samples;
