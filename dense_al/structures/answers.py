"""Answers: the labels that were given, with what they cost."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import pyarrow as pa

from dense_al.structures.forms import decode
from dense_al.structures.label import Label

ANSWERED, DECLINED = 'answered', 'declined'
MODEL = 'model'
"""`source` of answers that the model gave itself."""


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
        payload: The label itself, see `Label.encode`; empty if declined.
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

    @property
    def label(self) -> Label | None:
        """What was said, None if declined; decoded anew."""
        return decode(self.payload)


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


def answers_table(answers: Sequence[Answer]) -> pa.Table:
    """The answers as an Arrow table, one row per unit."""
    columns = {f.name: [getattr(a, f.name) for a in answers] for f in fields(Answer)}
    return pa.table(columns, schema=SCHEMA)


def answers_of_table(table: pa.Table) -> list[Answer]:
    """Reads back what `answers_table` wrote."""
    return [Answer(**row) for row in table.to_pylist()]
