"""Roots as the doctor sees them: what it finds, what it repairs, what a test does to them."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing

from pumas import PumasApi
from pumas.api.examine import examine_root
from pumas.config import Config
from pumas.store.paths import Layout
from pumas.store.removal import LOG


def found(root):
    """Findings as (kind, path below the root)."""
    return [(one.kind, one.path.relative_to(root).as_posix()) for one in examine_root(Layout(root), Config())]


def repaired(root):
    with PumasApi(root, config=Config()) as api:
        return api.repair()


def snapshot(folder):
    """Every name below a folder with its bytes and time."""
    seen = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        is_file = path.is_file() and not path.is_symlink()
        seen[str(path)] = (status.st_ino, status.st_mode, status.st_mtime_ns, path.read_bytes() if is_file else b"")
    return seen


def quarantined(root):
    quarantine = root / "launcher-data" / "quarantine"
    return sorted(path.name for path in quarantine.rglob("*") if path.is_file() and path.name != LOG)


def models_db(root):
    return root / "shared-resources" / "models" / "models.db"


def edit_index(root, *statements):
    with closing(sqlite3.connect(models_db(root))) as db:
        for sql in statements:
            db.execute(sql)
        db.commit()


def dead_process():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


MODELS = "shared-resources/models"
INDEX = f"{MODELS}/models.db"
