"""Records of a teacher's own, such as ones with masks that the students have not."""

from pathlib import Path

from tfkd.comparison.networks import Network
from tfkd.errors import PlanError
from tfkd.records.manifest import Manifest

__all__ = ["teacher_manifest"]


def teacher_manifest(teacher: Network, manifest: Manifest) -> Manifest:
    """Manifest of the records that a teacher is trained on.

    Args:
        teacher: The teacher.
        manifest: Manifest of the plan's records.

    Returns:
        The plan's manifest, or that of the teacher's own records.

    Raises:
        PlanError: If its own records are prepared otherwise, have other labels, or train on a CT
            that the plan tests on.
        RecordError: If they cannot be read.
    """
    if teacher.records is None:
        return manifest
    own = Manifest.load(Path(teacher.records))
    where = f"[teachers.{teacher.name}] records: {teacher.records}"
    for what in ("spec", "label_names", "protocol"):
        expected, received = getattr(manifest, what), getattr(own, what)
        if expected != received:
            raise PlanError(
                f"{where}: expected the {what} of the plan's records, {expected}. Received "
                f"{received}. Prepare both with the same settings."
            )
    judged = {
        manifest.case(name).image_sha256: name
        for split in ("validation", "test")
        for name in manifest.splits[split]
    }
    seen = sorted(
        judged[checksum]
        for name in own.splits["train"]
        if (checksum := own.case(name).image_sha256) in judged
    )
    if seen:
        raise PlanError(
            f"{where}: expected a teacher that has not seen the patients it is judged on. It is "
            f"trained on {', '.join(seen)}, which the plan validates or tests on. Prepare its "
            "records with the same --test-cases."
        )
    return own
