"""Operations on jobs."""

from __future__ import annotations

from pumas.api.root import LauncherRoot
from pumas.models import JobSnapshot


class JobOperations:
    """Long work that was begun through this object."""

    _root: LauncherRoot

    def list_jobs(self) -> list[JobSnapshot]:
        """All jobs that are remembered (the last 200 that ended, and all others), oldest first."""
        return [job.snapshot() for job in self._root.jobs.jobs()]

    def get_job(self, job_id: str) -> JobSnapshot:
        """State of one job.

        Raises:
            JobNotFound: There is none of that id.
        """
        return self._root.jobs.job(job_id).snapshot()

    def cancel_job(self, job_id: str) -> bool:
        """Ask a job to end at its next safe point; False when it has already ended.

        Raises:
            JobNotFound: There is none of that id.
        """
        return self._root.jobs.job(job_id).cancel()

    def end_jobs(self, timeout_s: float) -> bool:
        """Cancel all jobs and wait for their safe points; from then on no work is taken.

        Returns:
            Whether all had ended within `timeout_s`.
        """
        return self._root.end_jobs(timeout_s)
