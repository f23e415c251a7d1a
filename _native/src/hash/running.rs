//! SHA-256 of bytes that come bit by bit: what a transfer needs.

use super::kernel::Kernel;
use super::sha256::{self, State};

pub use super::sha256::{BLOCK, PADDING};

/// A digest on its way.
pub struct Running {
    kernel: Kernel,
    state: State,
    length: u64,
}

impl Running {
    /// Begins with nothing, on the best kernel that can run here.
    pub fn new() -> Self {
        let kernel = Kernel::available().next().unwrap_or(Kernel::Portable);
        Self { kernel, state: sha256::INITIAL, length: 0 }
    }

    /// Takes whole blocks of 64 bytes.
    pub fn update(&mut self, blocks: &[u8]) {
        debug_assert!(blocks.len() % BLOCK == 0);
        self.kernel.compress(&mut self.state, blocks);
        self.length += blocks.len() as u64;
    }

    /// Takes the last `filled` bytes of `buffer`, which has room for `PADDING` more, and gives the digest.
    pub fn finish(mut self, buffer: &mut [u8], filled: usize) -> [u8; 32] {
        let length = self.length + filled as u64;
        let padded = sha256::pad(buffer, filled, length);
        self.kernel.compress(&mut self.state, &buffer[..padded]);
        sha256::digest(&self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::Digest;

    #[test]
    fn parts_give_the_digest_of_the_whole() {
        let bytes: Vec<u8> = (0..=250).cycle().take(1000).collect();
        for length in [0, 1, 55, 56, 63, 64, 65, 128, 999] {
            let mut running = Running::new();
            let whole = length / BLOCK * BLOCK;
            bytes[..whole].chunks(BLOCK).for_each(|block| running.update(block));
            let mut buffer = bytes[whole..length].to_vec();
            buffer.resize(buffer.len() + PADDING, 0);
            let expected: [u8; 32] = sha2::Sha256::digest(&bytes[..length]).into();
            assert_eq!(running.finish(&mut buffer, length - whole), expected, "{length}");
        }
    }
}
