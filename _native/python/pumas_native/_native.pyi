"""The extension module; import its names from `pumas_native`."""

import os
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias, final

__version__: str
build_profile: str
"""`release` or `debug`; figures of a debug build mean nothing."""

_Algorithm: TypeAlias = Literal["sha256", "blake3", "xxh3_128"]
_Kernel: TypeAlias = Literal["auto", "sha-ni-2", "sha-ni-1", "portable"]

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
    def ctimes_ns(self) -> bytes:
        """i64 (`q`): time of the last change of content or status, the same unit; 0 on Windows."""
    @property
    def inodes(self) -> bytes:
        """u64 (`Q`): inode number; 0 on Windows."""
    @property
    def devices(self) -> bytes:
        """u64 (`Q`): number of the device that holds the inode, as `st_dev`; 0 on Windows."""
    @property
    def link_states(self) -> bytes:
        """One byte an entry: what following a link comes to, as the system resolves it; empty if nobody asked.

        0   not a link
        t   something inside the tree, whether it was reported or not
        x   something outside the tree
        y   something, of a walk that was asked for `link_states` only
        b   broken: a part of the way is missing or is no folder
        o   a loop: the system gives up (a link to itself, links in a ring, a chain over its limit: ELOOP), or the
            target is a folder that holds the link, however far up, in the tree or above it. Two folders with a link
            to each other's are no loop: neither target holds its own link.
        u   not told: a folder on the way may not be searched, the path is too long, the disk fails

        Places are compared by canonical path, not by inode: a link to an outside name of a file that is also
        hard-linked inside leads outside.
        """
    @property
    def link_targets(self) -> bytes:
        """u32 (`I`): the entry that a link leads to in the end, through all further links; empty without `links`.

        The entry's own index where it is no link or its target is no entry (outside, missing, left out by options).
        """
    @property
    def link_counts(self) -> bytes:
        """u64 (`Q`): `st_nlink`; empty without `links` or with `names_only`; 1 on Windows."""
    @property
    def hard_link_groups(self) -> bytes:
        """u32 (`I`): entries that are one file share a number; empty without `links` or with `names_only`.

        0 for an entry that is alone in the tree and for every folder; else 1, 2, … by the group's first entry.
        """
    @property
    def problems(self) -> list[tuple[os.PathLike[str], str]]:
        """What could not be looked at: path below the root, and why.

        The reasons are `vanished`, `unreadable`, `not-utf8` and `too-deep`.
        """
    def find(self, paths: Sequence[str]) -> bytes:
        """u32 (`I`) for each path below the root, `/` between parts: its entry; 0 where there is none.

        Without the GIL; nothing on the disk is looked at, and links are not followed.
        """
    def name(self, index: int) -> str:
        """Last part of an entry's path; raises IndexError outside the columns."""
    def path(self, index: int) -> str:
        """Path of an entry below the root (`""` for the root); raises IndexError outside the columns."""

@final
class Changes:
    """What is not as the known records say; each access gives the same object."""

    @property
    def unchanged(self) -> int:
        """Documents that are as their record says."""
    @property
    def changed(self) -> bytes:
        """u32 (`I`, the machine's order): entries of the tree to be read, ascending; new ones too."""
    @property
    def vanished(self) -> bytes:
        """16 bytes each: hashes of known records without an entry, in the records' order."""
    @property
    def records(self) -> bytes:
        """The known records for the next time: one of each document, in the order of the tree."""

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

@final
class Digests:
    """Digests of many files as columns, in the order of the paths; each access gives the same object.

    A column is empty where it was not asked for; a file that has a problem has zeros in its place.
    """

    @property
    def sha256(self) -> bytes:
        """32 bytes a file."""
    @property
    def blake3(self) -> bytes:
        """32 bytes a file."""
    @property
    def xxh3_128(self) -> bytes:
        """16 bytes a file, in canonical (big-endian) order."""
    @property
    def fingerprints(self) -> bytes:
        """32 bytes a file, as `fingerprint_files` gives them: what it was like while it was read."""
    @property
    def problems(self) -> list[tuple[int, OSError]]:
        """Place of a file among the paths, and what `hash_file` would have raised."""

