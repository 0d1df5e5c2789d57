"""The ledger: what was asked, answered and paid; the fold of the rounds' answers."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from dense_al.pool.costs import EXPECTED_OBJECTS
from dense_al.structures import (
    ANSWERED,
    MODEL,
    Answer,
    Boxes,
    ElementRows,
    Label,
    Tags,
)


@dataclass(frozen=True)
class Totals:
    """Sums over answers.

    Attributes:
        units: Answers, declined ones too; a place that several scans see counts in each of them.
        elements: Pixels or points under an answer in force.
        clicks: Clicks billed.
        seconds: Seconds billed.
    """

    units: int
    elements: int
    clicks: float
    seconds: float


class Ledger:
    """All answers up to a round, later ones replacing earlier ones for the same unit.

    Args:
        rounds: The answers of each round, initial labels first.
    """

    def __init__(self, rounds: Iterable[Iterable[Answer]] = ()) -> None:
        self._paid: list[Answer] = []
        self._current: dict[tuple[int, int, int, str], Answer] = {}
        self._closed: dict[tuple[str, bool], tuple[np.ndarray, np.ndarray]] = {}
        for answers in rounds:
            self._add(answers)

    def _add(self, answers: Iterable[Answer]) -> None:
        self._closed.clear()
        for answer in answers:
            self._paid.append(answer)
            # Put at the end: what was answered last is written last into dense labels.
            self._current.pop(answer.key, None)
            self._current[answer.key] = answer

    def _of_people(self) -> list[Answer]:
        """Answers in force that were given by people, or stand for theirs."""
        return [a for a in self.in_force() if a.source != MODEL]

    def in_force(self, round_number: int | None = None) -> list[Answer]:
        """Answers with a label that a trainer of this round may use, oldest first.

        Those of a model come before all others, so that no label of people is written over.
        """
        found = [
            a
            for a in self._current.values()
            if a.status == ANSWERED
            and (a.expires_round < 0 or round_number is None or round_number <= a.expires_round)
        ]
        return sorted(found, key=lambda a: a.source != MODEL)

    def labelled_samples(self, round_number: int | None = None) -> np.ndarray:
        """(S,) int64 sorted samples with at least one answer in force."""
        samples = {a.sample for a in self.in_force(round_number)}
        return np.array(sorted(samples), np.int64)

    def whole_samples(self) -> np.ndarray:
        """(S,) int64 sorted samples that people labelled as a whole."""
        whole = {a.sample for a in self._of_people() if a.kind == 'image'}
        return np.array(sorted(whole), np.int64)

    def asked(self, kind: str, rows: ElementRows, ask_declined_again: bool = False) -> np.ndarray:
        """(N,) bool: which units were asked before (a whole image answers all its units).

        Answers of a model do not count: those units may still be asked of people.

        Args:
            kind: Kind of the units in `rows`.
            rows: Units by key.
            ask_declined_again: Whether a declined unit counts as not asked.
        """
        # It is asked several times in a round, and images with objects take long to decode.
        if (kind, ask_declined_again) not in self._closed:
            self._closed[kind, ask_declined_again] = self._closed_units(kind, ask_declined_again)
        whole, keys = self._closed[kind, ask_declined_again]
        return np.isin(rows.sample, whole) | rows.among(keys)

    def _closed_units(self, kind: str, ask_declined_again: bool) -> tuple[np.ndarray, np.ndarray]:
        """(S,) int64 samples that are closed as a whole, and (K, 3) int64 keys of other units."""
        closed = [
            a
            for a in self._current.values()
            if a.source != MODEL and (a.status == ANSWERED or not ask_declined_again)
        ]
        of_objects = kind in ('instance', 'point')
        whole = [
            a.sample
            for a in closed
            if a.kind == 'image' and not (of_objects and _leaves_masks(a.payload))
        ]
        return np.array(whole, np.int64), _keys(a for a in closed if a.kind == kind)

    def labelled(self, kind: str, rows: ElementRows) -> np.ndarray:
        """(N,) bool: which units people answered; of those that were asked the others declined."""
        return self.asked(kind, rows, ask_declined_again=True)

    def by_model(self, kind: str, rows: ElementRows, round_number: int) -> np.ndarray:
        """(N,) bool: which units have a label of the model that this round trained on."""
        found = [a for a in self.in_force(round_number) if a.source == MODEL and a.kind == kind]
        return rows.among(_keys(found))

    def units_asked(self, kind: str) -> list[Answer]:
        """Everything of a kind that people were asked, declined or not, oldest first."""
        return [a for a in self._current.values() if a.kind == kind and a.source != MODEL]

    @property
    def objects(self) -> int:
        """Objects that have a box."""
        drawn = [a.payload for a in self.in_force() if Boxes.is_in(a.payload)]
        return sum(Boxes.decode(payload).drawn for payload in drawn)

    def expected_objects(self, kind: str) -> float:
        """Objects in an image that nobody has answered yet; where `kind` is `tags`, classes.

        As many as people found on average in those that were answered; before any was,
        `EXPECTED_OBJECTS`. One at least: where nothing was found an image would be free, and all be
        asked.
        """
        form: type[Label] = Tags if kind == 'tags' else Boxes
        of_kind = [a.payload for a in self._of_people() if a.kind == kind]
        answered = [form.decode(payload).drawn for payload in of_kind if form.is_in(payload)]
        if not answered:
            return EXPECTED_OBJECTS.get(kind, 0.0)
        return max(sum(answered) / len(answered), 1.0)

    def class_counts(self, n_classes: int) -> np.ndarray:
        """(C,) int64: units in force with most of each class; of boxes, every object."""
        counts = np.zeros(n_classes, np.int64)
        for answer in self._of_people():
            if Boxes.is_in(answer.payload):
                counts += Boxes.decode(answer.payload).class_counts(n_classes)
            elif answer.category >= 0:
                counts[answer.category] += 1
        return counts

    def totals(self) -> Totals:
        """What was paid over all rounds, exactly (every answer is billed, replaced ones too)."""
        return totals(self._paid, sum(a.elements for a in self._of_people()))


def _keys(answers: Iterable[Answer]) -> np.ndarray:
    """(K, 3) int64 sample, instance, unit of answers."""
    keys = [(a.sample, a.instance, a.unit) for a in answers]
    return np.array(keys, np.int64).reshape(-1, 3)


def _leaves_masks(payload: bytes) -> bool:
    """Whether boxes were drawn in an image, and the masks of its objects are left to be asked."""
    return Boxes.is_in(payload) and Boxes.decode(payload).leaves_masks


def totals(answers: Iterable[Answer], elements: int | None = None) -> Totals:
    """Sums of people's `answers`; `elements` overrides the number of labelled pixels or points."""
    answers = [a for a in answers if a.source != MODEL]
    if elements is None:
        elements = sum(a.elements for a in answers if a.status == ANSWERED)
    return Totals(
        units=len(answers),
        elements=elements,
        clicks=math.fsum(a.clicks for a in answers),
        seconds=math.fsum(a.seconds for a in answers),
    )
