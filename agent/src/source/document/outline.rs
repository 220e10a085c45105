//! Where the fields of a YAML document stand: from a path to its line, and from a place to its path.
//!
//! The YAML reader's errors name a place and no path, the objects' readers name a path and no place. A document is outlined
//! only when something is refused or remarked upon.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Location, Spanned};

/// The fields of a document, each before those in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outline(Vec<Mark>);

/// One field or list entry. Places are lines and columns in the document, from 1.
#[derive(Debug, PartialEq, Eq)]
struct Mark {
    /// As `spec.cidr6[0]`.
    path: String,
    key: Option<(u64, u64)>,
    value: (u64, u64),
}

impl Outline {
    /// Empty for what is not YAML.
    pub(super) fn of(text: &str) -> Self {
        let mut marks = Vec::new();
        // A field that is there twice is refused elsewhere; here its place is wanted.
        let options = serde_saphyr::options! { duplicate_keys: DuplicateKeyPolicy::LastWins };
        if let Ok(tree) = serde_saphyr::from_str_with_options::<Spanned<Node>>(text, options) {
            collect(String::new(), None, &tree, &mut marks);
        }
        Self(marks)
    }

    /// The line of a field; that of the innermost one around it where it is not there.
    pub(super) fn line_of(&self, path: &str) -> Option<u64> {
        let found = self.0.iter().find(|mark| mark.path == path);
        let line = found.map(|mark| mark.key.unwrap_or(mark.value).0);
        line.or_else(|| self.line_of(parent(path)?))
    }

    /// The path of what stands at a place; empty for the document as a whole.
    pub(super) fn path_at(&self, place: Location) -> Option<&str> {
        let place = (place.line(), place.column());
        // In block style a list begins where its first entry does, a mapping where its first key does: the innermost.
        let mut marks = self.0.iter().rev();
        marks.find(|mark| mark.key == Some(place) || mark.value == place).map(|mark| mark.path.as_str())
    }
}

/// `spec.cidr6` of `spec.cidr6[0]`, `spec` of that.
fn parent(path: &str) -> Option<&str> {
    path.rfind(['.', '[']).map(|end| &path[..end])
}

fn collect(path: String, key: Option<&Spanned<String>>, node: &Spanned<Node>, marks: &mut Vec<Mark>) {
    let place = |location: Location| (location.line(), location.column());
    let (key, value) = (key.map(|key| place(key.referenced)), place(node.referenced));
    marks.push(Mark { path: path.clone(), key, value });
    match &node.value {
        Node::Scalar => {}
        Node::List(entries) => {
            for (index, entry) in entries.iter().enumerate() {
                collect(format!("{path}[{index}]"), None, entry, marks);
            }
        }
        Node::Mapping(entries) => {
            for (key, value) in entries {
                let dot = if path.is_empty() { "" } else { "." };
                collect(format!("{path}{dot}{}", key.value), Some(key), value, marks);
            }
        }
    }
}

enum Node {
    Scalar,
    List(Vec<Spanned<Node>>),
    Mapping(Vec<(Spanned<String>, Spanned<Node>)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_element()? {
            entries.push(entry);
        }
        Ok(Node::List(entries))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Mapping(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "# a comment\nspec:\n  bgp:\n    asn: 1\n    peers:\n    - asn: 2\n    - {address: a,\n       asn: 3}\n";

    #[test]
    fn a_field_is_found_in_block_and_flow_style() {
        let outline = Outline::of(YAML);
        let cases = [
            ("spec.bgp", 3),
            ("spec.bgp.asn", 4),
            ("spec.bgp.peers[0].asn", 6),
            ("spec.bgp.peers[1]", 7),
            ("spec.bgp.peers[1].asn", 8),
        ];
        for (path, line) in cases {
            assert_eq!(outline.line_of(path), Some(line), "{path}");
        }
    }

    #[test]
    fn a_field_that_is_not_there_has_the_line_of_the_one_around_it() {
        let outline = Outline::of(YAML);
        assert_eq!(outline.line_of("spec.bgp.peers[1].bfd.minRx"), Some(7));
        assert_eq!(outline.line_of("spec.bgp.import.prefixes[2]"), Some(3));
        assert_eq!(outline.line_of("status"), None);
    }

    #[test]
    fn what_is_not_yaml_has_no_outline() {
        assert_eq!(Outline::of("a: ["), Outline::default());
    }
}
