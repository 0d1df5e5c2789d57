"""Answers: the labels that were given, with what they cost."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa

ANSWERED, DECLINED = 'answered', 'declined'
IGNORE = 255


@dataclass(frozen=True)
class Answer:
    """The answer for one unit.

    Attributes:
        sample, instance, unit: The unit's key; instance -1 where it does not apply.
        kind: `image`, `tags`, `instance`, `region` or `point`.
        status: `answered` or `declined` (asked and paid, no label given).
        source: Who answered: `ground_truth`, `files`, `existing`, `model`.
        elements: Pixels or points that are labelled by it; none by tags.
        category: The most frequent class of the label, -1 for none.
        clicks: Clicks billed.
        seconds: Seconds billed.
        expires_round: Last round that trains on it, -1 for all.
        payload: The label itself, see `encode_labels`.
    """

    sample: int
    instance: int
    unit: int
    kind: str
    status: str
    source: str
    elements: int
    category: int
    clicks: float
    seconds: float
    expires_round: int
    payload: bytes

    @property
    def key(self) -> tuple[int, int, int, str]:
        """What makes two answers be about the same thing."""
        return self.sample, self.instance, self.unit, self.kind


SCHEMA = pa.schema(
    [
        ('sample', pa.int64()),
        ('instance', pa.int64()),
        ('unit', pa.int64()),
        ('kind', pa.string()),
        ('status', pa.string()),
        ('source', pa.string()),
        ('elements', pa.int64()),
        ('category', pa.int64()),
        ('clicks', pa.float64()),
        ('seconds', pa.float64()),
        ('expires_round', pa.int64()),
        ('payload', pa.binary()),
    ]
)


def encode_labels(labels: np.ndarray) -> bytes:
    """Packs the labels of a unit's pixels.

    Args:
        labels: (P,) uint8 class of each pixel in raster order of the unit, 255 = cannot say.

    Returns:
        The compressed payload.

    >>> decode_labels(encode_labels(np.array([3, 255], np.uint8))).tolist()
    [3, 255]
    """
    if labels.dtype != np.uint8 or labels.ndim != 1:
        raise ValueError(
            f'Expected uint8 labels of shape (P,), but got {labels.dtype} {labels.shape}'
        )
    return zlib.compress(labels.tobytes(), 6)


def decode_labels(payload: bytes) -> np.ndarray:
    """Unpacks what `encode_labels` packed: (P,) uint8."""
    return np.frombuffer(zlib.decompress(payload), np.uint8)


def most_frequent_class(labels: np.ndarray) -> int:
    """The most frequent class among (P,) uint8 labels, lowest on ties; -1 if all are 255."""
    counts = np.bincount(labels[labels != IGNORE], minlength=1)
    return int(counts.argmax()) if counts.sum() else -1


def answers_table(answers: Sequence[Answer]) -> pa.Table:
    """The answers as an Arrow table, one row per unit."""
    columns = {f.name: [getattr(a, f.name) for a in answers] for f in fields(Answer)}
    return pa.table(columns, schema=SCHEMA)


def answers_of_table(table: pa.Table) -> list[Answer]:
    """Reads back what `answers_table` wrote."""
    return [Answer(**row) for row in table.to_pylist()]
