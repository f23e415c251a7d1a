"""Changing links on the disk so that it can be undone, by whoever comes next if need be.

Each target that changes has an *intent* in the register before anything is done. Its steps:

    1  aside     a file that lies at the target, and that the user wants out of the way, is renamed
    2  make      the link is made beside the target, under `.pumas-link-<intent>.tmp`
    3  place     it is renamed to the target: never over anything where a new link is made, over the link that was
                 looked at where one is replaced. A link that is to go is unlinked
    4  sync      the folders
    5  settle    the register, in one transaction: this is when it has happened

Before 5 everything is undone: by the process itself, or, after it was killed, by the next one that changes links. What
was moved aside for good (not renamed for the user) goes to the quarantine after 5; an intent that is settled and still
there says so. Undoing replaces nothing but links that are exactly what an intent says.

Between the look at a link and the rename over it another program could put a file there, which would be lost: no system
call compares and replaces. It is a matter of microseconds; everywhere else nothing can be replaced.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pumas_native

from pumas.errors import Conflict, PumasError, Unavailable, shown, system_errors
from pumas.linked import PlannedLink
from pumas.links.places import Places, is_in_reach, is_inside, is_of_library, led_to
from pumas.links.registry import Changes, Intent, LinkRegistry, left_intent
from pumas.links.targets import is_file_of, link_text
from pumas.store.documents import make_folders, sync_folder
from pumas.store.paths import Layout
from pumas.store.removal import Removal
from pumas.store.renames import rename_new

logger = logging.getLogger(__name__)

RENAMED = ".old"
"""Ending of a file that the user has had renamed."""
REPLACED = ".pumas-replaced"
"""Ending of a file on its way to the quarantine."""


def carry_out(
    changes: Changes, places: Places, intents: Sequence[Intent], links: Iterable[PlannedLink], app: tuple[str, str]
) -> None:
    """Do all of it, or nothing.

    Args:
        changes: The open register.
        places: Library and models folder of the version.
        intents: What is to change; no target stands twice.
        links: What is registered in the end; links that were right already too.
        app: App and version that they are registered for.

    Raises:
        Conflict: Something else lies at a target now.
        Unavailable, NoSpace: It can't be done; everything is as it was.
    """
    if intents:
        changes.begin(intents)
    made: list[Path] = []
    try:
        with system_errors("Making links"):
            _make_folders(places, intents, made)
            for intent in intents:
                _move_aside(intent)
            _make(intents)
            _place(intents)
            _sync(intents)
        changes.settle(intents, links, app)
    except BaseException:
        _undo_all(changes, intents)
        for folder in reversed(made):
            with suppress(OSError):
                folder.rmdir()
        raise


@contextmanager
def taken_away(changes: Changes, layout: Layout, intents: Sequence[Intent], link_ids: Sequence[int]) -> Iterator[None]:
    """Have links be away while something is done, and these rows go with it; they come back if that fails.

    Raises:
        Conflict: Something else lies at a target now.
        Unavailable, NoSpace: A link can't be removed; all lie where they were.
    """
    changes.begin(intents)
    try:
        with system_errors("Removing links"):
            for intent in intents:
                _move_aside(intent)
            _place(intents)
            _sync(intents)
        yield
    except BaseException:
        _undo_all(changes, intents)
        raise
    try:
        changes.settle(intents, (), ("", ""))
        changes.forget(link_ids)
        put_away(changes, layout, [one for one in intents if one.aside_path is not None])
    except sqlite3.Error as exc:  # what was to be done is done; the next one who changes links is told
        logger.warning("links that were removed are still registered: %s", exc)


def settle_left(changes: Changes, layout: Layout) -> int:
    """Undo what a killed process began, and finish what it had settled; hold the register open.

    Returns:
        How many targets could not be settled: their intents stay.
    """
    left = [intent for intent in changes.left_intents() if _is_sound(layout, intent)]
    if not left:
        return len(changes.left_intents())
    logger.warning("links that a killed process was changing are put right: %d targets", len(left))
    _undo_all(changes, [intent for intent in left if not intent.is_settled])
    put_away(changes, layout, [intent for intent in left if intent.is_settled])
    return len(changes.left_intents())


def _is_sound(layout: Layout, intent: Intent) -> bool:
    """Whether an intent is one that we write: its target in a models folder, its link to a file of the library."""
    # SECURITY: a library may come from somebody else, with its register; no file is moved for what stands in that.
    is_sound = is_in_reach(layout, intent.target_path) and _is_beside(intent) and _is_to_library(layout, intent)
    if not is_sound:
        logger.warning("a change of %s was begun in another place; nothing is done about it", intent.target_path)
    return is_sound


def _is_beside(intent: Intent) -> bool:
    """Whether what was moved aside has a name that we give."""
    if intent.aside_path is None:
        return True
    ending = intent.aside_path.removeprefix(intent.target_path)
    endings = (REPLACED,) if intent.is_settled else (REPLACED, RENAMED)
    return ending != intent.aside_path and re.sub(r"\.[0-9]+$", "", ending) in endings


def _is_to_library(layout: Layout, intent: Intent) -> bool:
    """Whether what was to come to the target is made of a file of the library, so that nothing is lost with it."""
    if intent.link_text is None:
        return True
    if intent.link_type == "symlink":
        library = os.path.realpath(layout.library)
        return "\0" not in intent.link_text and is_inside(led_to(intent.target_path, intent.link_text), library)
    return is_of_library(layout, intent.source_path)


def has_left(registry: LinkRegistry) -> bool:
    """Whether a process that was killed, or that is at work now, has begun to change links.

    Raises:
        Damaged, Unavailable: The register can't be read.
    """
    return registry.read(lambda db: left_intent(db) is not None, missing=False)


def settle_links(layout: Layout) -> int:
    """`settle_left` at the start of a process.

    Raises:
        Damaged, Unavailable, NoSpace: The register can't be read or written.
    """
    with LinkRegistry(layout.library).changes() as changes:
        return settle_left(changes, layout)


def put_away(changes: Changes, layout: Layout, intents: Sequence[Intent]) -> None:
    """Move what links took the place of to the quarantine."""
    removal = Removal(layout)
    done = []
    for intent in intents:
        aside = Path(intent.aside_path or "")
        try:
            _refuse_away(intent)
            if os.path.lexists(aside):
                removal.move(aside, f"a link took its place at {intent.target_path}")
        except (OSError, PumasError) as exc:
            logger.warning("%s stays where it is: %s", aside, exc)
        else:
            done.append(intent)
    changes.drop(done)


def _make_folders(places: Places, intents: Sequence[Intent], made: list[Path]) -> None:
    folders = {os.path.dirname(one.target_path) for one in intents if one.link_text is not None}
    for folder in sorted(folders):
        missing = Path(folder)
        before = len(made)
        while not os.path.lexists(missing):
            made.insert(before, missing)
            missing = missing.parent
        make_folders(Path(folder))
        # SECURITY: looked at again, now that it is there: a link may have come on the way since the plan was made.
        if not places.holds(f"{folder}/."):
            raise Conflict(f"{shown(folder)} leads out of the app's models folder; nothing was done")


def _move_aside(intent: Intent) -> None:
    if intent.aside_path is None:
        return
    problem = rename_new([intent.target_path], [intent.aside_path]).get(0)
    if problem is not None:
        raise problem


def _make(intents: Sequence[Intent]) -> None:
    copies: list[Intent] = []
    for one in intents:
        if one.link_text is None:
            continue
        if one.link_type == "symlink":
            os.symlink(one.link_text, one.temporary)
        elif one.link_type == "hardlink":
            os.link(one.source_path, one.temporary, follow_symlinks=True)
        else:
            copies.append(one)
    _copy(copies)


def _copy(intents: Sequence[Intent]) -> None:
    sources, targets = [one.source_path for one in intents], [one.temporary for one in intents]
    unshared = [number for number, _ in pumas_native.reflink_files(sources, targets)] if intents else []
    if unshared:
        problems = pumas_native.copy_files([sources[n] for n in unshared], [targets[n] for n in unshared]).problems
        if problems:
            raise problems[0][1]


def _place(intents: Sequence[Intent]) -> None:
    new = [one for one in intents if one.link_text is not None and one.old_text is None]
    problems = rename_new([one.temporary for one in new], [one.target_path for one in new])
    for number, problem in sorted(problems.items()):
        if problem.errno == errno.EEXIST:
            raise Conflict(f"Something lies at {shown(new[number].target_path)} now; nothing was done, try again")
        raise problem
    for one in intents:
        if one.old_text is None:
            continue
        if link_text(one.target_path) != one.old_text:
            raise Conflict(f"{shown(one.target_path)} is another link now; nothing was done, try again")
        if one.link_text is None:
            os.unlink(one.target_path)
        else:
            os.replace(one.temporary, one.target_path)


def _sync(intents: Sequence[Intent]) -> None:
    for folder in sorted({os.path.dirname(one.target_path) for one in intents}):
        sync_folder(folder)


def _undo_all(changes: Changes, intents: Sequence[Intent]) -> None:
    undone = []
    for intent in reversed(intents):
        try:
            _undo(intent)
        except OSError as exc:
            logger.warning("the change of %s could not be undone: %s", intent.target_path, exc)
        else:
            undone.append(intent)
    with suppress(OSError):  # the folder itself may be gone
        _sync(undone)
    with suppress(sqlite3.Error):  # on a full drive: they are undone once more by the next one
        changes.drop(undone)


def _undo(intent: Intent) -> None:
    """Put one target back; every step may have been done or not, and this may be done again."""
    _refuse_away(intent)
    with suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(intent.temporary)
    if _is_ours(intent):
        if intent.old_text is None:
            os.unlink(intent.target_path)
        else:
            os.symlink(intent.old_text, intent.temporary)
            os.replace(intent.temporary, intent.target_path)
    elif intent.old_text is not None and intent.link_text is None and not os.path.lexists(intent.target_path):
        with suppress(FileNotFoundError, FileExistsError):
            os.symlink(intent.old_text, intent.target_path)
    if intent.aside_path is not None and os.path.lexists(intent.aside_path):
        problem = rename_new([intent.aside_path], [intent.target_path]).get(0)
        if problem is not None:
            raise problem


def _refuse_away(intent: Intent) -> None:
    """Raise OSError where it can't be told what lies at a target: on a drive that is away, that isn't nothing."""
    folder = os.path.dirname(intent.target_path)
    try:
        os.stat(f"{folder}/.")
    except (FileNotFoundError, NotADirectoryError):
        while folder != os.path.dirname(folder):
            if os.path.islink(folder) and not os.path.exists(folder):
                raise
            folder = os.path.dirname(folder)


def _is_ours(intent: Intent) -> bool:
    """Whether what lies at the target is what the intent says should come there."""
    if intent.link_text is None:
        return False
    if intent.link_type == "symlink":
        return link_text(intent.target_path) == intent.link_text
    try:
        there = os.lstat(intent.target_path)
    except OSError:
        return False
    return is_file_of(intent.link_type, there, intent.source_path)


def removal_of(target: str, text: str | None) -> Intent:
    """A link that goes. A file goes to the quarantine: that it is only a copy is not certain."""
    aside = None if text else free_name(target, REPLACED)
    return Intent(target, source_path="", link_type="symlink", link_text=None, old_text=text or None, aside_path=aside)


def free_name(path: str, ending: str) -> str:
    """The first of `<path><ending>`, `<path><ending>.1`, … that nothing lies at.

    Raises:
        Unavailable: There is none.
    """
    for number in range(10_000):
        name = f"{path}{ending}" + (f".{number}" if number else "")
        if not os.path.lexists(name):
            return name
    raise Unavailable(f"There is no free name beside {shown(path)}; move some of the old files away")
