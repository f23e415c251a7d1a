//! Which code computes SHA-256: chosen once a call, by what the processor can do.

use super::sha256::{State, BLOCK};
use super::HashError;

/// Best first.
const ALL: [Kernel; 3] = [Kernel::ShaNi2, Kernel::ShaNi1, Kernel::Portable];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// The SHA instructions of x86, one file at a time.
    ShaNi1,
    /// The same, two files in one stream of instructions.
    ShaNi2,
    /// The crate `sha2`: everywhere; on `ARMv8` by the instructions of that processor.
    Portable,
}

impl Kernel {
    /// The kernel of a name; `auto` is the first of `available`.
    ///
    /// # Errors
    /// There is none of that name, or it can't run here.
    pub fn named(name: &str) -> Result<Self, HashError> {
        if name == "auto" {
            return Ok(Self::available().next().unwrap_or(Self::Portable));
        }
        let kernel = ALL.into_iter().find(|kernel| kernel.name() == name);
        let kernel = kernel.ok_or_else(|| HashError::UnknownKernel(name.to_owned()))?;
        if kernel.can_run() {
            Ok(kernel)
        } else {
            Err(HashError::KernelUnavailable(kernel.name()))
        }
    }

    /// The kernels that can run here, best first.
    pub fn available() -> impl Iterator<Item = Self> {
        ALL.into_iter().filter(|kernel| kernel.can_run())
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::ShaNi1 => "sha-ni-1",
            Self::ShaNi2 => "sha-ni-2",
            Self::Portable => "portable",
        }
    }

    /// Files that a worker does best to read by turns.
    pub(super) fn streams(self) -> usize {
        match self {
            Self::ShaNi2 => 2,
            Self::ShaNi1 | Self::Portable => 1,
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn can_run(self) -> bool {
        self == Self::Portable || super::sha_ni::can_run()
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn can_run(self) -> bool {
        self == Self::Portable
    }

    /// Takes whole blocks into a state.
    pub(super) fn compress(self, state: &mut State, blocks: &[u8]) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::ShaNi1 | Self::ShaNi2 => super::sha_ni::compress([state], [blocks]),
            _ => compress_portably(state, blocks),
        }
    }

    /// Takes as many whole blocks of each of two messages into their states.
    pub(super) fn compress_two(self, states: [&mut State; 2], blocks: [&[u8]; 2]) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::ShaNi2 => super::sha_ni::compress(states, blocks),
            _ => states.into_iter().zip(blocks).for_each(|(state, blocks)| self.compress(state, blocks)),
        }
    }
}

fn compress_portably(state: &mut State, blocks: &[u8]) {
    for block in blocks.chunks_exact(BLOCK) {
        if let Ok(block) = <&[u8; BLOCK]>::try_from(block) {
            sha2::block_api::compress256(state, std::slice::from_ref(block));
        }
    }
}
