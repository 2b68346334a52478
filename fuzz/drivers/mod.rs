//! Each driver turns bytes into calls of the public API, and holds the outcome against a model. Fuzz targets feed them, and
//! `tests/driven.rs` does, with random bytes and with what the fuzzer found worth keeping.

#![allow(dead_code, unreachable_pub, reason = "each target uses one driver, and a test all of them")]

pub mod api;
pub mod options;
pub mod seal;
pub mod text;

/// Whether there is such a protection, on any platform. Its bits: read, write, execute; guard, no cache, write combine;
/// targets.
fn exists(protection: mallocator::Protection) -> bool {
    let bits = protection.bits();
    let (access, special, targets) = (bits & 7, bits >> 3 & 7, bits >> 6 & 1);
    bits < 128
        && [0b000, 0b001, 0b011, 0b100, 0b101, 0b111].contains(&access)
        && [0, 1, 2, 4].contains(&special)
        && (special == 0 || access != 0)
        && (targets == 0 || access & 4 != 0)
}

/// The bytes that decide. Where they end, zeros follow.
pub struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub fn byte(&mut self) -> u8 {
        self.at += 1;
        self.bytes.get(self.at - 1).copied().unwrap_or(0)
    }

    pub fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// Mostly small, sometimes large.
    pub fn size(&mut self) -> usize {
        let byte = usize::from(self.byte());
        match byte {
            0..=199 => byte,
            200..=249 => (byte - 199) * 100,
            _ => (byte - 249) * 2_000,
        }
    }

    /// Any number.
    pub fn word(&mut self) -> usize {
        usize::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// Up to `count` bytes, as they are.
    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let start = self.at.min(self.bytes.len());
        let end = start.saturating_add(count).min(self.bytes.len());
        self.at = end;
        &self.bytes[start..end]
    }

    pub fn one_of<T: Copy>(&mut self, things: &[T]) -> T {
        things[usize::from(self.byte()) % things.len()]
    }
}
