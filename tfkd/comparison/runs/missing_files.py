"""Int8 files that a plan asks for, of runs that are finished without."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tfkd.comparison.runs.job import Job

__all__ = ["MissingFiles"]


@dataclass(frozen=True)
class MissingFiles:
    """Finished runs without the int8 file that the plan asks for.

    A plan may ask for files after its runs were made, for they are no part of an identity.

    Attributes:
        to_make: Runs whose network is on this machine, which the file can be made of.
        gone: Runs whose network is not.
    """

    to_make: tuple[Job, ...] = ()
    gone: tuple[Job, ...] = ()

    @classmethod
    def of(
        cls,
        jobs: Iterable[Job],
        rows: Mapping[str, Mapping[str, Any]],
        keeps: Callable[[Job, Mapping[str, Any]], bool],
    ) -> "MissingFiles":
        """Finds them.

        Args:
            jobs: Runs of the plan, each once.
            rows: Finished runs by identity.
            keeps: Whether the network that a run's row is of is on this machine.
        """
        bare = [
            job
            for job in jobs
            if job.exports and job.identity in rows and rows[job.identity]["int8"] is None
        ]
        kept = {job.identity for job in bare if keeps(job, rows[job.identity])}
        return cls(
            tuple(job for job in bare if job.identity in kept),
            tuple(job for job in bare if job.identity not in kept),
        )

    @property
    def words(self) -> list[str]:
        """How many, where there are any."""
        said = []
        if self.to_make:
            said.append(f"int8 files still to be made: {len(self.to_make)}")
        if self.gone:
            said.append(
                f"int8 files missing, as their networks are not on this machine: {len(self.gone)}"
            )
        return said
