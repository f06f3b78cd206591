"""A step of the Distiller beside its floor, its parts and Keras's own, in one run."""

from typing import ClassVar

from benchmarks import steps


class Step:
    """One training step at batch 8: the student named, taught as in `steps.PAIRS`.

    `time_floor` is what no Distiller can do without: the teacher's inference and the student's own
    step. `added_floor` is the sum of the two, measured apart. `time_keras` has fewer losses than
    `time_tfkd`; the one to set beside it is `time_tfkd_same_losses`.
    """

    params = (("MobileNetV2", "ENet"), (64, 256))
    param_names = ("student", "size")
    quick_params = ("UNet", 64)
    references = ("added_floor", "time_floor", "time_keras", "time_tfkd")
    sums: ClassVar = {"added_floor": ("time_teacher", "time_plain")}

    def setup(self, student: str, size: int) -> None:
        built = ("plain", "teacher", "tfkd", "tfkd_same_losses", "keras", "losses")
        self.steps = {kind: steps.step(kind, size, student) for kind in built}

    def time_plain(self, student: str, size: int) -> None:
        """The student's step from the labels alone."""
        self.steps["plain"]()

    def time_teacher(self, student: str, size: int) -> None:
        """The teacher's inference."""
        self.steps["teacher"]()

    def time_floor(self, student: str, size: int) -> None:
        """Both of these in one call."""
        self.steps["teacher"]()
        self.steps["plain"]()

    def time_tfkd(self, student: str, size: int) -> None:
        """Our Distiller with all losses of the paper."""
        self.steps["tfkd"]()

    def time_tfkd_same_losses(self, student: str, size: int) -> None:
        """Our Distiller without the loss that needs labels."""
        self.steps["tfkd_same_losses"]()

    def time_keras(self, student: str, size: int) -> None:
        """Keras's Distiller without the loss that needs labels."""
        self.steps["keras"]()

    def time_losses(self, student: str, size: int) -> None:
        """All losses of the paper alone, forward and backward, which `time_tfkd` contains."""
        self.steps["losses"]()
