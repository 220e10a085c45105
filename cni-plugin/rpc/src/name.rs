//! The alphabets of names that come from a runtime.

/// A container ID: a letter or digit, then letters, digits, `_`, `.` and `-` (CNI spec 1.1, section 2). The spec sets
/// no bound; 128 keeps `CONTAINER_ID@IFNAME` a file name.
pub fn is_container_id(text: &str) -> bool {
    text.len() <= 128 && is_network_name(text)
}

/// A network's name: the same alphabet as a container ID, without a bound (CNI spec 1.1, section 1).
pub fn is_network_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// An interface name that the kernel takes (`dev_valid_name`): 1 to 15 bytes, without `/`, `:` or white space, not `.`
/// or `..`.
pub fn is_ifname(text: &str) -> bool {
    (1..=15).contains(&text.len())
        && !matches!(text, "." | "..")
        && !text.chars().any(|c| matches!(c, '/' | ':' | '\0') || c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn container_ids_follow_the_cni_spec() {
        for good in ["a", "0f3c", "Web_1.x-y", &"f".repeat(128)] {
            assert!(is_container_id(good), "{good}");
        }
        for bad in ["", "a/b", "../x", ".a", "-a", "_a", "a b", "ü", "a@b", "a\0", &"f".repeat(129)] {
            assert!(!is_container_id(bad), "{bad}");
        }
    }

    #[test]
    fn interface_names_follow_the_kernel() {
        for good in ["eth0", "net1", "a@b", "...", "exactly15bytes_"] {
            assert!(is_ifname(good), "{good}");
        }
        for bad in ["", "sixteen_bytes_xx", "a/b", "a:b", "a b", "a\t", "a\0", ".", ".."] {
            assert!(!is_ifname(bad), "{bad}");
        }
    }
}