def scan_tree(
    root: str | os.PathLike[str],
    *,
    names: Sequence[str] | None = None,
    skip_hidden: bool = False,
    leaf_marker: str | None = None,
    names_only: bool = False,
    links: bool = False,
    link_states: bool = False,
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
        names_only: Leave the columns of the stat (`sizes`, times, `inodes`, `devices`) empty and save it.
        links: Fill `link_states`, `link_targets`, `link_counts`, `hard_link_groups`; a few calls per link, none else.
        link_states: Without `links`: fill `link_states` alone, by one stat per link.
        workers: Threads; one per core (at most 8) when not given.
        progress: Called with the entries seen so far, at most 20 times a second, in the calling thread.
        cancel: Looked at between folders.

    Raises:
        ScanFailed: The root can't be listed, or the tree has more than 67 million entries.
        Cancelled: `cancel` was set.

    An entry costs at most one stat; one that vanishes or can't be read becomes a problem, not an error. The order is
    that of levels, within a level that of the folders, within a folder that of the names' bytes, whatever `workers` is.
    """

def changed_documents(tree: Tree, known: bytes, *, racy_after_ns: int) -> Changes:
    """Compare every document of a tree with what was known of it, without the GIL and without touching the disk.

    Args:
        tree: A scan for one name, with stats. Documents are its files and links that don't lie directly in the root.
        known: Records of 48 bytes in any order: xxh3_128 digest of the UTF-8 path of the document's folder below the
            root (`/` between its parts), inode u64 LE, mtime_ns i64 LE, size u64 LE, ctime_ns i64 LE. A hash that
            stands twice is believed in neither place.
        racy_after_ns: What changed later than this could have changed again unseen by a coarse clock.

    Returns:
        Changed are documents without a record, those that differ from it, those whose mtime_ns or ctime_ns is greater
        than `racy_after_ns`, and all links: a link's stat says nothing of the document behind it. The new records of
        the last two have ctime_ns 2**63 - 1, which no file has: they are changed next time as well.

    Raises:
        InvalidArgument: `known` is no multiple of 48 bytes long, or the tree was scanned with `names_only`.

    About 0.2 µs a document, whatever the records hold.
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
        cancel: Looked at between files.

    Raises:
        Cancelled: `cancel` was set.

    Strict RFC 8259: no NaN, no byte order mark, UTF-8 only. Integers of any length are kept, a repeated
    key keeps its first place and takes its last value. A file that can't be a row is in `problems`.
    """

def hash_file(
    path: str | os.PathLike[str],
    algorithms: Sequence[_Algorithm] = ("sha256", "blake3"),
    *,
    kernel: _Kernel = "auto",
    progress: Callable[[int], object] | None = None,
    cancel: CancelToken | None = None,
) -> dict[_Algorithm, str]:
    """Digest one file in a single pass, without the GIL.

    Args:
        path: A regular file; a link is followed, once: what was opened is what is read.
        algorithms: `sha256`, `blake3`, `xxh3_128`, at least one.
        kernel: What computes SHA-256: one of `hash_kernels()`, or `auto`, the first of them.
        progress: Called with the bytes done so far, at most 20 times a second, in the calling thread.
        cancel: Looked at between chunks; work ends within 50 ms.

    Returns:
        Lower-case hex digest by algorithm, in the order asked for.

    Raises:
        OSError: The file can't be opened or read; `errno` and `filename` say more.
        NotRegularFile: It is a folder, FIFO, socket or device; it was not opened.
        FileChangedError: Size, mtime_ns or ctime_ns differ after reading, or the length read; there is no digest.
        InvalidArgument: An algorithm or a kernel is unknown, none was named, or the kernel can't run here.
        Cancelled: `cancel` was set.

    SHA-256 as FIPS 180-4; BLAKE3 with 32 bytes of output; XXH3-128 with seed 0, canonical.
    From 1 MiB on SHA-256 runs on a thread of its own beside reading and the others. About 9 MiB of memory.
    """

def hash_files(
    paths: Sequence[str | os.PathLike[str]],
    algorithms: Sequence[_Algorithm] = ("sha256", "blake3"),
    *,
    workers: int | None = None,
    kernel: _Kernel = "auto",
    progress: Callable[[int], object] | None = None,
    cancel: CancelToken | None = None,
) -> Digests:
    """Digest many files, each in a single pass, in parallel and without the GIL.

    Args:
        paths: As the path of `hash_file`. A file that can't be digested is one of the problems; the others have theirs.
        algorithms: As of `hash_file`.
        workers: Threads that read; one per core (at most 8) when not given. Each reads as many files by turns as the
            kernel takes at once; a long file that is left alone gets a second thread.
        kernel: As of `hash_file`; `sha-ni-2` takes two files at once.
        progress: Called with the bytes of all files done so far, at most 20 times a second, in the calling thread.
        cancel: Looked at between chunks; work ends within 50 ms.

    Raises:
        InvalidArgument: An algorithm or a kernel is unknown, none was named, or the kernel can't run here.
        Cancelled: `cancel` was set.

    About 1 MiB of memory for each worker, 8 more while it reads a long file that is left alone, 150 bytes a file.
    Files of a rotating disk, as Linux tells of it (disks of virtual machines are not believed), are read one after the
    other.
    """

def copy_files(
    paths: Sequence[str | os.PathLike[str]],
    targets: Sequence[str | os.PathLike[str]],
    *,
    workers: int | None = None,
    progress: Callable[[int], object] | None = None,
    cancel: CancelToken | None = None,
) -> Digests:
    """Copy many files, each digested by SHA-256 and BLAKE3 in the pass that copies it, without the GIL.

    Args:
        paths: As the path of `hash_file`.
        targets: A new file for each; one that exists, a dangling link too, is a problem and stays as it is.
        workers: As of `hash_files`.
        progress: Called with the bytes of all files copied so far, at most 20 times a second, in the calling thread.
        cancel: Looked at between chunks; work ends within 50 ms, or when what was handed to the drive is written.

    Returns:
        Digests and fingerprints are those of `paths`. A copy without a problem is synced to disk (its folder is not),
        and has the permissions of its source, as far as the process's mask allows, and its mtime_ns. There is no copy
        of a file with a problem, whose error names the file or its target in `filename`.

    Raises:
        InvalidArgument: There are not as many targets as paths.
        Cancelled: `cancel` was set. Copies that were finished are there; the one that was being written is gone.

    Room is reserved first, so that a full drive is told at once; written pages go to the drive by 8 MiB.
    """

def rename_new(
    paths: Sequence[str | os.PathLike[str]],
    targets: Sequence[str | os.PathLike[str]],
    *,
    cancel: CancelToken | None = None,
) -> list[tuple[int, OSError]]:
    """Rename files or folders one after the other, none of them over something that exists (`RENAME_NOREPLACE`).

    Returns:
        Position and error of those that were left where they are: `EEXIST` when the target is taken, by a dangling
        link too, `EXDEV` when it lies on another file system, `EOPNOTSUPP` when the file system, or the system, has no
        such call, `ECANCELED` when `cancel` was set before it.

    Raises:
        InvalidArgument: There are not as many targets as paths.

    Nothing is synced.
    """

def reflink_files(
    paths: Sequence[str | os.PathLike[str]],
    targets: Sequence[str | os.PathLike[str]],
    *,
    cancel: CancelToken | None = None,
) -> list[tuple[int, OSError]]:
    """Make new files that share the content of others until either is written (`FICLONE` of Linux).

    Returns:
        As `rename_new`; `EOPNOTSUPP`, `EINVAL` or `ENOTTY` when the file system shares nothing. There is no new file
        where there is a problem; the others are synced to disk and have the times and permissions of their source.

    Raises:
        InvalidArgument: There are not as many targets as paths.
    """

def fingerprint_files(
    paths: Sequence[str | os.PathLike[str]],
    *,
    workers: int | None = None,
    cancel: CancelToken | None = None,
) -> tuple[bytes, list[tuple[int, OSError]]]:
    """One stat of each file, links followed, in parallel and without the GIL.

    Args:
        paths: Regular files.
        workers: Threads; one per core (at most 8) when not given.
        cancel: Looked at between files.

    Returns:
        For each path 32 bytes: inode u64 LE, size u64 LE, mtime_ns i64 LE, ctime_ns i64 LE (0 on Windows: inode and
        ctime_ns); and the problems as in `Digests`, whose files have zeros.

    Raises:
        Cancelled: `cancel` was set.
    """

def hash_kernels() -> list[_Kernel]:
    """What can compute SHA-256 on this processor, best first.

    `sha-ni-2` and `sha-ni-1` are the SHA instructions of x86, for two files at once and for one; `portable` runs
    everywhere, and uses the instructions of ARMv8.
    """

_Detail: TypeAlias = Literal["type", "keys", "names", "facts", "tensors"]
_Format: TypeAlias = Literal["gguf", "safetensors"]

@final
class NameWords:
    """Words that are looked for in the names of tensors, all at once; made once, it takes 2 ms for a hundred words."""

    def __new__(cls, groups: Sequence[Sequence[str]]) -> NameWords:
        """Take words in groups.

        Args:
            groups: ASCII letters match in either case, a line feed is the beginning or the end of a name.

        Raises:
            InvalidArgument: There are more words than can be looked for.
        """
    def find(self, names: Sequence[str]) -> bytes:
        """Look through names, without the GIL; a nanosecond for each byte, whatever the words.

        Args:
            names: Of tensors. What begins with two underscores is none and is left out.

        Returns:
            A JSON object. Words count through all groups, from 0.

            names       how many there are
            counts      by group: how many names have one of its words
            anywhere    words that are in any name, ascending
            first       words that are in one of the first 50 names
        """

@final
class Headers:
    """Headers of many files."""

    @property
    def facts(self) -> list[bytes | None]:
        """By path asked for what `read_header` gives; None where the file gives no header."""
    @property
    def problems(self) -> list[tuple[int, str, str]]:
        """Position of a file without a header, the kind of problem, and a sentence that does not name the file.

        The kinds are `unreadable`, `not-regular`, `unknown-format`, `cut`, `too-large` and `malformed`.
        """

def read_header(
    path: str | os.PathLike[str],
    *,
    detail: _Detail = "facts",
    file_format: _Format | None = None,
    whole_arrays: bool = False,
) -> bytes:
    """Read the header of a GGUF or safetensors file, without the GIL.

    Args:
        path: A regular file; a link is followed.
        detail: How much; each level holds what the one before does.
            `type`     `architecture`; of a GGUF file reading ends there, wherever damage lies behind it
            `keys`     `metadata`
            `names`    `names` of the tensors in the file's order; nothing else of them is looked at
            `facts`    all is checked; `parameter_count`, `dtypes`, `quantization`, `header_bytes`, `missing_bytes`
            `tensors`  instead of names `tensors`: name, dtype, shape, offset_bytes in the data, size_bytes if known
        file_format: What the file must be; its first bytes tell when not given.
        whole_arrays: Give metadata of a GGUF file as it is; two million elements and 32 MiB of answer at most.

    Returns:
        A JSON object: `format`, `size_bytes` of the file, `tensor_count`; of GGUF also `version`, `byte_order`
        (`little`, `big`), `key_count`; then what `detail` asks for. What is not known is left out.

        metadata         values by key. Arrays of more than 64 elements are `{"type": "uint32", "count": 128000}` and
                         texts of more than 64 KiB `{"type": "string", "bytes": 70000}`; GGUF has no objects of its
                         own. Whole arrays are lists, nested ones flattened. Numbers that JSON lacks are null. Of a
                         repeated key the last value counts, for the architecture the first. Values that are not UTF-8
                         are left out.
        architecture     `general.architecture` of GGUF as text: of an array its first element, of a number its bytes
        dtypes           by name `tensors` and `parameters`; types unknown to us are `GGML_77`, of safetensors as
                         written
        quantization     `general.file_type` by the names of llama.cpp, else the dtype with the most parameters
        header_bytes     where the data begins
        missing_bytes    how much longer the file must be to hold its data; 0 for a whole one
        shape            as in the file: the fastest dimension is the first of GGUF, the last of safetensors

    Raises:
        OSError: The file can't be opened or read (FileNotFoundError, PermissionError, …).
        NotRegularFile: It is a folder, FIFO, socket or device; it was not opened.
        HeaderError: One of its kinds: the file gives no header.
        InvalidArgument: `detail` or `file_format` is none of those above.

    Within 2 s and no more memory than header and 64 MiB, whatever the file holds: a GGUF header has 256 MiB at most, a
    safetensors one 100 MiB, either half a million tensors. Names, tensors and whole arrays come on top, 32 MiB of
    answer at most.

    GGUF versions 1 to 3 as `docs/gguf.md` of ggml says, alignment as llama.cpp checks it (a power of two), names of
    data and file types as in `ggml.h` and `llama.h`. Safetensors as its `README.md` says, with the checks of the
    reference's `tensor.rs`: no repeated names, no gaps, no bytes behind the last tensor.
    """

def read_header_prefix(
    name: str | os.PathLike[str],
    prefix: bytes,
    size_bytes: int,
    *,
    detail: _Detail = "facts",
    file_format: _Format | None = None,
) -> bytes:
    """Read the header of a file that lies elsewhere from its first bytes, without the GIL.

    Args:
        name: What errors call the file; nothing is opened.
        prefix: Its first bytes, not copied.
        size_bytes: Of the whole file; `missing_bytes` and all checks are against it, not against `prefix`.
        detail: As of `read_header`, like the rest.
        file_format: The same.

    Returns:
        As `read_header`.

    Raises:
        HeaderCut: The header goes on behind `prefix`, if `size_bytes` is more than that; else the file is cut.
        HeaderError: One of the other kinds, as `read_header`.
        InvalidArgument: The same.
    """

def read_headers(
    paths: Sequence[str | os.PathLike[str]],
    *,
    detail: _Detail = "facts",
    file_format: _Format | None = None,
    words: NameWords | None = None,
    workers: int | None = None,
    progress: Callable[[int], object] | None = None,
    cancel: CancelToken | None = None,
) -> Headers:
    """Read many headers in parallel, without the GIL.

    Args:
        paths: Regular files; one that gives no header is a problem of its own.
        detail: As of `read_header`.
        file_format: The same.
        words: With the detail `names`, instead of the names it is told what `NameWords.find` finds in them, as `words`.
        workers: Threads; one per core (at most 8) when not given.
        progress: Called with the files read so far, at most 20 times a second, in the calling thread.
        cancel: Looked at between files.

    Raises:
        Cancelled: `cancel` was set.
        InvalidArgument: `detail` or `file_format` is none of those of `read_header`.
    """

_FileState: TypeAlias = Literal["waiting", "transferring", "verifying", "done", "failed"]

@final
class TransferFile:
    """A file to be fetched."""

    def __new__(
        cls,
        url: str,
        target: str | os.PathLike[str],
        *,
        headers: Sequence[tuple[str, str]] = (),
        size: int | None = None,
        sha256: str | None = None,
        validator: str | None = None,
    ) -> TransferFile:
        """Say what is fetched, and whereto.

        Args:
            url: Of http or https, without credentials.
            target: A path where nothing is yet; `NAME.part` and `NAME.part.journal` are written beside it.
            headers: Sent to scheme, host and port of `url`, to no other place.
            size: Its length in bytes, if that is declared.
            sha256: Its digest as 64 hexadecimal digits, if that is declared.
            validator: What else names the content: a commit, say. A part is gone on with only if this and `sha256` are
                what they were.

        Raises:
            InvalidArgument: `sha256` is no such digest.
        """

@final
class TransferOptions:
    """How files are fetched. Nothing is read from the environment."""

    def __new__(
        cls,
        *,
        connections: int = 16,
        connections_per_host: int = 8,
        piece_bytes: int = 8388608,
        window_bytes: int = 268435456,
        min_rate_bytes_s: int = 1024,
        stall_window_s: float = 20.0,
        retries: int = 8,
        retry_wait_s: float = 0.5,
        max_wait_s: float = 60.0,
        connect_timeout_s: float = 15.0,
        private_from_public: bool = False,
        http_proxy: str | None = None,
        https_proxy: str | None = None,
        no_proxy: Sequence[str] = (),
        ca_file: str | os.PathLike[str] | None = None,
        user_agent: str = "pumas",
    ) -> TransferOptions:
        """Choose what differs from the defaults.

        Args:
            connections: Requests at once, over all files; 1 to 256.
            connections_per_host: The same for one host.
            piece_bytes: What one request asks for at most, in MiB of whole numbers; 1 MiB to 1 GiB.
            window_bytes: How far ahead of the digests bytes are asked for.
            min_rate_bytes_s: A connection that brings less,
            stall_window_s: over so long a time, is dropped and its range taken elsewhere.
            retries: Failures in a row, with nothing new between them, that a file is forgiven; failures of several
                connections at once count as one.
            retry_wait_s: Wait after the second of them, doubled after each further one; none after the first.
            max_wait_s: No wait is longer; a server that asks for more with Retry-After has failed.
            connect_timeout_s: For each address of a host.
            private_from_public: Whether a host with a public address may lead to a private one. The address that is
                connected to counts. Through a proxy it is not known, and not judged.
            http_proxy: `http://[USER:PASSWORD@]HOST[:PORT]`, for addresses of http,
            https_proxy: and of https, by `CONNECT`.
            no_proxy: Hosts that are asked directly: names, with all below them, addresses, or `*`.
            ca_file: Certificates in PEM form, believed besides the roots of Mozilla's programme.
            user_agent: Sent with each request.

        Raises:
            InvalidArgument: A number is out of its range.
        """

@final
class TransferControl:
    """Steers a transfer while it runs, from any thread."""

    def __new__(cls, cancel: CancelToken | None = None, *, limit_bytes_s: int | None = None) -> TransferControl: ...
    def pause(self) -> None:
        """Close all connections (within 100 ms); what they brought is kept, and `transfer` waits."""
    def resume(self) -> None: ...
    def cancel(self) -> None:
        """Set the token: `transfer` raises Cancelled. Parts and journals stay for the next time."""
    def limit_rate(self, bytes_s: int | None) -> None:
        """Limit all connections together, from now on; None lifts the limit."""
    def snapshot(self) -> TransferProgress:
        """How far all was at most 50 ms ago; without files before `transfer` was called."""

@final
class TransferProgress:
    """How far a transfer has come."""

    @property
    def files_done(self) -> int: ...
    @property
    def done_bytes(self) -> int:
        """Bytes that are there, of all files."""
    @property
    def total_bytes(self) -> int | None:
        """None while a size is not known."""
    @property
    def fetched_bytes(self) -> int:
        """Bytes of bodies that came in this call, those that were not used too."""
    @property
    def rate_bytes_s(self) -> int:
        """Over the last three seconds."""
    @property
    def connections(self) -> int:
        """Requests on their way."""
    @property
    def is_paused(self) -> bool: ...
    @property
    def files(self) -> list[FileProgress]:
        """In the order of the files."""

@final
class FileProgress:
    """How far one file has come."""

    @property
    def state(self) -> _FileState:
        """`verifying`: all bytes are there, not all are digested."""
    @property
    def done_bytes(self) -> int: ...
    @property
    def size_bytes(self) -> int | None: ...
    @property
    def reason(self) -> str | None:
        """What went wrong last, until something goes well."""

@final
class TransferResult:
    """What came of one file. With an `error` nothing else means anything."""

    @property
    def sha256(self) -> str:
        """Lower-case hex digest, computed."""
    @property
    def blake3(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def etag(self) -> str | None:
        """The strong ETag that the last host gave, quotes included."""
    @property
    def host(self) -> str | None:
        """Who sent the bytes, after redirects; None when they were there already."""
    @property
    def fetched_bytes(self) -> int:
        """Bytes of bodies that came in this call, those that were not used too."""
    @property
    def block_sums(self) -> bytes:
        """32 bytes for each block of 1 MiB: its chaining value in the file's BLAKE3 tree.

        They belong to `blake3`: merged by the rules of the tree they give it. What a block has in a file of that
        length it has anywhere, so a file of one block has the value of the first block of a longer one.
        """
    @property
    def error(self) -> Exception | None:
        """TransferError or OSError; None: the file is whole, right, on disk and under its name."""

def transfer(
    files: Sequence[TransferFile],
    *,
    options: TransferOptions | None = None,
    control: TransferControl | None = None,
    progress: Callable[[TransferProgress], object] | None = None,
) -> list[TransferResult]:
    """Fetch files over many connections at once, without the GIL, going on where an earlier call ended.

    Args:
        files: In the order in which they are begun.
        options: The defaults when not given.
        control: Steers it; one control for one call.
        progress: Called with how far all is, at most 20 times a second and only after a change, in the calling thread.

    Returns:
        One result for each file, in their order. A file without an error is on disk under its name, which replaced
        nothing; its SHA-256 is the declared one, if one was declared. A file with one hinders no other; what is there
        of it stays as `NAME.part` (with `WrongDigest`: as evidence, the next call begins anew).

    Raises:
        InvalidArgument: A proxy, the file of certificates or the user agent is of no use.
        Cancelled: The control's token was set. Files that were finished are there.

    HTTP/1.1 as RFC 9110 and 9112 say, always unpacked. Each answer must be of the range, length and strong ETag that
    are expected. The journal notes each MiB that is there with its sum, so a killed process fetches the blocks on their
    way again and nothing else; part and journal are synced each second, in this order. What a journal says is believed
    when the bytes, read once, have that sum. SHA-256 is computed along what is there without a gap. About 24 MiB of
    memory with 16 connections, whatever the files' size, 33 bytes for each MiB of them aside.
    """

def panic_for_test() -> None:
    """Panic inside the boundary (raises NativeError); only the tests call it."""
