"""Launcher roots for tests: the recorded one, and small ones made on the spot."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

FIXTURES = Path(__file__).parents[1] / "contract" / "data" / "fixtures" / "launcher-root-py"


def copy_fixture_root(target: Path) -> Path:
    """Copy the recorded launcher root as its README says: links kept, empty folders made, registry moved."""
    shutil.copytree(FIXTURES / "root", target, symlinks=True)
    manifest = json.loads((FIXTURES / "manifest.json").read_text())
    for folder in manifest["empty_folders"]:
        (target / folder).mkdir(parents=True, exist_ok=True)
    for name, text in manifest["links"].items():
        link = target / name.removeprefix("root/")
        link.unlink(missing_ok=True)  # where the fixture can hold no links, their texts lie there as files
        link.symlink_to(text)
    with closing(sqlite3.connect(target / "shared-resources" / "models" / "link_registry.db")) as db:
        for column in ("source_path", "target_path"):
            db.execute(f"UPDATE links SET {column} = replace({column}, '/LAUNCHER_ROOT', ?)", (str(target),))
        db.execute("UPDATE settings SET value = replace(value, '/LAUNCHER_ROOT', ?)", (str(target),))
        db.commit()
    return target


def write_model(library: Path, model_id: str, **fields: object) -> Path:
    """Make one model folder with a document and a tiny file."""
    folder = library / model_id
    folder.mkdir(parents=True, exist_ok=True)
    name = folder.name
    document = {
        "model_id": name,
        "family": folder.parent.name,
        "model_type": model_id.split("/", maxsplit=1)[0],
        "official_name": name,
        "cleaned_name": name,
        "tags": [],
        "hashes": {},
        "size_bytes": 4,
        "files": [{"name": f"{name}.gguf", "original_name": f"{name}.gguf", "size": 4}],
        **fields,
    }
    (folder / f"{name}.gguf").write_bytes(b"GGUF")
    (folder / "metadata.json").write_text(json.dumps(document, indent=2, ensure_ascii=False), encoding="utf-8")
    return folder
