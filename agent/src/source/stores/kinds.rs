//! The table of kinds. A new kind is a row here, and a reader.

use std::fmt;

use flock_core::desired::Problem;
use flock_core::feed::Store;

use crate::source::reader::Reader;
use crate::source::reader::config::ConfigReader;
use crate::source::reader::namespace::NamespaceReader;
use crate::source::reader::node::NodeReader;
use crate::source::reader::peer::PeerReader;
use crate::source::reader::pod::PodReader;
use crate::source::reader::pool::PoolReader;

/// Where the API server has the objects of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::source) struct Row {
    /// In words, for people.
    pub(in crate::source) title: &'static str,
    /// As `/api/v1/pods`.
    pub(in crate::source) path: &'static str,
    /// Field selector; `{node}` is the node's name.
    pub(in crate::source) fields: Option<&'static str>,
    /// Nothing but `metadata` is asked for.
    pub(in crate::source) metadata_only: bool,
    /// The CustomResourceDefinition. Without it a node can still take pods.
    pub(in crate::source) crd: Option<&'static str>,
}

/// A kind that nothing else is said of.
const fn of(title: &'static str, path: &'static str) -> Row {
    Row { title, path, fields: None, metadata_only: false, crd: None }
}

/// Whoever does something with each kind.
pub(in crate::source) trait Visitor {
    fn visit<R: Reader>(&mut self, kind: Kind, reader: R, store: StoreOf<R>);
}

/// Where the objects of a kind are.
pub(in crate::source) type StoreOf<R> =
    fn(&mut Kinds) -> &mut Store<<R as Reader>::Key, <R as Reader>::Value>;

macro_rules! kinds {
    ($($kind:ident, $store:ident: $reader:ty = $row:expr;)*) => {
        /// What a source follows.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(in crate::source) enum Kind { $($kind),* }

        /// The objects of all kinds.
        #[derive(Debug, Default)]
        pub(in crate::source) struct Kinds {
            $(pub(in crate::source) $store: Store<<$reader as Reader>::Key, <$reader as Reader>::Value>),*
        }

        impl Kind {
            pub(in crate::source) const ALL: &[Self] = &[$(Self::$kind),*];

            pub(in crate::source) fn row(self) -> Row {
                match self { $(Self::$kind => $row),* }
            }

            /// Visits all kinds, each with its reader for this node.
            pub(in crate::source) fn each(node: &str, visitor: &mut impl Visitor) {
                $(visitor.visit(Self::$kind, <$reader>::of_node(node), |kinds: &mut Kinds| &mut kinds.$store);)*
            }
        }

        impl Kinds {
            pub(in crate::source) fn is_listed(&self, kind: Kind) -> bool {
                match kind { $(Kind::$kind => self.$store.is_listed()),* }
            }

            /// What is to be told about their objects.
            pub(in crate::source) fn problems(&self) -> impl Iterator<Item = &Problem> {
                std::iter::empty()$(.chain(self.$store.problems()))*
            }
        }
    };
}

kinds! {
    Nodes, nodes: NodeReader = Row { fields: Some("metadata.name={node}"), ..of("this node", "/api/v1/nodes") };
    NodeConfigs, configs: ConfigReader = Row {
        crd: Some("nodeconfigs.flock.fritzlab.net"),
        ..of("NodeConfigs", "/apis/flock.fritzlab.net/v1alpha1/nodeconfigs")
    };
    AddressPools, pools: PoolReader = Row {
        crd: Some("addresspools.flock.fritzlab.net"),
        ..of("AddressPools", "/apis/flock.fritzlab.net/v1alpha1/addresspools")
    };
    Namespaces, namespaces: NamespaceReader = Row { metadata_only: true, ..of("namespaces", "/api/v1/namespaces") };
    Pods, pods: PodReader = Row { fields: Some("spec.nodeName={node}"), ..of("this node's pods", "/api/v1/pods") };
    Peers, peers: PeerReader = Row {
        fields: Some("spec.nodeName!={node},spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed"),
        ..of("other nodes' pods", "/api/v1/pods")
    };
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().title)
    }
}
