"""Peak memory of five training steps, each variant in a process of its own."""

STEPS = 5


class Memory:
    """The steps of `benchmarks.distiller`; what distillation needs beyond the plain student."""

    params = (("MobileNetV2", "ENet"), (256,))
    param_names = ("student", "size")
    references = ("peakmem_plain",)
    quick_params = ("UNet", 64)
    quick_methods = ("peakmem_teacher",)  # a process for each is slow

    def setup(self, student: str, size: int) -> None:
        pass

    def peakmem_plain(self, student: str, size: int) -> None:
        _run("plain", student, size)

    def peakmem_teacher(self, student: str, size: int) -> None:
        _run("teacher", student, size)

    def peakmem_floor(self, student: str, size: int) -> None:
        _run("floor", student, size)

    def peakmem_tfkd(self, student: str, size: int) -> None:
        _run("tfkd", student, size)

    def peakmem_tfkd_same_losses(self, student: str, size: int) -> None:
        _run("tfkd_same_losses", student, size)

    def peakmem_keras(self, student: str, size: int) -> None:
        _run("keras", student, size)


def _run(kind: str, student: str, size: int) -> None:
    from benchmarks import steps

    step = steps.step(kind, size, student)
    for _ in range(STEPS):
        step()
