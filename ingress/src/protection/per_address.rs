//! Connections per client address, and addresses paused after abuse.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The IPv6 prefix that counts as one client: providers assign a /64 per site, which may use any address in it.
const SITE_BITS: u32 = 64;

/// Maximum paused addresses: more sites than one attacker is likely to have, at some bytes each.
const MOST_PAUSING: usize = 10_000;

/// Open connections by address, and paused addresses. Bounded by the number of connections plus [`MOST_PAUSING`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Addresses(Arc<Mutex<Sites>>);

#[derive(Debug, Default)]
struct Sites {
    open: HashMap<IpAddr, u32>,
    /// Paused after abuse, until this instant.
    pausing: HashMap<IpAddr, Instant>,
}

/// One connection of an address, released on drop.
#[derive(Debug)]
pub(crate) struct AddressPermit {
    addresses: Addresses,
    site: IpAddr,
}

impl Addresses {
    /// A permit for one more connection, if this address has fewer than `limit`.
    pub(crate) fn enter(&self, address: IpAddr, limit: u32) -> Option<AddressPermit> {
        let site = site(address);
        let mut sites = self.sites();
        let count = sites.open.entry(site).or_default();
        if *count >= limit {
            return None;
        }
        *count += 1;
        Some(AddressPermit { addresses: self.clone(), site })
    }

    fn sites(&self) -> MutexGuard<'_, Sites> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sites {
    fn pausing_until(&mut self, site: IpAddr, now: Instant) -> Option<Instant> {
        let until = *self.pausing.get(&site)?;
        if until <= now {
            self.pausing.remove(&site);
        }
        (now < until).then_some(until)
    }

    fn pause(&mut self, site: IpAddr, now: Instant, time: Duration) {
        if self.pausing.len() >= MOST_PAUSING {
            self.pausing.retain(|_, until| now < *until);
        }
        if self.pausing.len() < MOST_PAUSING {
            self.pausing.insert(site, now + time);
        }
    }
}

impl AddressPermit {
    /// Pauses the address after abuse: nothing is read from its new connections for this duration.
    pub(crate) fn pause(&self, time: Duration) {
        self.addresses.sites().pause(self.site, Instant::now(), time);
    }

    /// Until when this connection waits, if its address is paused.
    pub(crate) fn pausing_until(&self) -> Option<Instant> {
        self.addresses.sites().pausing_until(self.site, Instant::now())
    }
}

impl Drop for AddressPermit {
    fn drop(&mut self) {
        let mut sites = self.addresses.sites();
        if let Some(count) = sites.open.get_mut(&self.site) {
            *count -= 1;
            if *count == 0 {
                sites.open.remove(&self.site);
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
    fn an_address_has_its_permits_and_gets_them_back() {
        let addresses = Addresses::default();
        let enter = |address: &str| addresses.enter(address.parse().unwrap(), 2);
        let (first, _second) = (enter("192.0.2.1"), enter("::ffff:192.0.2.1"));
        assert!(enter("192.0.2.1").is_none());
        assert!(enter("192.0.2.2").is_some());

        drop(first);

        assert!(enter("192.0.2.1").is_some());
        assert_eq!(addresses.sites().open.len(), 1, "the others are forgotten");
    }

    #[test]
    fn an_ipv6_site_is_one_client() {
        let addresses = Addresses::default();
        let _place = addresses.enter("2001:db8:0:1::1".parse().unwrap(), 1);

        assert!(addresses.enter("2001:db8:0:1:ffff::2".parse().unwrap(), 1).is_none());
        assert!(addresses.enter("2001:db8:0:2::1".parse().unwrap(), 1).is_some());
    }

    #[test]
    fn an_abusive_address_is_paused_and_forgotten_afterwards() {
        let (mut sites, now) = (Sites::default(), Instant::now());
        let [bad, good] = ["192.0.2.1", "192.0.2.2"].map(|address| address.parse::<IpAddr>().unwrap());
        let second = Duration::from_secs(1);

        sites.pause(bad, now, second);

        assert_eq!([bad, good].map(|site| sites.pausing_until(site, now)), [Some(now + second), None]);
        assert!(sites.pausing_until(bad, now + second).is_none() && sites.pausing.is_empty());
        for n in 0..2 * MOST_PAUSING as u128 {
            sites.pause(Ipv6Addr::from_bits(n << 64).into(), now, second);
        }
        assert_eq!(sites.pausing.len(), MOST_PAUSING);
    }
}
