"""Operations on links: what the rules want in the versions of an app, what is registered, and whether it is sound."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pumas.api.models import ModelOperations
from pumas.apps.names import version_tag as valid_tag
from pumas.config import APPS
from pumas.errors import InvalidInput, NotFound, PumasError, shown, system_errors
from pumas.jobs import Job, Progress
from pumas.library.naming import normalize_filename
from pumas.library.overrides import read_overrides
from pumas.linked import CleanReport, Link, LinkHealth, LinkPlan, SandboxInfo, SyncReport
from pumas.system.sandbox import sandbox_info, sandbox_warning

if TYPE_CHECKING:
    from pumas.links.selection import MappedModel
    from pumas.links.wanted import AppVersion


# PERF: each version of an app asks for the same names (bench_links).
_link_name = lru_cache(maxsize=1 << 16)(normalize_filename)


_LONGEST_TAG = 255  # it is a folder's name


class _Facts(msgspec.Struct):
    """What rules ask of a document; in whatever form it has them."""

    model_type: object = None
    subtype: object = None
    family: object = None
    tags: object = None
    official_name: object = None


class LinkOperations(ModelOperations):
    """Preview, make, check and remove links of apps to models."""

    def preview_model_mapping(self, version_tag: str, *, app_id: str = "comfyui") -> Job[LinkPlan]:
        """What applying the rules to a version would do; nothing is written.

        Returns:
            The job. It fails with `Damaged` when the register of links is, and with `Unavailable`.

        Raises:
            InvalidInput: `version_tag` is none, or there is no such app.
            NotFound: The version is not installed.
        """
        from pumas.links.apply import preview_links  # noqa: PLC0415 - for whoever asks

        app = self._installed(app_id, version_tag)
        layout = self._root.layout
        return self._root.jobs.submit(
            "preview_model_mapping", lambda _: preview_links(layout, app, self._mapped_models())
        )

    def apply_model_mapping(self, version_tag: str, *, app_id: str = "comfyui") -> Job[SyncReport]:
        """Make the links of a version match rules and library; dead links of ours go, what is in the way stays.

        Returns:
            The job. It fails with `Conflict`, `Damaged`, `Unavailable` or `NoSpace`; everything is as it was then.

        Raises:
            InvalidInput, NotFound: As of `preview_model_mapping`.
        """
        from pumas.links.apply import apply_links  # noqa: PLC0415 - as above

        app = self._installed(app_id, version_tag)
        layout = self._root.layout
        return self._root.jobs.submit(
            "apply_model_mapping", lambda progress: apply_links(layout, app, self._mapped_models(), progress)
        )

    def sync_models_incremental(
        self, version_tag: str, model_ids: Sequence[str], *, app_id: str = "comfyui"
    ) -> Job[SyncReport]:
        """`apply_model_mapping` for some models; ids that the index doesn't know are left out.

        Returns:
            The job. It fails as that of `apply_model_mapping`.

        Raises:
            InvalidInput, NotFound: As of `preview_model_mapping`.
        """
        from pumas.links.apply import sync_links  # noqa: PLC0415 - as above

        app = self._installed(app_id, version_tag)
        layout, wanted = self._root.layout, list(dict.fromkeys(model_ids))
        return self._root.jobs.submit(
            "sync_models_incremental", lambda progress: sync_links(layout, app, self._mapped_models(wanted), progress)
        )

    def sync_with_resolutions(
        self, version_tag: str, resolutions: Mapping[str, str], *, app_id: str = "comfyui"
    ) -> Job[SyncReport]:
        """`apply_model_mapping`, and what the user chose about what is in the way.

        Args:
            version_tag: An installed version.
            resolutions: By id of a model `skip`, `overwrite` (a file goes to `launcher-data/quarantine`) or `rename`
                (it gets `.old`); `skip` where nothing is said.
            app_id: The app.

        Returns:
            The job. It fails as that of `apply_model_mapping`; a conflict that can't be resolved is an error of the
            report.

        Raises:
            InvalidInput: As of `preview_model_mapping`, or a choice is another word; nothing was done.
            NotFound: As of `preview_model_mapping`.
        """
        from pumas.links.apply import check_resolutions, resolve_links  # noqa: PLC0415 - as above

        app = self._installed(app_id, version_tag)
        check_resolutions(resolutions)
        layout, chosen = self._root.layout, dict(resolutions)
        return self._root.jobs.submit(
            "sync_with_resolutions",
            lambda progress: resolve_links(layout, app, self._mapped_models(), chosen, progress),
        )

    def refresh_model_mappings(self, app_id: str = "comfyui") -> Job[dict[str, SyncReport]]:
        """Look for changes in the library, then apply the rules to every installed version of an app.

        Returns:
            The job, with a report by tag. A version that can't be done now has its reason in its report.

        Raises:
            InvalidInput: There is no such app.
        """
        from pumas.links.apply import apply_links  # noqa: PLC0415 - as above

        tags = self.installed_tags(app_id)
        layout = self._root.layout

        def work(progress: Progress) -> dict[str, SyncReport]:
            self._follow(progress)
            reports = {}
            for done, tag in enumerate(tags):
                progress.report(done, len(tags), "versions")
                try:
                    reports[tag] = apply_links(layout, self._version(app_id, tag), self._mapped_models(), progress)
                except PumasError as exc:
                    progress.check()
                    reports[tag] = SyncReport(errors=(str(exc),))
            return reports

        return self._root.jobs.submit("refresh_model_mappings", work)

    def get_link_health(self, version_tag: str | None = None, *, app_id: str = "comfyui") -> Job[LinkHealth]:
        """Check all registered links, and with a tag look for links in that version that nobody registered.

        Returns:
            The job. It fails with `Damaged` or `Unavailable`.

        Raises:
            InvalidInput: `version_tag` is none, or there is no such app.
        """
        from pumas.links.health import check_links  # noqa: PLC0415 - as above

        models = None if version_tag is None else self._version(app_id, version_tag).models
        layout = self._root.layout
        return self._root.jobs.submit(
            "get_link_health", lambda progress: check_links(layout, models, cancel=progress.cancel_token)
        )

    def clean_broken_links(self) -> Job[CleanReport]:
        """Forget broken links, and remove those that still lie there and are ours.

        Returns:
            The job. It fails with `Damaged`, `Unavailable` or `NoSpace`.
        """
        from pumas.links.health import clean_links  # noqa: PLC0415 - as above

        return self._root.jobs.submit("clean_broken_links", lambda _: clean_links(self._root.layout))

    def remove_orphaned_links(self, version_tag: str, *, app_id: str = "comfyui") -> Job[CleanReport]:
        """Remove links in a version that lead into the library and that nobody registered; a user's own stay.

        Returns:
            The job. It fails with `Damaged`, `Unavailable` or `NoSpace`.

        Raises:
            InvalidInput: `version_tag` is none, or there is no such app.
        """
        from pumas.links.health import remove_orphans  # noqa: PLC0415 - as above

        models = self._version(app_id, version_tag).models
        return self._root.jobs.submit("remove_orphaned_links", lambda _: remove_orphans(self._root.layout, models))

    def delete_model_with_cascade(self, model_id: str) -> Job[CleanReport]:
        """Remove every link to a model; its files stay (`delete_model` moves them to the trash).

        Returns:
            The job. It fails with `Damaged`, `Unavailable` or `NoSpace`.
        """
        from pumas.links.health import remove_links_of  # noqa: PLC0415 - as above

        return self._root.jobs.submit(
            "delete_model_with_cascade", lambda _: remove_links_of(self._root.layout, model_id)
        )

    def get_links_for_model(self, model_id: str) -> list[Link]:
        """The registered links to a model, in the order in which they were made.

        Raises:
            Damaged: The register of links is damaged.
            Unavailable: It can't be read now.
        """
        from pumas.links.registry import LinkRegistry  # noqa: PLC0415 - as above

        return LinkRegistry(self._root.layout.library).rows([model_id])

    def get_file_link_count(self, file_path: str) -> int:
        """How many names (hard links) a file has.

        Raises:
            NotFound: There is no such file.
            Unavailable: It can't be looked at.
        """
        try:
            with system_errors("Looking at the file"):
                return os.stat(file_path).st_nlink  # noqa: PTH116 - a path from outside: pathlib raises for a NUL
        except (ValueError, PumasError) as exc:
            if isinstance(exc, ValueError) or isinstance(exc.__cause__, (FileNotFoundError, NotADirectoryError)):
                raise NotFound("File not found") from exc
            raise

    def is_on_other_drive(self, version_tag: str, *, app_id: str = "comfyui") -> tuple[Path, Path] | None:
        """Library and version, if they lie on different drives: links break with the drive then.

        Raises:
            InvalidInput: `version_tag` is none, or there is no such app.
            Unavailable: It can't be told.
        """
        from pumas.links.places import Places  # noqa: PLC0415 - as above

        app = self._version(app_id, version_tag)
        with system_errors("Looking at the drives"):
            is_external = Places(app.library, app.models).is_external
        return (app.library, app.models.parent) if is_external else None

    def get_sandbox_info(self) -> SandboxInfo:
        """Whether Pumas runs in a sandbox or container, and what that limits."""
        return sandbox_info(self._root.config.sandbox)

    def set_model_link_exclusion(self, model_id: str, app_id: str, *, excluded: bool) -> None:
        """Have an app get no links to a model, or get them again, when its mapping is applied the next time.

        Raises:
            InvalidInput: There is no such app.
            Damaged, Unavailable, NoSpace: The register of links can't be written.
        """
        from pumas.links.registry import LinkRegistry  # noqa: PLC0415 - as above

        _check_app(app_id)
        with LinkRegistry(self._root.layout.library).changes() as changes:
            (changes.exclude if excluded else changes.include)(app_id, model_id)

    def get_link_exclusions(self, app_id: str = "comfyui") -> list[str]:
        """Models that an app gets no links to, in order of ids.

        Raises:
            InvalidInput: There is no such app.
            Damaged, Unavailable: The register of links can't be read.
        """
        from pumas.links.registry import LinkRegistry  # noqa: PLC0415 - as above

        _check_app(app_id)
        return sorted(LinkRegistry(self._root.layout.library).excluded(app_id))

    def installed_tags(self, app_id: str) -> list[str]:
        """The versions of an app that have a folder, in order of names.

        Raises:
            InvalidInput: There is no such app.
        """
        _check_app(app_id)
        folder = self._root.layout.versions_folder(app_id)
        with system_errors("Listing the versions"):
            found = [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
        return sorted(name for name in found if valid_tag(name) == name)

    def _settle_links(self) -> None:
        """Have undone, or finished, what a killed process began to do with links."""
        from pumas.links.registry import LinkRegistry  # noqa: PLC0415 - as above

        registry = LinkRegistry(self._root.layout.library)
        if not self._root.is_writable or not registry.path.exists():
            return
        from pumas.links.steps import has_left, settle_links  # noqa: PLC0415 - only where links were made

        with suppress(PumasError):  # whoever changes links the next time is told
            if has_left(registry):
                self._root.jobs.submit("settle_links", lambda _: settle_links(self._root.layout))

    def _installed(self, app_id: str, tag: str) -> AppVersion:
        app = self._version(app_id, tag)
        with system_errors(f"Looking at version {shown(tag)}"):
            is_there = app.models.parent.is_dir()
        if not is_there:
            raise NotFound(f"Version {shown(tag)} not found")
        return app

    def _version(self, app_id: str, tag: str) -> AppVersion:
        from pumas.links.wanted import AppVersion  # noqa: PLC0415 - as above

        _check_app(app_id)
        name = valid_tag(tag)
        if name is None or len(name) > _LONGEST_TAG:
            raise InvalidInput("Invalid version tag", parameter="version_tag")
        layout = self._root.layout
        return AppVersion(
            app_id=app_id,
            version=name.lstrip("vV"),
            library=layout.library,
            models=layout.versions_folder(app_id) / name / "models",
            rules=layout.data / "config" / "model-library-translation",
            link_name=_link_name,
            overrides=lambda model_id: read_overrides(layout.library, model_id),
            sandbox_warning=sandbox_warning(self.get_sandbox_info()),
        )

    def _mapped_models(self, model_ids: Sequence[str] | None = None) -> list[MappedModel]:
        """What the rules ask of models, in order of their paths; of all without ids."""
        from pumas.links.selection import mapped_model  # noqa: PLC0415 - as above

        decoder = msgspec.json.Decoder(_Facts)
        with self._healed():
            if model_ids is None:
                rows = self._root.index.rows()
            else:
                found = ((model_id, self._root.index.row(model_id)) for model_id in model_ids)
                rows = [(model_id, row.metadata_json) for model_id, row in found if row is not None]
        models = []
        for model_id, document in rows:
            try:
                facts = decoder.decode(document)
            except (msgspec.DecodeError, RecursionError):
                continue  # told by those who list it
            models.append(mapped_model(model_id, msgspec.structs.asdict(facts)))
        return models


def _check_app(app_id: str) -> None:
    if app_id not in APPS:
        raise InvalidInput(f"There is no app {shown(app_id)}; there are {', '.join(APPS)}", parameter="app_id")
