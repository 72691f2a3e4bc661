//! How many connections each client address has.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// What of an IPv6 address is one client: a /64 is what providers give to one site, which may use any address in it.
const SITE_BITS: u32 = 64;

/// The open connections, by address. No larger than there are connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Addresses(Arc<Mutex<HashMap<IpAddr, u32>>>);

/// One connection's place, given back when dropped.
#[derive(Debug)]
pub(crate) struct AddressPlace {
    addresses: Addresses,
    site: IpAddr,
}

impl Addresses {
    /// A place for one more connection, if this address has fewer than `limit`.
    pub(crate) fn enter(&self, address: IpAddr, limit: u32) -> Option<AddressPlace> {
        let site = site(address);
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(site).or_default();
        if *count >= limit {
            return None;
        }
        *count += 1;
        Some(AddressPlace { addresses: self.clone(), site })
    }
}

impl Drop for AddressPlace {
    fn drop(&mut self) {
        let mut open = self.addresses.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.site) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.site);
            }
        }
    }
}

fn site(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> (128 - SITE_BITS) << (128 - SITE_BITS)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_places_and_gets_them_back() {
        let addresses = Addresses::default();
        let enter = |address: &str| addresses.enter(address.parse().unwrap(), 2);
        let (first, _second) = (enter("192.0.2.1"), enter("::ffff:192.0.2.1"));
        assert!(enter("192.0.2.1").is_none() && enter("192.0.2.2").is_some());

        drop(first);

        assert!(enter("192.0.2.1").is_some());
        assert_eq!(addresses.0.lock().unwrap().len(), 1, "the others are forgotten");
    }

    #[test]
    fn an_ipv6_site_is_one_client() {
        let addresses = Addresses::default();
        let _place = addresses.enter("2001:db8:0:1::1".parse().unwrap(), 1);

        assert!(addresses.enter("2001:db8:0:1:ffff::2".parse().unwrap(), 1).is_none());
        assert!(addresses.enter("2001:db8:0:2::1".parse().unwrap(), 1).is_some());
    }
}
