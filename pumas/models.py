"""Records that cross a boundary: what `PumasApi` returns.

Names are ours (`docs`: style of the project); `pumas.rpc` translates them into those of the desktop app.
Numbers carry their unit in the name; a value that is not known is None.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

DocumentRow = tuple[str, str, str, str, str, str, str, str]
"""A row of the index as its document gives it: id, path, cleaned_name, official_name, model_type, tags_json,
hashes_json, metadata_json."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all records: immutable, made by keyword, serialised by msgspec."""


class Model(Record, frozen=True, kw_only=True):
    """One model of the library, as its document says."""

    model_id: str
    """Path of the model's folder below the library, `/` between parts."""
    official_name: str
    cleaned_name: str
    model_type: str
    """`llm`, `diffusion`, `audio`, … as written; may be empty."""
    subtype: str
    family: str
    description: str
    tags: tuple[str, ...]
    size_bytes: int | None
    added_at: str | None
    """Time the document was made, ISO 8601, as written."""
    primary_file: str | None
    """Largest model file, below the model's folder."""
    is_related_available: bool
    """Related models can be asked for: family and base repo are known."""


class SearchHit(Record, frozen=True, kw_only=True):
    """One result of a search: the model, and its row of the index as stored."""

    model: Model
    tags_json: str
    hashes_json: str
    metadata_json: str
    updated_at: str


class SearchPage(Record, frozen=True, kw_only=True):
    """One page of hits in order of rank."""

    hits: tuple[SearchHit, ...]
    total_count: int
    """All hits, not only those of the page."""
    query_time_ms: float
    query: str
    """The match expression that was used."""


class ReadyPage(Record, frozen=True, kw_only=True):
    """One page of hits as the JSON that the desktop app reads."""

    hits: bytes
    """A JSON list of the search items."""
    total_count: int
    query_time_ms: float
    query: str


class LibraryStatus(Record, frozen=True, kw_only=True):
    """How many models the index knows, and whether it is being brought in line with the disk."""

    model_count: int
    pending_lookups: int
    """Models waiting to be looked up on the hub."""
    is_indexing: bool


class DocumentProblem(Record, frozen=True, kw_only=True):
    """A model document, or a folder, that could not be used; the models beside it are not affected."""

    path: str
    """Below the library."""
    reason: str


class RefreshReport(Record, frozen=True, kw_only=True):
    """What bringing the index in line with the disk did."""

    model_count: int
    added: int
    changed: int
    moved: int
    """Models whose folder was renamed; they keep their place in the index."""
    removed: int
    problems: tuple[DocumentProblem, ...]
    elapsed_s: float


Algorithm = Literal["sha256", "blake3", "xxh3_128"]


class FileDigests(Record, frozen=True, kw_only=True, gc=False):
    """The digests of one file, lower-case hex, or why there are none; None for what was not asked for."""

    path: str
    """As it was given."""
    sha256: str | None = None
    blake3: str | None = None
    xxh3_128: str | None = None
    error: str | None = None
    """What was wrong, without the path."""


VerifyKind = Literal["rotten", "edited", "differs", "not_as_declared", "missing", "unreadable", "document", "extra"]


class VerifyFinding(Record, frozen=True, kw_only=True):
    """One file that is not what its model's document says."""

    kind: VerifyKind
    """What is wrong:

    rotten           the content changed, but nobody wrote the file
    edited           the content changed, and the file was written
    differs          the content is not as recorded; which of the two it was, can't be told any more
    not_as_declared  the content is not what the hub declared
    missing          the document names the file, but it is not there
    unreadable       the file, or a folder, can't be read
    document         the document can't be used
    extra            the document does not name the file; a note, no problem
    """
    model_id: str
    path: str
    """Below the library, `/` between parts."""
    what: str
    """What is wrong, without the path."""
    expected: str | None = None
    """The digest that is recorded or was declared, lower-case hex."""
    found: str | None = None
    """The digest of the content, by the same algorithm."""


