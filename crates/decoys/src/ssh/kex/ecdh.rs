//! Elliptic curves: NIST's (RFC 5656), Curve25519 (RFC 8731) and its hybrid with Streamlined
//! NTRU Prime (`sntrup761x25519-sha512`).

use p256::elliptic_curve::{
    CurveArithmetic, FieldBytesSize, Generate, PublicKey, SecretKey,
    point::AffinePoint,
    sec1::{FromSec1Point, ModulusSize, ToSec1Point},
};
use rand::CryptoRng;
use sha2::{Digest, Sha512};
use sntrup761::{EncapsulationKey, PUBLIC_KEY_SIZE};
use x25519_dalek::{PublicKey as X25519Public, StaticSecret};

use super::Exchanged;
use crate::ssh::{fatal::Fatal, wire::Writer};

pub(super) fn x25519(client: &[u8], random: &mut impl CryptoRng) -> Result<Exchanged, Fatal> {
    let (public, shared) = x25519_raw(client, random)?;
    Ok(Exchanged { public: public.to_vec(), secret: Writer::blob().mpint(&shared).done() })
}

fn x25519_raw(client: &[u8], random: &mut impl CryptoRng) -> Result<([u8; 32], [u8; 32]), Fatal> {
    let client: [u8; 32] = client.try_into().map_err(|_| Fatal::Close)?;
    let secret = StaticSecret::random_from_rng(random);
    let shared = secret.diffie_hellman(&X25519Public::from(client));
    match shared.was_contributory() {
        true => Ok((X25519Public::from(&secret).to_bytes(), shared.to_bytes())),
        false => Err(Fatal::Close),
    }
}

/// The client sends its KEM key and its curve point; the secret is the hash of both secrets,
/// and enters the exchange hash as a string.
pub(super) fn hybrid(client: &[u8], random: &mut impl CryptoRng) -> Result<Exchanged, Fatal> {
    let (kem, point) = client.split_at_checked(PUBLIC_KEY_SIZE).ok_or(Fatal::Close)?;
    let kem = EncapsulationKey::try_from(kem).map_err(|_| Fatal::Close)?;
    let mut seed = [0; 32];
    random.fill_bytes(&mut seed);
    let (ciphertext, kem_secret) = kem.encapsulate_deterministic(seed);
    let (public, shared) = x25519_raw(point, random)?;
    let secret = Sha512::new().chain_update(kem_secret.as_ref()).chain_update(shared).finalize();
    Ok(Exchanged {
        public: [ciphertext.as_ref(), &public].concat(),
        secret: Writer::blob().string(&secret).done(),
    })
}

pub(super) fn nist<C>(client: &[u8], random: &mut impl CryptoRng) -> Result<Exchanged, Fatal>
where
    C: CurveArithmetic,
    AffinePoint<C>: FromSec1Point<C> + ToSec1Point<C>,
    FieldBytesSize<C>: ModulusSize,
{
    let client = PublicKey::<C>::from_sec1_bytes(client).map_err(|_| Fatal::Close)?;
    let secret = SecretKey::<C>::generate_from_rng(random);
    let shared = secret.diffie_hellman(&client);
    let public = secret.public_key().to_sec1_point(false);
    Ok(Exchanged {
        public: public.as_bytes().to_vec(),
        secret: Writer::blob().mpint(shared.raw_secret_bytes()).done(),
    })
}
