"""Training from records: plain student, with the teacher, and with its cache."""

import tempfile
from pathlib import Path
from typing import Any, ClassVar

from benchmarks import steps


class Training:
    """20 steps of batch 8 at 128², reading and varying the slices included.

    The goal of the cache is a step that costs what the student alone costs.
    """

    params = ("UNet", "MobileNetV2")
    references = ("time_plain",)
    steps_per_run = 20
    quick_values: ClassVar = {"steps_per_run": 2}

    def setup(self, student: str) -> None:
        import tfkd

        self._folder = tempfile.TemporaryDirectory()
        root = Path(self._folder.name)
        cohort = tfkd.phantom.write_phantom_cohort(root / "phantoms", 8, shape_zyx=(24, 128, 128))
        split = tfkd.records.SplitPlan(validation=0, test=0)
        spec = tfkd.PreprocessSpec(size=(128, 128))
        tfkd.records.prepare(cohort, root / "records", spec, split=split)
        data = tfkd.records.load(
            root / "records", batch_size=steps.BATCH, steps_per_epoch=self.steps_per_run
        )
        shape, classes = data.spec.input_shape, data.num_classes
        width, (name, teacher_width) = steps.PAIRS[student]
        teacher = tfkd.models.build(name, shape, classes, teacher_width)

        def distiller(taught: bool) -> Any:
            method = steps.METHOD() if taught else ()
            network = tfkd.models.build(student, shape, classes, width)
            made = tfkd.Distiller(teacher if taught else None, network, *method)
            made.compile("adam", tfkd.losses.FocalDice())
            return made

        cached = distiller(True)
        runs = {
            "plain": (distiller(False), data),
            "teacher": (distiller(True), data),
            "cached": (cached, tfkd.distillation.cache_teacher(cached, data)),
        }
        # Endless: what is timed has neither the begin nor the end of a `fit` in it.
        self._runs = {kind: (made, iter(of.stream())) for kind, (made, of) in runs.items()}

    def _train(self, kind: str) -> None:
        distiller, batches = self._runs[kind]
        for _ in range(self.steps_per_run):
            distiller.train_on_batch(*next(batches))

    def time_plain(self, student: str) -> None:
        """From the labels alone."""
        self._train("plain")

    def time_teacher(self, student: str) -> None:
        """With the teacher in every step."""
        self._train("teacher")

    def time_cached(self, student: str) -> None:
        """With what the teacher said kept beside the records."""
        self._train("cached")
