//! One address of an interface, with its state (`linux/if_addr.h`, RFC 4862).

use std::fmt;
use std::time::Duration;

use ipnet::IpNet;

/// An address of an interface, as the kernel tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The interface's own end, with the length of its subnet's prefix.
    pub net: IpNet,
    /// What the kernel says of it.
    pub flags: AddressFlags,
    /// How long it stays.
    pub lifetimes: Lifetimes,
}

/// What an address may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressState {
    /// Duplicate address detection is under way: not to be used, another node may have it.
    Tentative,
    /// To be used.
    Usable,
    /// Beyond its preferred lifetime: for connections that there are, not for new ones.
    Deprecated,
    /// Another node has it. It stays so until it is removed.
    Duplicate,
}

/// `IFA_F_*`.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct AddressFlags(u32);

/// From now on; none: for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lifetimes {
    /// Until it is deprecated.
    pub preferred: Option<Duration>,
    /// Until it is removed.
    pub valid: Option<Duration>,
}

impl InterfaceAddress {
    /// What it may be used for. One that is optimistic (RFC 4429) is tentative too.
    pub fn state(&self) -> AddressState {
        // The kernel leaves "tentative" on an address that turned out to be a duplicate.
        if self.flags.contains(AddressFlags::DAD_FAILED) {
            AddressState::Duplicate
        } else if self.flags.contains(AddressFlags::TENTATIVE) {
            AddressState::Tentative
        } else if self.flags.contains(AddressFlags::DEPRECATED) {
            AddressState::Deprecated
        } else {
            AddressState::Usable
        }
    }

    /// Whether it is not the first on its subnet (IPv4), or a temporary one (IPv6, RFC 8981): the flag is the same.
    pub fn is_secondary(&self) -> bool {
        self.flags.contains(AddressFlags::SECONDARY)
    }

    /// Whether it is a temporary one that the kernel has made for privacy (RFC 8981).
    pub fn is_temporary(&self) -> bool {
        self.net.addr().is_ipv6() && self.flags.contains(AddressFlags::SECONDARY)
    }
}

impl AddressFlags {
    /// `IFA_F_SECONDARY`, and for IPv6 `IFA_F_TEMPORARY`.
    pub const SECONDARY: Self = Self(0x01);
    /// `IFA_F_NODAD`: there was no duplicate address detection.
    pub const NO_DAD: Self = Self(0x02);
    /// `IFA_F_OPTIMISTIC`.
    pub const OPTIMISTIC: Self = Self(0x04);
    /// `IFA_F_DADFAILED`.
    pub const DAD_FAILED: Self = Self(0x08);
    /// `IFA_F_DEPRECATED`.
    pub const DEPRECATED: Self = Self(0x20);
    /// `IFA_F_TENTATIVE`.
    pub const TENTATIVE: Self = Self(0x40);
    /// `IFA_F_PERMANENT`: its lifetimes do not end.
    pub const PERMANENT: Self = Self(0x80);
    /// `IFA_F_STABLE_PRIVACY` (RFC 7217).
    pub const STABLE_PRIVACY: Self = Self(0x800);

    /// All of the kernel's bits.
    pub fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// All of the kernel's bits.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Whether all of `flags` are set.
    pub fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }
}

impl std::ops::BitOr for AddressFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for AddressFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AddressFlags({:#x})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(net: &str, flags: AddressFlags) -> InterfaceAddress {
        InterfaceAddress { net: net.parse().unwrap(), flags, lifetimes: Lifetimes::default() }
    }

    #[test]
    fn the_state_follows_from_the_flags() {
        let (tentative, duplicate) = (AddressFlags::TENTATIVE, AddressFlags::DAD_FAILED);
        for (flags, state) in [
            (AddressFlags::PERMANENT, AddressState::Usable),
            (AddressFlags::NO_DAD | AddressFlags::STABLE_PRIVACY, AddressState::Usable),
            (tentative, AddressState::Tentative),
            (tentative | AddressFlags::OPTIMISTIC, AddressState::Tentative),
            (tentative | AddressFlags::DEPRECATED, AddressState::Tentative),
            (AddressFlags::DEPRECATED, AddressState::Deprecated),
            (tentative | duplicate, AddressState::Duplicate),
            (tentative | duplicate | AddressFlags::DEPRECATED, AddressState::Duplicate),
        ] {
            assert_eq!(address("2001:db8::1/64", flags).state(), state, "{flags:?}");
        }
    }

    #[test]
    fn one_flag_means_secondary_for_ipv4_and_temporary_for_ipv6() {
        let v4 = address("192.0.2.1/24", AddressFlags::SECONDARY);
        let v6 = address("2001:db8::1/64", AddressFlags::SECONDARY);
        assert_eq!((v4.is_secondary(), v4.is_temporary()), (true, false));
        assert_eq!((v6.is_secondary(), v6.is_temporary()), (true, true));
        assert!(!address("2001:db8::1/64", AddressFlags::PERMANENT).is_temporary());
    }
}