class VerifyReport(Record, frozen=True, kw_only=True):
    """What a verification found; nothing that was recorded before is changed by one."""

    model_count: int
    unchanged_files: int
    """Files that were not read: they are as when their content was last verified."""
    read_files: int
    read_bytes: int
    left_files: int
    """Files that should have been read too, had the budget sufficed; the next run begins with them."""
    left_bytes: int
    unrecorded_files: int
    """Files that no digest is recorded of: it can't be told whether they are what they were."""
    recorded_files: int
    """Files whose digests were written into their model's document, where none stood."""
    findings: tuple[VerifyFinding, ...]
    elapsed_s: float

    @property
    def is_sound(self) -> bool:
        """Whether no problem was found."""
        return all(finding.kind == "extra" for finding in self.findings)


class DiskSpace(Record, frozen=True, kw_only=True):
    """The file system that holds the launcher root, in bytes."""

    total_bytes: int
    used_bytes: int
    free_bytes: int

    @property
    def used_percent(self) -> float:
        """Share of the total in use, one decimal."""
        return round(100 * self.used_bytes / self.total_bytes, 1) if self.total_bytes else 0.0


class Gpu(Record, frozen=True, kw_only=True):
    """Load of one GPU as its driver reports it."""

    usage_percent: float
    used_bytes: int
    total_bytes: int
    temperature_c: float | None = None


class Resources(Record, frozen=True, kw_only=True):
    """Load of the machine, one sample."""

    cpu_percent: float
    ram_used_percent: float
    ram_total_bytes: int
    gpus: tuple[Gpu, ...]
    disk: DiskSpace


class AppLoad(Record, frozen=True, kw_only=True):
    """What the running servers of an app use together."""

    cpu_percent: float
    ram_gib: float
    gpu_gib: float


class Release(Record, frozen=True, kw_only=True):
    """What is known about newer versions of an app, without asking the network."""

    has_update: bool
    latest_version: str | None
    current_version: str | None


class Status(Record, frozen=True, kw_only=True):
    """The line at the top of the desktop app."""

    version: str
    """Active ComfyUI version, or `none`."""
    active_version: str | None
    missing_tools: tuple[str, ...]
    is_patched: bool
    has_menu_shortcut: bool
    has_desktop_shortcut: bool
    app_loads: dict[str, AppLoad]
    """By app id, only of those that run."""
    message: str
    release: Release
    last_launch_log: str | None
    last_launch_error: str | None


class FileProgress(Record, frozen=True, kw_only=True):
    """How far a job is with one file."""

    name: str
    done: int
    """Bytes."""
    total: int


class JobSnapshot(Record, frozen=True, kw_only=True):
    """State of a long operation at one moment."""

    job_id: str
    kind: str
    status: str
    """`queued`, `running`, `completed`, `failed`, `cancelled`."""
    done: int
    total: int | None
    stage: str
    created_at: str
    ended_at: str | None
    error: str | None
    files: tuple[FileProgress, ...] = ()
    """Those that are at work at this moment, if it tells of files."""


class RootInfo(Record, frozen=True, kw_only=True):
    """Which root is open, and how."""

    root: Path
    is_writable: bool


class Finding(Record, frozen=True, kw_only=True):
    """One thing about a launcher root that a user should know."""

    kind: str
    """For programs: `document_damaged`, `index_behind`, …"""
    severity: Literal["problem", "note"]
    """A note is no fault: it needs no answer, or Pumas sees to it by itself."""
    path: Path
    what: str
    """What is wrong, without the path."""
    remedy: str
    is_repairable: bool = False
    """Whether a repair can do what the remedy says, without a risk for what the user has."""


class Repair(Record, frozen=True, kw_only=True):
    """What was done about one finding."""

    kind: str
    """That of the finding."""
    path: Path
    is_done: bool
    told: str
    """What was done, or why it could not be."""
    moved_to: Path | None = None
    """Where in the quarantine the file lies that was in the way."""


class DtypeTotal(Record, frozen=True, kw_only=True):
    """The tensors of one data type."""

    tensors: int
    parameters: int


