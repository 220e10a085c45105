//! Values and verdicts, as the kernel reads them.

use flock_core::nft::{Value, Verdict};

use super::super::message::Attributes;

/// As it lies in a register: names padded, marks in the machine's order, everything else as it is sent.
pub(in crate::linux::nft) fn value_bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::Ipv4Addr(address) => address.octets().to_vec(),
        Value::Ipv6Addr(address) => address.octets().to_vec(),
        Value::Ifname(name) => {
            let mut bytes = name.as_str().as_bytes().to_vec();
            bytes.resize(16, 0);
            bytes
        }
        Value::Mark(mark) => mark.to_ne_bytes().to_vec(),
        Value::InetProto(number) => vec![*number],
        Value::InetService(port) => port.to_be_bytes().to_vec(),
    }
}

/// `NFTA_DATA_VALUE`.
pub(in crate::linux::nft) fn data(value: &[u8]) -> Attributes {
    Attributes::default().bytes(1, value)
}

/// `NFTA_DATA_VERDICT`.
pub(in crate::linux::nft) fn verdict_data(verdict: &Verdict) -> Attributes {
    let mut attributes = Attributes::default().be32(1, verdict_code(verdict).cast_unsigned());
    if let Some(chain) = verdict.target() {
        attributes = attributes.text(2, chain.as_str());
    }
    Attributes::default().nested(2, &attributes)
}

/// `NF_*` and `NFT_*`.
fn verdict_code(verdict: &Verdict) -> i32 {
    match verdict {
        Verdict::Drop => 0,
        Verdict::Accept => 1,
        Verdict::Jump(_) => -3,
        Verdict::Goto(_) => -4,
        Verdict::Return => -5,
    }
}
