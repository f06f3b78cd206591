"""Records of a teacher's own, such as ones with masks that the students have not."""

from pathlib import Path

from tfkd.comparison.plan.plan_network import Network
from tfkd.errors import PlanError, RecordError
from tfkd.records.manifest import Manifest
from tfkd.volumes import IDENTITY_AFFINE

__all__ = ["teacher_manifest"]


def teacher_manifest(teacher: Network, manifest: Manifest) -> Manifest:
    """Manifest of the records that a teacher is trained on.

    Args:
        teacher: The teacher.
        manifest: Manifest of the plan's records.

    Returns:
        The plan's manifest, or that of the teacher's own records.

    Raises:
        PlanError: If its own records cannot be read, are prepared otherwise, have other labels, or
            train or choose an epoch on a CT that the plan validates or tests on. A CT is known by
            the checksum of its file; another file of the same patient is not noticed.
    """
    if teacher.records is None:
        return manifest
    where = f"[teachers.{teacher.name}] records: {teacher.records}"
    try:
        own = Manifest.load(Path(teacher.records))
    except RecordError as error:
        raise PlanError(f"{where} cannot be read: {error}") from error
    _check_kind(where, own, manifest)
    test = _checksums(manifest, "test")
    seen = _names(test | _checksums(manifest, "validation"), _checksums(own, "train"))
    if teacher.settings.keep == "best":
        seen |= _names(test, _checksums(own, "validation"))
    if seen:
        raise PlanError(
            f"{where}: expected a teacher that has not seen the patients it is judged on. It is "
            f"trained or validated on {', '.join(sorted(seen))}, which the plan tests or validates "
            "on. Prepare both records with the same --test-cases, and the same --validation-cases "
            "or --validation 0."
        )
    return own


def _check_kind(where: str, own: Manifest, manifest: Manifest) -> None:
    for what, expected, received in (
        ("preprocessing", manifest.spec, own.spec),
        ("labels", manifest.label_names, own.label_names),
        ("protocol", manifest.protocol.name, own.protocol.name),
        ("target", manifest.target_labels, own.target_labels),
        (
            "axes of files without any",
            manifest.identity_affine or IDENTITY_AFFINE,
            own.identity_affine or IDENTITY_AFFINE,
        ),
    ):
        if expected != received:
            raise PlanError(
                f"{where}: expected the {what} of the plan's records, {expected}. Received "
                f"{received}. Prepare both with the same settings."
            )


def _checksums(manifest: Manifest, split: str) -> dict[str, str]:
    """Names of a split's cases by the checksums of their CTs."""
    return {manifest.case(name).image_sha256: name for name in manifest.splits[split]}


def _names(cases: dict[str, str], others: dict[str, str]) -> set[str]:
    return {name for checksum, name in cases.items() if checksum in others}