class TensorFacts(Record, frozen=True, kw_only=True):
    """One tensor, as its header describes it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    """As in the file: the fastest dimension is the first of GGUF, the last of safetensors."""
    offset_bytes: int
    """From the beginning of the data."""
    size_bytes: int | None = None


class Header(Record, frozen=True, kw_only=True):
    """What a GGUF or safetensors file says of itself (`pumas_native.read_header`)."""

    format: Literal["gguf", "safetensors"]
    size_bytes: int
    """Of the file."""
    version: int | None = None
    byte_order: Literal["little", "big"] | None = None
    architecture: str | None = None
    key_count: int | None = None
    tensor_count: int = 0
    metadata: dict[str, object] = {}
    """Long arrays and texts of GGUF are `{"type": ..., "count": ...}` and `{"type": "string", "bytes": ...}`."""
    header_bytes: int | None = None
    missing_bytes: int = 0
    """How much longer the file must be to hold its data."""
    quantization: str | None = None
    parameter_count: int | None = None
    dtypes: dict[str, DtypeTotal] = {}
    names: tuple[str, ...] = ()
    tensors: tuple[TensorFacts, ...] = ()


Risk = Literal["none", "suspicious", "dangerous", "unknown"]
"""What loading a pickle could do: nothing but rebuild data; call functions nobody knows; harm. Unknown: not scanned."""


class CheckpointMember(Record, frozen=True, kw_only=True):
    """One file in a zip archive."""

    name: str
    size_bytes: int


class Checkpoint(Record, frozen=True, kw_only=True):
    """A pickle, alone or in a zip archive of PyTorch; it was looked at, never loaded."""

    risk: Risk
    imports: tuple[str, ...]
    """What its pickles would import beyond what rebuilds data, `module.name`, sorted; 100 at most."""
    reason: str | None = None
    """Why not all was scanned."""
    members: tuple[CheckpointMember, ...] = ()


class ShardIndex(Record, frozen=True, kw_only=True):
    """A `*.index.json`: in which files of its folder the tensors of a model lie."""

    tensor_count: int
    total_size_bytes: int | None
    """As it is written."""
    files: tuple[str, ...]
    missing: tuple[str, ...]
    """Those that do not lie beside it."""


class Pipeline(Record, frozen=True, kw_only=True):
    """A `model_index.json` of Diffusers: the parts of a pipeline, each in a folder of its name."""

    class_name: str
    diffusers_version: str | None
    components: dict[str, tuple[str | None, str | None]]
    """Library and class by part; None for parts that are left out."""
    missing: tuple[str, ...]
    """Parts without their folder."""


class ShardSet(Record, frozen=True, kw_only=True):
    """Files that make one model, as their names say, or one file that stands alone."""

    name: str
    """That of the whole; unique among those of one answer."""
    files: tuple[str, ...]
    """As they were given, in order of their names."""
    is_complete: bool
    missing: tuple[int, ...]
    """Numbers of shards that are not there, from 1; a hundred thousand in one answer at most."""
    missing_count: int
    expected_count: int
    found_count: int
    error: str = ""
    """Why it can't be complete; empty if it can."""


class ImportCandidate(Record, frozen=True, kw_only=True):
    """What an import would make of a path."""

    paths: tuple[str, ...]
    """As they were given: one, or those of the files that make one set."""
    refusal: str | None = None
    """Why it can't be imported; then the rest says nothing."""
    model_id: str | None = None
    """Where it would go, as the library is now."""
    official_name: str = ""
    model_type: str = ""
    subtype: str = ""
    family: str = ""
    files: tuple[str, ...] = ()
    """Their names in the folder of the model."""
    size_bytes: int = 0
    shards: tuple[ShardSet, ...] = ()
    """Sets among its files that say how many files they have."""
    duplicate_of: tuple[str, ...] = ()
    """Files of the library with the same content, `<model id>/<file>`."""
    evidence: tuple[str, ...] = ()
    confidence: float = 0.0
    needs_review: bool = False
    """As of `ModelKind`, all three."""
    notes: tuple[str, ...] = ()
    """What should be known before."""


