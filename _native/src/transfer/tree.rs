//! BLAKE3 of a file out of its blocks, digested in any order by whoever has their bytes at hand.
//!
//! BLAKE3 is a binary tree over chunks of 1024 bytes (BLAKE3 paper §2.1, §2.4). A block of 1024 chunks is a whole
//! subtree, so its chaining value can be computed apart; merging the values of all blocks gives the digest of the file.
//! The values are kept for repair: they are bound to the file's digest, as each of them is a part of its tree.

use blake3::hazmat::{left_subtree_len, merge_subtrees_non_root, merge_subtrees_root, HasherExt, Mode};
use blake3::Hasher;

/// Bytes of a block.
pub const BLOCK: u64 = 1024 * 1024;

/// Chaining value of a block.
pub type BlockSum = [u8; 32];

/// Digests bytes that come in order, block by block.
pub struct BlockSums {
    at: u64,
    hasher: Hasher,
}

impl BlockSums {
    /// Begins at the start of a block.
    pub fn new(start: u64) -> Self {
        let mut hasher = Hasher::new();
        hasher.set_input_offset(start);
        Self { at: start, hasher }
    }

    /// Takes bytes in; `finished` is told each block that ends with them.
    pub fn update(&mut self, mut bytes: &[u8], mut finished: impl FnMut(u64, BlockSum)) {
        while !bytes.is_empty() {
            let room = usize::try_from(BLOCK - self.at % BLOCK).unwrap_or(bytes.len());
            let (part, rest) = bytes.split_at(room.min(bytes.len()));
            self.hasher.update(part);
            self.at += part.len() as u64;
            if self.at % BLOCK == 0 {
                finished(self.at / BLOCK - 1, self.hasher.finalize_non_root());
                *self = Self::new(self.at);
            }
            bytes = rest;
        }
    }

    /// The block that the file ends in, unless it ended with a whole one.
    pub fn last(&self) -> Option<(u64, BlockSum)> {
        (self.at % BLOCK != 0).then(|| (self.at / BLOCK, self.hasher.finalize_non_root()))
    }
}

/// Digest of a file of two blocks or more.
pub fn root(size: u64, blocks: &[BlockSum]) -> [u8; 32] {
    let (left, right) = halves(size, blocks);
    *merge_subtrees_root(&left, &right, Mode::Hash).as_bytes()
}

fn node(size: u64, blocks: &[BlockSum]) -> BlockSum {
    if let [block] = blocks {
        return *block;
    }
    let (left, right) = halves(size, blocks);
    merge_subtrees_non_root(&left, &right, Mode::Hash)
}

fn halves(size: u64, blocks: &[BlockSum]) -> (BlockSum, BlockSum) {
    let left = left_subtree_len(size);
    let (first, second) = blocks.split_at(usize::try_from(left / BLOCK).unwrap_or(blocks.len()));
    (node(left, first), node(size - left, second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_merge_into_the_digest_of_the_whole() {
        let bytes: Vec<u8> = (0..=250).cycle().take(5 << 20).collect();
        let block = 1 << 20;
        for size in
            [block + 1, 2 * block - 1, 2 * block, 3 * block, 3 * block + 1025, 5 * block - 7, 5 * block]
        {
            let mut sums = Vec::new();
            // Each block apart, in pieces that respect no border.
            for start in (0..size).step_by(block) {
                let mut states = BlockSums::new(start as u64);
                let mut found = None;
                for part in bytes[start..size.min(start + block)].chunks(99_991) {
                    states.update(part, |number, sum| found = Some((number, sum)));
                }
                let (number, sum) = found.or(states.last()).unwrap();
                assert_eq!(number, (start / block) as u64);
                sums.push(sum);
            }
            assert_eq!(root(size as u64, &sums), *blake3::hash(&bytes[..size]).as_bytes(), "{size}");
        }
    }

    #[test]
    fn one_state_goes_on_over_blocks() {
        let bytes: Vec<u8> = (0..=250).cycle().take((5 << 19) + 3).collect();
        let mut states = BlockSums::new(0);
        let mut sums = Vec::new();
        states.update(&bytes, |_, sum| sums.push(sum));
        sums.extend(states.last().map(|(_, sum)| sum));
        assert_eq!(root(bytes.len() as u64, &sums), *blake3::hash(&bytes).as_bytes());
    }
}
