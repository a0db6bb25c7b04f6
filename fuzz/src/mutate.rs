//! Mutations: what turns a valid dialogue into one that nobody wrote.

use std::ops::Range;

use rand::{Rng, RngExt, seq::IndexedRandom};

/// Longest input.
pub const MAX_INPUT_BYTES: usize = 96 << 10;

/// Numbers at which something tends to happen.
const BOUNDARIES: &[u64] = &[
    0,
    1,
    2,
    7,
    8,
    15,
    16,
    31,
    32,
    63,
    64,
    127,
    128,
    255,
    256,
    511,
    512,
    1023,
    1024,
    4095,
    4096,
    8192,
    16_384,
    32_767,
    32_768,
    65_535,
    65_536,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_ffff_ffff,
];

/// Changes `input` in one to eight ways; `other` is another input to borrow from.
pub fn mutate(input: &mut Vec<u8>, other: &[u8], words: &[&str], dice: &mut impl Rng) {
    for _ in 0..1 << dice.random_range(0..4) {
        once(input, other, words, dice);
        input.truncate(MAX_INPUT_BYTES);
    }
}

fn once(input: &mut Vec<u8>, other: &[u8], words: &[&str], dice: &mut impl Rng) {
    match dice.random_range(0..14) {
        0 => on_byte(input, dice, |byte, dice| *byte ^= 1 << dice.random_range(0..8)),
        1 => on_byte(input, dice, |byte, dice| *byte = dice.random()),
        2 => insert_noise(input, dice),
        3 | 4 => drop(input.drain(range(input.len(), dice))),
        5 => duplicate(input, 1, dice),
        6 => repeat(input, dice),
        7 | 8 => splice(input, other, dice),
        9 | 10 => word(input, words, dice),
        11 => binary_number(input, dice),
        12 => decimal_number(input, dice),
        _ => swap(input, dice),
    }
}

/// A range within `len`: mostly short, sometimes any.
fn range(len: usize, dice: &mut impl Rng) -> Range<usize> {
    let start = dice.random_range(0..=len);
    let most = if dice.random_ratio(1, 4) { len } else { 16 };
    start..(start + dice.random_range(0..=most)).min(len)
}

fn on_byte<R: Rng>(input: &mut [u8], dice: &mut R, change: impl Fn(&mut u8, &mut R)) {
    if !input.is_empty() {
        let at = dice.random_range(0..input.len());
        change(&mut input[at], dice);
    }
}

fn insert(input: &mut Vec<u8>, bytes: &[u8], dice: &mut impl Rng) {
    let at = dice.random_range(0..=input.len());
    input.splice(at..at, bytes.iter().copied());
}

fn insert_noise(input: &mut Vec<u8>, dice: &mut impl Rng) {
    let mut noise = vec![0; dice.random_range(1..=16)];
    dice.fill_bytes(&mut noise);
    insert(input, &noise, dice);
}

fn duplicate(input: &mut Vec<u8>, times: usize, dice: &mut impl Rng) {
    let part = range(input.len(), dice);
    let times = times.min(MAX_INPUT_BYTES / part.len().max(1));
    let copies = input[part.clone()].repeat(times);
    match dice.random() {
        true => drop(input.splice(part.end..part.end, copies)),
        false => insert(input, &copies, dice),
    }
}

/// Many times over: what no buffer expects.
fn repeat(input: &mut Vec<u8>, dice: &mut impl Rng) {
    let times = 1 << dice.random_range(1..13);
    duplicate(input, times, dice);
}

fn splice(input: &mut Vec<u8>, other: &[u8], dice: &mut impl Rng) {
    let from = range(other.len(), dice);
    let to = range(input.len(), dice);
    input.splice(to, other[from].iter().copied());
}

fn word(input: &mut Vec<u8>, words: &[&str], dice: &mut impl Rng) {
    let Some(word) = words.choose(dice) else { return insert_noise(input, dice) };
    match dice.random() {
        true => insert(input, word.as_bytes(), dice),
        false => drop(input.splice(range(input.len(), dice), word.bytes())),
    }
}

fn binary_number(input: &mut Vec<u8>, dice: &mut impl Rng) {
    let bytes = BOUNDARIES.choose(dice).copied().unwrap_or_default().to_be_bytes();
    let width = 1 << dice.random_range(0..4);
    let at = dice.random_range(0..=input.len());
    let end = (at + width).min(input.len());
    input.splice(at..end, bytes[8 - width..].iter().copied());
}

/// A number in the text becomes another, or a new one goes in.
fn decimal_number(input: &mut Vec<u8>, dice: &mut impl Rng) {
    let start = dice.random_range(0..=input.len());
    let digit = |at: &usize| input[*at].is_ascii_digit();
    let from = (start..input.len()).find(digit).unwrap_or(start);
    let to = (from..input.len()).find(|at| !digit(at)).unwrap_or(input.len());
    let number = BOUNDARIES.choose(dice).copied().unwrap_or_default();
    let sign = if dice.random_ratio(1, 4) { "-" } else { "" };
    input.splice(from..to, format!("{sign}{number}").into_bytes());
}

fn swap(input: &mut Vec<u8>, dice: &mut impl Rng) {
    let part = range(input.len(), dice);
    let taken: Vec<u8> = input.drain(part).collect();
    insert(input, &taken, dice);
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    fn mutants(seed: u64) -> Vec<Vec<u8>> {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut input = b"GET / HTTP/1.1\r\nContent-Length: 12\r\n\r\n".to_vec();
        let change = |_| {
            mutate(&mut input, b"POST", &["chunked"], &mut dice);
            input.clone()
        };
        (0..3000).map(change).collect()
    }

    #[test]
    fn mutants_repeat_differ_and_stay_bounded() {
        let mutants_of_one = mutants(1);
        assert_eq!(mutants_of_one, mutants(1));
        assert_ne!(mutants_of_one, mutants(2));
        assert!(mutants_of_one.iter().all(|m| m.len() <= MAX_INPUT_BYTES));
        assert!(mutants_of_one.iter().any(|m| m.windows(7).any(|w| w == b"chunked")));
    }

    #[test]
    fn nothing_can_be_mutated_too() {
        let mut dice = StdRng::seed_from_u64(3);
        for _ in 0..1000 {
            mutate(&mut Vec::new(), b"", &[], &mut dice);
        }
    }
}
