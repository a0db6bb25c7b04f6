//! Diffie-Hellman over the fixed groups of RFC 3526 and over groups of the daemon's own list
//! (RFC 4419).

use std::cmp::Ordering;

use crypto_bigint::{
    BoxedUint, Odd,
    modular::{BoxedMontyForm, BoxedMontyParams},
};
use rand::CryptoRng;

use super::Exchanged;
use crate::ssh::{fatal::Fatal, wire::Writer};

/// Bytes of our exponent: twice the strength that the longest keys ask for, as OpenSSH takes it.
const EXPONENT_BYTES: usize = 128;
/// A public value with fewer bits set is refused (`dh_pub_is_valid`).
const MIN_BITS_SET: u32 = 4;

/// A prime and a generator, as hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::ssh) struct Group {
    pub(in crate::ssh) generator: u32,
    pub(in crate::ssh) prime: &'static str,
}

impl Group {
    /// The prime's digits as bytes.
    pub(in crate::ssh) fn prime_bytes(&self) -> Vec<u8> {
        let nibble = |digit: u8| char::from(digit).to_digit(16).unwrap_or(0) as u8;
        self.prime.as_bytes().chunks(2).map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])).collect()
    }
}

/// Answers the client's public value.
pub(in crate::ssh) fn respond(
    group: &Group,
    client: &[u8],
    random: &mut impl CryptoRng,
) -> Result<Exchanged, Fatal> {
    let mut exponent = [0; EXPONENT_BYTES];
    random.fill_bytes(&mut exponent);
    let (public, secret) = exchange(group, &exponent, client)?;
    let public = Writer::blob().mpint(&public).done().split_off(4);
    Ok(Exchanged { public, secret: Writer::blob().mpint(&secret).done() })
}

/// Our public value and the shared secret, without leading zeros.
pub(in crate::ssh) fn exchange(
    group: &Group,
    exponent: &[u8],
    other: &[u8],
) -> Result<(Vec<u8>, Vec<u8>), Fatal> {
    let prime = group.prime_bytes();
    let other = valid(other, &prime)?;
    let modulus: Odd<BoxedUint> = BoxedUint::from_be_slice_vartime(&prime)
        .into_odd()
        .into_option()
        .expect("every listed modulus is an odd prime");
    let bits = modulus.as_ref().bits_precision();
    let params = BoxedMontyParams::new_vartime(modulus);
    let exponent = BoxedUint::from_be_slice_vartime(exponent);
    let raise = |base: &[u8]| {
        let base = BoxedUint::from_be_slice(base, bits).map_err(|_| Fatal::Close)?;
        let power = BoxedMontyForm::new(base, &params).pow(&exponent).retrieve();
        Ok::<_, Fatal>(power.to_be_bytes_trimmed_vartime().into_vec())
    };
    Ok((raise(&group.generator.to_be_bytes())?, raise(other)?))
}

/// The digits of a public value within 2 ..= p - 2 that is not sparse.
fn valid<'a>(value: &'a [u8], prime: &[u8]) -> Result<&'a [u8], Fatal> {
    if value.first().is_some_and(|d| d & 0x80 != 0) {
        return Err(Fatal::Close);
    }
    let value = &value[value.iter().take_while(|&&d| d == 0).count()..];
    let mut limit = prime.to_vec();
    *limit.last_mut().ok_or(Fatal::Close)? -= 1;
    let below = value.len().cmp(&limit.len()).then_with(|| value.cmp(&limit)) == Ordering::Less;
    let bits: u32 = value.iter().map(|d| d.count_ones()).sum();
    match below && bits >= MIN_BITS_SET {
        true => Ok(value),
        false => Err(Fatal::Close),
    }
}
