"""The extension module; import its names from `pumas_native`."""

import os
from collections.abc import Callable, Sequence
from typing import final

__version__: str
build_profile: str
"""`release` or `debug`; figures of a debug build mean nothing."""

@final
class CancelToken:
    """A flag that ends native work; may be set from any thread, stays set."""

    def __new__(cls) -> CancelToken: ...
    def cancel(self) -> None:
        """Ask the operations that were given this token to end (seen within 50 ms)."""
    @property
    def is_cancelled(self) -> bool: ...

@final
class Tree:
    """A walk as columns of equal length: entry 0 is the root, folders stand before what they hold.

    The columns are bytes in the machine's byte order, to be read through `memoryview(...).cast(code)`
    or `numpy.frombuffer`; each access makes a new copy.
    """

    def __len__(self) -> int: ...
    @property
    def kinds(self) -> bytes:
        """One byte an entry: `f` file, `d` folder, `l` link, `o` FIFO, socket or device."""
    @property
    def parents(self) -> bytes:
        """u32 (`I`): index of the folder an entry lies in; 0 for the root itself."""
    @property
    def sizes(self) -> bytes:
        """u64 (`Q`): size in bytes; of a link: the length of its text."""
    @property
    def mtimes_ns(self) -> bytes:
        """i64 (`q`): time of the last change in nanoseconds since 1970."""
    @property
    def inodes(self) -> bytes:
        """u64 (`Q`): inode number; 0 on Windows."""
    @property
    def problems(self) -> list[tuple[os.PathLike[str], str]]:
        """What could not be looked at: path below the root, and why.

        The reasons are `vanished`, `unreadable`, `not-utf8` and `too-deep`.
        """
    def name(self, index: int) -> str:
        """Last part of an entry's path; raises IndexError outside the columns."""
    def path(self, index: int) -> str:
        """Path of an entry below the root (`""` for the root); raises IndexError outside the columns."""

@final
class MetadataColumns:
    """The columns of the table `models`, one list each, all of one length."""

    @property
    def read(self) -> int:
        """Files read; fewer than asked for when `max_total_bytes` was reached."""
    @property
    def positions(self) -> list[int]:
        """For each row the position of its file among the paths asked for, ascending."""
    @property
    def cleaned_name(self) -> list[str]: ...
    @property
    def official_name(self) -> list[str]: ...
    @property
    def model_type(self) -> list[str]: ...
    @property
    def tags_json(self) -> list[str]:
        """`tags` as Python's `json.dumps` writes it; `[]` when missing."""
    @property
    def hashes_json(self) -> list[str]:
        """`hashes` in the same form; `{}` when missing."""
    @property
    def metadata_json(self) -> list[str]:
        """The whole document as `json.dumps(..., indent=2)` writes it."""
    @property
    def problems(self) -> list[tuple[int, str]]:
        """Position of a file and what was wrong with it; a file may have a row all the same."""

def scan_tree(
    root: str | os.PathLike[str],
    *,
    names: Sequence[str] | None = None,
    skip_hidden: bool = False,
    leaf_marker: str | None = None,
    names_only: bool = False,
    workers: int | None = None,
    progress: Callable[[int], object] | None = None,
    cancel: CancelToken | None = None,
) -> Tree:
    """Walk a folder tree in parallel, without the GIL; links are reported, never followed.

    Args:
        root: A folder; a link to one is followed.
        names: Report only files and links of these names (folders always).
        skip_hidden: Leave out entries whose name begins with a dot.
        leaf_marker: Below the root, do not enter the folders of a folder that holds a file or link of this name.
        names_only: Leave the columns `sizes`, `mtimes_ns`, `inodes` empty and save a stat per entry.
        workers: Threads; one per core (at most 8) when not given.
        progress: Called with the entries seen so far, at most 20 times a second, in the calling thread.
        cancel: Looked at between blocks of folders.

    Raises:
        ScanFailed: The root can't be listed, or the tree has more than 67 million entries.
        Cancelled: `cancel` was set.

    An entry costs at most one stat; one that vanishes or can't be read becomes a problem, not an error.
    """

def read_metadata_files(
    paths: Sequence[str | os.PathLike[str]],
    *,
    max_bytes: int,
    max_depth: int,
    max_total_bytes: int = ...,
    workers: int | None = None,
    progress: Callable[[int], object] | None = None,
    cancel: CancelToken | None = None,
) -> MetadataColumns:
    """Read and check many small JSON documents in parallel, without the GIL.

    Args:
        paths: Regular files; links, folders, FIFOs and devices are refused without waiting.
        max_bytes: Larger files are refused.
        max_depth: Documents nested deeper are refused; 500 at most.
        max_total_bytes: Once so much was read no more files are begun (a few hundred may be on their way).
        workers: Threads; one per core (at most 8) when not given.
        progress: Called with the files read so far, at most 20 times a second, in the calling thread.
        cancel: Looked at between blocks of files.

    Raises:
        Cancelled: `cancel` was set.

    Strict RFC 8259: no NaN, no byte order mark, UTF-8 only. Integers of any length are kept, a repeated
    key keeps its first place and takes its last value. A file that can't be a row is in `problems`.
    """

def panic_for_test() -> None:
    """Panic inside the boundary (raises NativeError); only the tests call it."""
