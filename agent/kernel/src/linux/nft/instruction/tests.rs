use std::fmt::Write;

use flock_core::nft::{Family, examples};

use super::debug::{bytes, listing};

const FAMILIES: [Family; 3] = [Family::Inet, Family::Ip, Family::Ip6];

/// The kernel trials compare the same with what `nft --debug=netlink` makes of the text.
#[test]
fn rules_become_the_golden_instructions() {
    let mut text = String::new();
    for family in FAMILIES {
        for rule in examples::rules() {
            writeln!(text, "{family}: {rule}").unwrap();
            listing(family, &rule).iter().for_each(|line| writeln!(text, "  {line}").unwrap());
        }
    }
    let golden = include_str!("../golden/instructions.txt");
    assert!(
        text == golden,
        "agent/kernel/src/linux/nft/golden/instructions.txt is stale; now it would be:\n{text}"
    );
}

/// The kernel trials compare the same with what nft sends (`--debug=mnl`).
#[cfg(target_endian = "little")]
#[test]
fn rules_become_the_golden_bytes() {
    let mut text = String::new();
    for rule in examples::rules() {
        writeln!(text, "{rule}").unwrap();
        for line in bytes(Family::Inet, &rule).chunks(32) {
            let words: Vec<String> =
                line.chunks(4).map(|word| word.iter().map(|byte| format!("{byte:02x}")).collect()).collect();
            writeln!(text, "  {}", words.join(" ")).unwrap();
        }
    }
    let golden = include_str!("../golden/bytes.txt");
    assert!(text == golden, "agent/kernel/src/linux/nft/golden/bytes.txt is stale; now it would be:\n{text}");
}
