//! What SHA-256 is apart from its compression function (FIPS 180-4): state, padding, result.

pub const BLOCK: usize = 64;

/// Most that `pad` adds: a block, and what the last bytes lack of theirs.
pub const PADDING: usize = 2 * BLOCK;

/// H0 … H7.
pub type State = [u32; 8];

/// §5.3.3.
pub const INITIAL: State =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// Pads the last `filled` bytes of a message of `length` bytes in place (§5.1.1).
///
/// Returns what is filled then: whole blocks.
pub fn pad(buffer: &mut [u8], filled: usize, length: u64) -> usize {
    let padded = (filled + 9).next_multiple_of(BLOCK);
    buffer[filled] = 0x80;
    buffer[filled + 1..padded - 8].fill(0);
    buffer[padded - 8..padded].copy_from_slice(&length.wrapping_mul(8).to_be_bytes());
    padded
}

pub fn digest(state: &State) -> [u8; 32] {
    let mut digest = [0; 32];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    digest
}
