"""Errors that name the case and the file, and say what to do."""

__all__ = [
    "ContractError",
    "ExportError",
    "GeometryError",
    "PlanError",
    "RecordError",
    "TfkdError",
    "TrainingError",
    "TrainingInterrupted",
]


class TfkdError(Exception):
    """Base of every error that `tfkd` raises on purpose; the command line prints it in one line."""


class GeometryError(TfkdError):
    """A volume's shape, axes, affine or values are not what the step needs."""


class RecordError(TfkdError):
    """A source folder, manifest or TFRecord shard is missing, incomplete or inconsistent."""


class ContractError(TfkdError):
    """A model file and its contract are missing, do not match, or cannot be read."""


class ExportError(TfkdError):
    """A model could not be converted, or the converted file does not do what the model does."""


class PlanError(TfkdError):
    """A plan of a comparison names something that does not exist, or asks for what cannot be."""


class TrainingError(TfkdError):
    """A training went wrong: a loss is not finite, or what was to be frozen has changed."""


class TrainingInterrupted(TfkdError):
    """A training was asked to stop and saved its state; started again, it goes on from there."""
