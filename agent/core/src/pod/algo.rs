//! `ip-algo`: IPv6 addresses that people can read. A convenience, not a security boundary.
//!
//! The host bits are nibbles (4 bits). The last one is N, the retry counter; the ones before it are shared out among
//! the fields as evenly as possible, earlier fields taking the remainder. In a /64:
//!
//! ```text
//! namespace,app,pod   NNNN NAAA AAPP PPPr    5 + 5 + 5 + 1
//! app,pod             AAAA AAAA PPPP PPPr    8 + 7 + 1
//! ```

use std::fmt;
use std::str::FromStr;

use crate::attachment::PodName;
use crate::fnv::fnv1a_64;
use crate::pod::annotation::{Key, quoted};
use crate::prefix::Cidr6;

/// How many addresses an algorithm has for a pod in one prefix: the values of N.
pub const RETRIES: u8 = 16;

/// A field of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The pod's namespace.
    Namespace,
    /// The workload ([`crate::pod::Pod::app`]).
    App,
    /// The pod's name.
    Pod,
    /// The first container's image.
    Image,
}

/// Which fields an address shows: 1 to 4 distinct ones, in this order. Written `namespace,app,pod`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpAlgo(Vec<Field>);

/// Why a text is not an algorithm.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AlgoError {
    /// Nothing there, or nothing between two commas.
    #[error("a field is empty: write a list such as `app,pod` of namespace, app, pod, image")]
    Empty,
    /// Not one of the four.
    #[error("field {} is unknown: there are namespace, app, pod and image", quoted(.0))]
    Unknown(String),
    /// Named twice.
    #[error("field `{0}` is there twice: name each field once")]
    Duplicate(Field),
}

/// What the fields are taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The pod.
    pub pod: PodName,
    /// Its workload.
    pub app: String,
    /// Its first container's image; a pod without one counts as one with an empty text.
    pub image: Option<String>,
}

/// Whose annotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The pod's.
    Pod,
    /// NodeConfig's.
    Node,
}

/// An annotation that is no algorithm and was passed over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{owner} annotation {}={} is ignored: {error}", Key::IpAlgo, quoted(.value))]
pub struct Ignored {
    /// Whose annotation it is.
    pub owner: Owner,
    /// As written.
    pub value: String,
    /// What is wrong with it.
    pub error: AlgoError,
}

/// The algorithm that counts: the pod's, else the node's, else none, which means random. An annotation that is no
/// algorithm falls through to the next.
pub fn resolve(pod: Option<&str>, node: Option<&str>) -> (Option<IpAlgo>, Vec<Ignored>) {
    let mut ignored = Vec::new();
    for (owner, value) in [(Owner::Pod, pod), (Owner::Node, node)] {
        match value.map(str::parse) {
            Some(Ok(algo)) => return (Some(algo), ignored),
            Some(Err(error)) => {
                ignored.push(Ignored { owner, value: value.unwrap_or_default().to_owned(), error })
            }
            None => {}
        }
    }
    (None, ignored)
}

impl IpAlgo {
    /// The fields in their order.
    pub fn fields(&self) -> &[Field] {
        &self.0
    }

    /// The host bits of a pod's address in `cidr` at the `retry`-th try (0 to 15). Bits above the last whole nibble
    /// are zero.
    pub fn host_bits(&self, identity: &Identity, cidr: Cidr6, retry: u8) -> u128 {
        let room = usize::from(cidr.host_bits() / 4) - 1;
        let (share, remainder) = (room / self.0.len(), room % self.0.len());
        let shares = (0..self.0.len()).map(|index| share + usize::from(index < remainder));
        let nibbles =
            self.0.iter().zip(shares).flat_map(|(field, share)| field.nibbles(identity).take(share));
        let last = u128::from(retry & 0xf);
        nibbles.fold(0, |bits, nibble| (bits << 4) | nibble) << 4 | last
    }
}

impl Field {
    const ALL: [Field; 4] = [Field::Namespace, Field::App, Field::Pod, Field::Image];

    /// The name as users write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Field::Namespace => "namespace",
            Field::App => "app",
            Field::Pod => "pod",
            Field::Image => "image",
        }
    }

    /// The nibbles that stand for the field, leading ones first; zeros follow without end.
    fn nibbles(self, identity: &Identity) -> impl Iterator<Item = u128> + use<> {
        let hex = match self {
            Field::Namespace => hash(&identity.pod.namespace),
            Field::App => hash(&identity.app),
            Field::Pod => hash(&identity.pod.name),
            Field::Image => {
                let image = identity.image.as_deref().unwrap_or_default();
                digest(image).map_or_else(|| hash(image), str::to_owned)
            }
        };
        let digits: Vec<u128> = hex.chars().filter_map(|digit| digit.to_digit(16)).map(u128::from).collect();
        digits.into_iter().chain(std::iter::repeat(0))
    }
}

fn hash(text: &str) -> String {
    format!("{:016x}", fnv1a_64(text.as_bytes()))
}

/// The digest that an image reference pins, or is.
fn digest(image: &str) -> Option<&str> {
    let digest = image.split_once("@sha256:").map_or(image, |(_, digest)| digest);
    let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest.then_some(digest)
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for IpAlgo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields: Vec<&str> = self.0.iter().map(|field| field.as_str()).collect();
        f.write_str(&fields.join(","))
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Owner::Pod => "the pod's",
            Owner::Node => "NodeConfig's",
        })
    }
}

impl FromStr for Field {
    type Err = AlgoError;

    fn from_str(text: &str) -> Result<Self, AlgoError> {
        let known = Field::ALL.into_iter().find(|field| field.as_str() == text);
        known.ok_or_else(
            || {
                if text.is_empty() { AlgoError::Empty } else { AlgoError::Unknown(text.to_owned()) }
            },
        )
    }
}

impl FromStr for IpAlgo {
    type Err = AlgoError;

    fn from_str(text: &str) -> Result<Self, AlgoError> {
        let mut fields = Vec::new();
        for field in text.split(',') {
            let field = field.trim().parse()?;
            if fields.contains(&field) {
                return Err(AlgoError::Duplicate(field));
            }
            fields.push(field);
        }
        Ok(Self(fields))
    }
}

#[cfg(test)]
mod tests;
