"""What the hub sends → records (`library.md` §8.1). Nothing is believed: each value is looked at by itself.

    a repo     {"id" or "modelId": "owner/name", "sha", "author", "lastModified", "downloads", "pipeline_tag", "tags",
                "gated": false, "auto" or "manual", "private", "cardData": {…}, "siblings": [{"rfilename"}]}
    a file     {"type": "file", "path", "size", "oid", "lfs": {"oid", "size"}, "xetHash"}; folders are left out

A field of a wrong form counts as not sent; an entry without a usable name is left out, and the others stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from math import isfinite
from typing import Literal, cast

from pumas.net.quantizations import quantizations, sizes
from pumas.repos import DownloadOption, HubModel, Repo, RepoFile

PAGES = "https://huggingface.co"
"""Where people read of a repo, whichever mirror answers."""
UNKNOWN_KIND = "unknown"
_FORMATS = ("safetensors", "gguf", "ckpt", "pt", "pth", "bin", "onnx", "tflite", "mlmodel", "pb")
_KINDS = (
    ("text-to-image", ("text-to-image", "text2img", "text-to-img")),
    ("image-to-image", ("image-to-image", "img2img", "image-to-img")),
    ("text-to-video", ("text-to-video", "text2video")),
    ("text-to-audio", ("text-to-audio", "text-to-speech", "tts")),
    ("audio-to-text", ("audio-to-text", "speech-recognition", "automatic-speech-recognition", "asr")),
    ("text-to-3d", ("text-to-3d", "text2shape")),
    ("image-to-3d", ("image-to-3d", "img2shape", "image-to-shape")),
)
_WORDS = ("video", "audio", "image", "text", "3d")
_REPO_ID = re.compile(r"(?!.*(?:--|\.\.))(?:[A-Za-z0-9_][\w.-]{0,95}/)?[A-Za-z0-9_][\w.-]{0,95}", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST_TEXT = 4096  # characters of a name; the hub's own bound for paths
_MOST = 2**63 - 1
_MOST_TAGS, _MOST_TAG = 1000, 500  # as many and as long as a user may give a model


def repo_of(entry: object) -> Repo | None:
    """One repo of a listing, or asked for by itself; None when it has no usable id."""
    if not isinstance(entry, Mapping):
        return None
    repo_id = _text(entry.get("id")) or _text(entry.get("modelId"))
    if not is_repo_id(repo_id):
        return None
    gated, card, siblings = entry.get("gated"), entry.get("cardData"), entry.get("siblings")
    files = files_of(siblings) if isinstance(siblings, list) else []
    return Repo(
        repo_id=repo_id,
        author=_text(entry.get("author")) or repo_id.rpartition("/")[0],
        commit=commit_of(entry.get("sha")),
        changed_at=_time(entry.get("lastModified")),
        downloads=_count(entry.get("downloads")),
        pipeline_tag=_text(entry.get("pipeline_tag")) or None,
        tags=texts_of(entry.get("tags")),
        paths=tuple(file.path for file in files),
        gated=cast("Literal['auto', 'manual']", gated) if gated in ("auto", "manual") else "",
        is_private=entry.get("private") is True,
        card={str(key): value for key, value in card.items()} if isinstance(card, Mapping) else {},
    )


def is_repo_id(text: str) -> bool:
    """Whether it can be the id of a repo, so that it can stand in an address."""
    return _REPO_ID.fullmatch(text) is not None and not text.endswith(".git")


def commit_of(value: object) -> str | None:
    """A commit, or None."""
    return value if isinstance(value, str) and _COMMIT.fullmatch(value) else None


def files_of(entries: Iterable[object]) -> list[RepoFile]:
    """The files of a tree, or the siblings of a repo; folders and what has no name are left out."""
    return [file for entry in entries if (file := _file(entry)) is not None]


def is_folder(entry: object) -> bool:
    """Whether an entry of a tree is a folder."""
    return isinstance(entry, Mapping) and entry.get("type") == "directory"


def _file(entry: object) -> RepoFile | None:
    if not isinstance(entry, Mapping) or entry.get("type", "file") != "file":
        return None
    path = _text(entry.get("path")) or _text(entry.get("rfilename"))
    if not path or len(path) > _MOST_TEXT:
        return None
    lfs = entry.get("lfs")
    lfs = lfs if isinstance(lfs, Mapping) else {}
    size = entry.get("size") if entry.get("size") is not None else lfs.get("size")
    return RepoFile(
        path=path,
        size_bytes=_size(size),
        sha256=_hex(lfs.get("oid") or lfs.get("sha256"), _SHA256),
        git_oid=_hex(entry.get("oid") or entry.get("blobId"), _COMMIT),
        xet_hash=_hex(entry.get("xetHash"), _SHA256),
    )


def file_of_headers(path: str, status: int, headers: Mapping[str, str]) -> RepoFile:
    """A file as the head of its own answer declares it: `X-Linked-ETag`, `X-Linked-Size`, `X-Xet-Hash`.

    Args:
        path: Below the repo.
        status: Of the answer; the length of a redirect says nothing of the file.
        headers: By lower-case name.
    """
    etag = headers.get("x-linked-etag", headers.get("etag", "")).removeprefix("W/").strip('"')
    size = headers.get("x-linked-size", headers.get("content-length") if status == 200 else None)
    return RepoFile(
        path=path,
        size_bytes=_size(size),
        sha256=_hex(etag, _SHA256),
        git_oid=_hex(etag, _COMMIT),
        xet_hash=_hex(headers.get("x-xet-hash"), _SHA256),
    )


def _hex(value: object, form: re.Pattern[str]) -> str | None:
    return value if isinstance(value, str) and form.fullmatch(value) else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST else None


def _size(value: object) -> int | None:
    if value is None or isinstance(value, bool):
        return None
    size = whole_number(value)
    is_zero = isinstance(value, int) or (isinstance(value, str) and value.strip() == "0")
    return size if 0 < size <= _MOST or (size == 0 and is_zero) else None


def whole_number(value: object) -> int:
    """A number, or a text that is one, without its fraction; everything else is 0."""
    if isinstance(value, (bool, int)):
        return int(value)
    if isinstance(value, float):
        return int(value) if isfinite(value) else 0
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?[0-9]{1,30}\s*", value):
        return int(value)
    return 0


def sized(files: Iterable[RepoFile]) -> list[tuple[str, int]]:
    """Paths and sizes of the files that have any."""
    return [(file.path, file.size_bytes) for file in files if file.size_bytes]


def hub_model(repo: Repo, files: Sequence[RepoFile] | None) -> HubModel:
    """A hit as it is answered.

    Args:
        repo: As the search listed it.
        files: Its files with sizes; None when they could not be had: then there are names, but no sizes.
    """
    paths = repo.paths if files is None else tuple(file.path for file in files)
    pairs = sized(files or ())
    by_quantization = sizes(pairs)
    options = [DownloadOption(quantization=token, size_bytes=size) for token, size in by_quantization.items()]
    if not options:
        named = quantizations([*paths, *repo.tags])
        options = [DownloadOption(quantization=token, size_bytes=None) for token in named]
    return HubModel(
        repo_id=repo.repo_id,
        name=repo.name,
        developer=repo.author,
        kind=repo.pipeline_tag or kind_of(repo.tags),
        formats=formats_of(paths, repo.tags),
        options=tuple(options),
        url=f"{PAGES}/{repo.repo_id}",
        changed_at=repo.changed_at,
        downloads=repo.downloads,
        total_size_bytes=sum(size for _, size in pairs) or None,
    )


def formats_of(paths: Iterable[str], tags: Iterable[str]) -> tuple[str, ...]:
    """Formats whose suffix stands anywhere in a path, or whose name stands in a tag; sorted."""
    all_paths, all_tags = "\n".join(paths).lower(), "\n".join(tags).lower()
    return tuple(sorted(name for name in _FORMATS if f".{name}" in all_paths or name in all_tags))


def kind_of(tags: Iterable[str]) -> str:
    """What a repo is for, as its tags say: the first kind of the table that any of them names."""
    lowered = [tag.lower() for tag in tags]
    for kind, needles in _KINDS:
        if any(needle in tag for needle in needles for tag in lowered):
            return kind
    return next((word for tag in lowered for word in _WORDS if word in tag), UNKNOWN_KIND)


def texts_of(value: object) -> tuple[str, ...]:
    """The texts of a list; the first thousand, without those that are too long for a tag."""
    texts = map(_text, value[:_MOST_TAGS] if isinstance(value, list) else ())
    return tuple(text for text in texts if 0 < len(text) <= _MOST_TAG)


def _text(value: object) -> str:
    """A text that any output can encode; JSON may hold halves of characters."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _time(value: object) -> str:
    try:
        return datetime.fromisoformat(_text(value)).isoformat()
    except ValueError:
        return ""
