//! Why a call fails, and which CNI error code says so (spec 1.1, section 5 "Error").

use std::path::PathBuf;

use flock_core::attachment::{AttachmentId, PodName};
use flock_core::claim::ClaimError;
use flock_core::ipam::IpamError;
use flock_core::pod::intent::IntentError;
use flock_kernel::KernelError;
use flock_rpc::error::CniCode;

use crate::admission::AdmissionError;
use crate::store::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The node cannot take pods at all.
    #[error("this node cannot take pods yet: {0}")]
    NotReady(String),
    /// Nobody has told the agent of this pod.
    #[error("pod {pod} is not known: {advice}, or try again if it has just been made")]
    UnknownPod {
        pod: PodName,
        /// What a person can do.
        advice: String,
    },
    /// The runtime means an earlier or later pod of the same name.
    #[error("pod {pod} is known with UID {known}, not {asked}: try again")]
    OtherPod {
        pod: PodName,
        /// The UID that the source gives.
        known: String,
        /// The UID that the runtime gave.
        asked: String,
    },
    /// The pod asks for what cannot be.
    #[error(transparent)]
    Intent(#[from] IntentError),
    /// The pod names an address that it may not have.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// Too many pods have anycast addresses.
    #[error("4095 pods of this node have anycast addresses already: delete some")]
    NoSlot,
    /// There is no address.
    #[error(transparent)]
    Ipam(#[from] IpamError),
    /// The store cannot be written.
    #[error("the agent's store: {0}: is the disk full?")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// What the pod needs before its link comes up is not in force.
    #[error("the pod is not admitted to the network: {0}: try again")]
    Admission(#[from] AdmissionError),
    /// Every name for the host link is somebody else's.
    #[error(
        "no free name for the host link of {0}: {1} is one of too many interfaces flock did not make; remove them"
    )]
    NoHostLinkName(AttachmentId, String),
    /// CHECK of what does not exist.
    #[error("there is no attachment {0} on this node")]
    Unknown(AttachmentId),
    /// Several attachments, or none, fit what a person asked for.
    #[error("{selector}: {found}; `flockctl pods` lists the attachments")]
    Ambiguous {
        /// What was asked for.
        selector: String,
        /// What was found instead of one.
        found: String,
    },
    #[error("attachment {id} is not as it should be: {}", drift.join("; "))]
    Drift { id: AttachmentId, drift: Vec<String> },
    /// The namespace that the runtime named is not the attachment's.
    #[error("CNI_NETNS is {given}, the attachment was made in {known}", given = given.display(), known = known.display())]
    OtherNamespace {
        /// What the runtime gave.
        given: PathBuf,
        /// What the record says.
        known: PathBuf,
    },
    /// Some of several attachments could not be removed.
    #[error("{} of {total} attachments could not be removed: {}", failures.len(), failures.join("; "))]
    Several {
        /// How many were to be removed.
        total: usize,
        failures: Vec<String>,
    },
}

impl AttachError {
    /// The CNI error code.
    pub fn code(&self) -> CniCode {
        match self {
            AttachError::NotReady(_)
            | AttachError::Admission(_)
            | AttachError::UnknownPod { .. }
            | AttachError::OtherPod { .. } => CniCode::TryAgain,
            AttachError::Intent(_) | AttachError::Claim(_) => CniCode::InvalidPod,
            AttachError::Ipam(_) | AttachError::NoSlot => CniCode::NoAddress,
            AttachError::Store(_) => CniCode::Io,
            AttachError::Kernel(
                KernelError::NoNamespace(_)
                | KernelError::NotANamespace(_)
                | KernelError::InterfaceExists { .. },
            )
            | AttachError::OtherNamespace { .. }
            | AttachError::Ambiguous { .. } => CniCode::InvalidEnvironment,
            AttachError::Unknown(_) => CniCode::UnknownContainer,
            AttachError::Drift { .. } => CniCode::Drift,
            AttachError::Kernel(_) | AttachError::NoHostLinkName(..) | AttachError::Several { .. } => {
                CniCode::Internal
            }
        }
    }
}
