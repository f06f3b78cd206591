"""A comparison under way: what is done, what is missing, and the making of it."""

import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfkd.comparison.plan.checks import check_known
from tfkd.comparison.plan.plan import Plan
from tfkd.comparison.runs.job import Job, jobs_of
from tfkd.comparison.runs.missing_files import MissingFiles
from tfkd.comparison.runs.row_file import RowFile
from tfkd.comparison.runs.run_lock import run_lock
from tfkd.comparison.runs.same_teacher import check_same_teacher
from tfkd.comparison.runs.time_left import duration_text, seconds_left
from tfkd.comparison.runs.trainer import Trainer
from tfkd.comparison.table import Table, table_of
from tfkd.errors import TfkdError, TrainingError, TrainingInterrupted
from tfkd.records.manifest import Manifest

if TYPE_CHECKING:
    from tfkd.comparison.runs.row_maker import RowMaker
    from tfkd.comparison.runs.trainer import ProgressBar

__all__ = ["Study"]

ROWS_NAME = "rows.jsonl"

_LOOK_AGAIN_S = 15.0


class Study:
    """A plan, the folder of its runs, and the file of its rows.

    Several processes, on machines that share the folder, may run the same study at once; each run
    is made by one of them.

    Args:
        plan: The plan.
        folder: Folder of the runs.
        rows: File of finished runs; `rows.jsonl` in the folder by default. The table lies beside.
        only: Students whose runs are made now, such as those meant for this machine; all for none.
        say: Called with each line of progress.
        verbose: How `fit` tells of itself, as in `keras.Model.fit`.
        progress_bar: Shows how far long work is, such as `tfkd.cli.progress.progress_bar`.

    Raises:
        PlanError: If the plan names what does not exist.
        RecordError: If the records cannot be read.
    """

    def __init__(
        self,
        plan: Plan,
        folder: str | Path,
        rows: str | Path | None = None,
        *,
        only: Sequence[str] = (),
        say: Callable[[str], None] | None = None,
        verbose: int | str = 2,
        progress_bar: "ProgressBar | None" = None,
    ) -> None:
        self.plan = plan
        self.folder = Path(folder)
        self.rows = RowFile(rows if rows is not None else self.folder / ROWS_NAME)
        self.manifest = Manifest.load(plan.records)
        plan.check()
        self.jobs = jobs_of(plan, self.manifest)
        for name in only:
            check_known("only", name, plan.students, "student")
        self._only = tuple(only)
        self._say = say or _to_standard_output
        self._verbose = verbose
        self._progress_bar = progress_bar
        self._failed: dict[str, tuple[Job, str]] = {}

    def missing(self) -> list[Job]:
        """Runs of the plan that have no row yet and are to be made now, each once."""
        done = self.rows.read()
        return [job for job in self._wanted() if job.identity not in done]

    def _wanted(self) -> list[Job]:
        """Runs of the plan, without other students than those that are asked for."""
        return [
            job
            for job in _each_once(self.jobs)
            if job.kind == "teacher" or not self._only or job.network.name in self._only
        ]

    def table(self) -> Table:
        """The table of the rows that there are."""
        rows, manifest = self.rows.read(), self.manifest
        files = self._missing_files(_each_once(self.jobs), rows)
        return table_of(self.jobs, rows, manifest.label_names, manifest.protocol.score, files)

    def _missing_files(
        self, jobs: Sequence[Job], rows: Mapping[str, Mapping[str, Any]]
    ) -> MissingFiles:
        trainer = Trainer(self.plan, self.manifest, self.folder)
        return MissingFiles.of(jobs, rows, trainer.keeps)

    def write_table(self, folder: str | Path | None = None) -> list[Path]:
        """Writes `table.csv`, `table.md` and `table.html` beside the rows, or into a folder."""
        # Not before: matplotlib and Jinja2 take a moment to load, which `tfkd --help` has not.
        from tfkd.comparison.table.write import write_table

        return write_table(self.table(), Path(folder) if folder else self.rows.path.parent)

    def outlook(self) -> list[str]:
        """What is done and what would run, one line each."""
        done, wanted, missing = self.rows.read(), self._wanted(), self.missing()
        files = self._missing_files(wanted, done)
        states = {job.identity: "missing" for job in missing}
        states |= {job.identity: "no file" for job in files.to_make}
        lines = [f"{states.get(job.identity, 'done   ')}  {job.title}" for job in wanted]
        said = [f"{len(wanted) - len(missing)} of {len(wanted)} done"]
        if missing:
            said.append(duration_text(seconds_left(missing, self._finished())))
        elif not files.to_make:
            said.append("all done")
        return [*lines, "; ".join([*said, *files.words])]

    def run(self) -> Table:
        """Makes every missing run, writes the table after each, and waits for other processes'.

        Also the int8 files that the plan asks for and that finished runs lack, of their networks
        where these are on this machine.

        Returns:
            The table.

        Raises:
            TrainingInterrupted: Upon SIGTERM, with the state saved; call again to go on.
            TrainingError: In the end, if some runs failed; the others are done.
        """
        self._failed = {}
        # Where all is done, the volumes need not be there, and TensorFlow has nothing to do.
        missing = self.missing()
        bare = self._missing_files(self._wanted(), self.rows.read()).to_make
        if missing or bare:
            self.write_table()  # also where the volumes turn out not to be there
            self._make(missing, bare)
        self.write_table()
        if self._failed:
            raise TrainingError(f"{len(self._failed)} runs failed: {'; '.join(self._failures())}")
        return self.table()

    def _failures(self) -> list[str]:
        """Each failed run, why, and how many wait for it."""
        said, missing = [], self.missing()
        for job, why in self._failed.values():
            waiting = sum(job.identity in map(_identity, run.taught_by) for run in missing)
            wait = f" ({waiting} runs wait for it)" if waiting else ""
            said.append(f"{job.title}: {why}{wait}")
        return said

    def _make(self, missing: list[Job], bare: Sequence[Job]) -> None:
        """Makes files and runs until none is left that this or another process can make."""
        from tfkd.comparison.runs.row_maker import RowMaker

        maker = RowMaker(
            self.plan,
            self.manifest,
            self.folder,
            verbose=self._verbose,
            progress_bar=self._progress_bar,
        )
        if missing:
            maker.trainer.check(missing)
        for job in bare:
            self._add_file(job, maker)
        waiting = False
        while pending := self._pending(maker):
            if any([self._try(job, maker) for job in pending]):
                waiting = False
                continue
            if not any(self._is_possible(job) for job in pending):
                break
            if not waiting:
                runs = "1 run is" if len(pending) == 1 else f"{len(pending)} runs are"
                message = f"{runs} being made by other processes; waiting."
                warnings.warn(message, UserWarning, stacklevel=3)
            waiting = True
            time.sleep(_LOOK_AGAIN_S)

    def _pending(self, maker: "RowMaker") -> list[Job]:
        """Missing runs, after the teachers that they need and that are not on this machine."""
        missing = [job for job in self.missing() if job.identity not in self._failed]
        needed = [
            teacher
            for job in missing
            for teacher in job.taught_by
            if not maker.trainer.is_trained(teacher) and teacher.identity not in self._failed
        ]
        return sorted(_each_once([*missing, *needed]), key=lambda job: job.kind != "teacher")

    def _is_possible(self, job: Job) -> bool:
        """Whether it may still be made: not so if a teacher failed."""
        return all(one.identity not in self._failed for one in job.taught_by)

    def _try(self, job: Job, maker: "RowMaker") -> bool:
        """Makes a run if no other process has it, and its teachers are there."""
        trained = all(maker.trainer.is_trained(one) for one in job.taught_by)
        if not trained or not self._is_possible(job):
            return False
        with run_lock(self.folder / job.folder) as ours:
            if not ours:
                return False
            done = self.rows.read()
            known = job.identity in done
            if known and (job.kind != "teacher" or maker.trainer.is_trained(job)):
                return True  # made by another process meanwhile
            self._announce(job)
            with self._noting_failure(job):
                if known:
                    maker.trainer.train(job)
                else:
                    fingerprints = maker.trainer.fingerprints(job.taught_by)
                    check_same_teacher(job, fingerprints, done)
                    self.rows.append(maker.make_row(job))
        self.write_table()
        return True

    def _add_file(self, job: Job, maker: "RowMaker") -> None:
        """Makes the int8 file of a finished run if no other process does."""
        with run_lock(self.folder / job.folder) as ours:
            row = self.rows.read().get(job.identity)
            if not ours or row is None or row["int8"] is not None:
                return
            self._say(f"int8 file of {job.title}")
            with self._noting_failure(job):
                self.rows.append(maker.add_file(job, row))
        self.write_table()

    @contextmanager
    def _noting_failure(self, job: Job) -> Iterator[None]:
        """Lets the other runs be made where one fails."""
        try:
            yield
        except TrainingInterrupted:
            raise
        # A ValueError is that of a network whose activations are not finite.
        except (TfkdError, ValueError) as error:
            self._failed[job.identity] = (job, str(error))
            self._say(f"{job.title} failed: {error}")

    def _announce(self, job: Job) -> None:
        total, missing = len(self._wanted()), self.missing()
        left = duration_text(seconds_left(missing, self._finished()))
        known = job.identity not in {one.identity for one in missing}
        number = "again" if known else f"{total - len(missing) + 1} of {total}"
        self._say(f"{number}: {job.title}; {left}")

    def _finished(self) -> list[tuple[Job, dict[str, Any]]]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # said before
            rows = self.rows.read()
        return [(job, rows[job.identity]) for job in _each_once(self.jobs) if job.identity in rows]


def _each_once(jobs: Sequence[Job]) -> list[Job]:
    """Two students of the same settings are one run."""
    return list({job.identity: job for job in reversed(jobs)}.values())[::-1]


def _identity(job: Job) -> str:
    return job.identity


def _to_standard_output(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
