"""TFRecords of CT slices: finding a cohort, writing the records, reading them for training."""

import importlib
from typing import Any

from tfkd.records.case_files import CaseFiles, Source
from tfkd.records.case_ids import decode_case_ids, encode_case_ids
from tfkd.records.label_counts import LabelCount
from tfkd.records.manifest import CaseRecord, Manifest, Shard
from tfkd.records.sampling import Sampling
from tfkd.records.sources import find_source
from tfkd.records.splits import SplitPlan, split_patients
from tfkd.records.unlabelled import add_unlabelled

__all__ = [
    "Augmentation",
    "AugmentationLayer",
    "CTRecords",
    "CaseFiles",
    "CaseRecord",
    "LabelCount",
    "Manifest",
    "Sampling",
    "Shard",
    "SharedRecords",
    "SliceCache",
    "Source",
    "SplitPlan",
    "add_unlabelled",
    "decode_case_ids",
    "encode_case_ids",
    "find_source",
    "load",
    "prepare",
    "split_patients",
    "write_slice_cache",
]

# What needs TensorFlow is loaded on first use: evaluation on an edge device reads manifests only.
_HOME = {
    "Augmentation": "tfkd.records.augmentation",
    "AugmentationLayer": "tfkd.records.augmentation",
    "CTRecords": "tfkd.records.reader",
    "SharedRecords": "tfkd.records.shared",
    "SliceCache": "tfkd.records.slice_cache",
    "load": "tfkd.records.reader",
    "prepare": "tfkd.records.preparation",
    "write_slice_cache": "tfkd.records.slice_cache_writer",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tfkd.records' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value