class Identity(Record, frozen=True, kw_only=True):
    """What a file is, by its content."""

    path: str
    """As it was given; bytes that are no UTF-8 are `\\xNN`."""
    format: str
    """`gguf`, `safetensors`, `ggml`, `pickle`, `zip`, `onnx`, `shard_index`, `pipeline`, `unknown`."""
    header: Header | None = None
    checkpoint: Checkpoint | None = None
    shard_index: ShardIndex | None = None
    pipeline: Pipeline | None = None
    problem: str | None = None
    """What is wrong with the file, without the path."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing speaks against using the file."""
        return self.problem is None and (self.checkpoint is None or self.checkpoint.risk != "dangerous")


class FileType(Record, frozen=True, kw_only=True):
    """What the first bytes of a file say, as the desktop app asks it."""

    is_valid: bool
    detected_type: str
    """`safetensors`, `gguf`, `ggml`, `pickle`, `onnx`, `unknown`, `error`."""
    error: str


class ModelKind(Record, frozen=True, kw_only=True):
    """What kind of model a file or a folder holds; None where nothing says."""

    model_type: str | None = None
    """`llm`, `diffusion`, `audio`."""
    subtype: str = ""
    """Empty for language models; else `checkpoints`, `loras`, `vae`, `controlnet`, `embeddings`, `upscale`, `clip`,
    `clip_vision`; `loras` also of an adapter of a language model."""
    family: str | None = None
    extra: dict[str, object] = {}
    evidence: tuple[str, ...] = ()
    """What it was told by, for people; the strongest first."""
    confidence: float = 0.0
    """From 0, nothing says that it is a model, to 1, its maker says what it is."""

    @property
    def needs_review(self) -> bool:
        """Whether only the name of a file says what it is: its user should look."""
        return self.confidence < SURE


SURE = 0.5
"""Confidence from which a kind needs no review."""


class Writable(Record, frozen=True, kw_only=True):
    """Whether a file can be moved or deleted."""

    path: str
    """As it was given."""
    is_writable: bool
    reason: str = ""
    """Why not, without the path."""


class SourceIssue(Record, frozen=True, kw_only=True):
    """What speaks against importing a path, or should be known before."""

    severity: Literal["error", "warning"]
    what: str


ImportMode = Literal["copy", "move", "hardlink", "reflink"]
"""How the files of a model get into the library: as copies; taken from their place; as another name of the same file;
as files that share their content until either is written."""


class ImportRequest(Record, frozen=True, kw_only=True):
    """One file or folder that is to become a model."""

    path: str
    others: tuple[str, ...] = ()
    """Further files of the same model: the other shards of a set."""
    family: str = "unknown"
    """What the content says counts instead of `unknown`, `imported` and nothing."""
    official_name: str | None = None
    """The stem of the file, or the name of the folder, when not given."""
    repo_id: str | None = None
    """Of the hub, `owner/name`."""
    model_type: str | None = None
    """What the content says when not given; else the content is not looked at."""
    subtype: str | None = None
    """Of a `model_type` that is given."""
    tags: tuple[str, ...] = ()


class ImportResult(Record, frozen=True, kw_only=True):
    """What became of one file or folder."""

    path: str
    """As it was given."""
    model_id: str | None = None
    """None when it was not imported."""
    model_path: Path | None = None
    """The model's folder."""
    error: str | None = None
    """Why it was not imported; everything lies where it was."""
    error_kind: str | None = None
    """`kind` of the error."""
    file_count: int = 0
    size_bytes: int = 0
    notes: tuple[str, ...] = ()
    """What else there is to know: links that were followed, files that were left, sources that could not be removed."""
    duplicate_of: tuple[str, ...] = ()
    """Files of the library with the same content, `<model id>/<file>`."""
    digests_due: bool = False
    """Whether a job is still to make the digests."""


class ImportReport(Record, frozen=True, kw_only=True):
    """What one import did; `results` has the order of the requests, shards of one set have the same."""

    results: tuple[ImportResult, ...]
    elapsed_s: float

    @property
    def imported(self) -> int:
        """Models that were imported."""
        return len({result.model_id for result in self.results if result.error is None})

    @property
    def failed(self) -> int:
        """Requests that came to nothing."""
        return sum(result.error is not None for result in self.results)


class EmbeddedMetadata(Record, frozen=True, kw_only=True):
    """What a model file says of itself, as the desktop app asks it."""

    file_type: str
    metadata: dict[str, object] | None
    error: str | None = None
