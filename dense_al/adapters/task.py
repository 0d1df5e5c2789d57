"""What the loop needs of a task; adapters implement it for a framework."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dense_al.pool import Ledger, Units
from dense_al.registry import ConfigError, check_keys, check_types, nearest
from dense_al.structures import Label, Manifest

INITIAL = {
    'acquisition': dict[str, Any] | str,
    'budget': dict[str, Any] | None,
    'labelled': str | list[str],
    'source': bool,
    'checkpoint': str | None,
}
STARTS = ('scratch', 'previous', 'initial')
LATER_KEYS = ('model', 'optim_wrapper', 'param_scheduler', 'train_dataloader')


@dataclass(frozen=True)
class Rounds:
    """How many rounds, and how each one trains.

    Attributes:
        count: Rounds, >= 1; each trains and evaluates, all but the last ask.
        iterations: Training iterations per round, or a list of them, one for each round; or
        epochs: passes over the labelled samples per round; None for both: as the base config.
        start: Weights a round starts from: `scratch` (as the base config says), `previous` (the
            round before), `initial` (round 0, or the checkpoint of
            `initial`).
        later: What of the config is different from round 1 on, such as the optimizer of
            fine-tuning; lists are replaced as a whole. Its schedulers are taken as they are, not
            scaled to the length of the round; of its model only what training reads may change,
            such as the weight of a loss.
        checkpoint_interval: Iterations between two checkpoints inside a round, for rounds so long
            that a killed one should go on in the middle (which is not bit-identical: mmengine keeps
            no state of the generators; `train.json` then says `exact: false`). None: a killed
            training step begins again.
        metric: Name of the metric the curve shows, as the evaluator reports it.
        initial: How the initial labels come about: `acquisition` (default: random, same units) and
            `budget` (default: the round's) to draw them, or `labelled`: names of the samples that
            are labelled already, or a text file of them, or `source=True`: none, round 0 trains on
            the source domain alone. `checkpoint`: weights that were trained on them; round 0 then
            evaluates instead of training.
    """

    count: int
    iterations: int | list[int] | None = None
    epochs: int | None = None
    start: str = 'scratch'
    later: dict[str, Any] | None = None
    checkpoint_interval: int | None = None
    metric: str = 'mIoU'
    initial: Any = None

    def __post_init__(self) -> None:
        for name in ('count', 'iterations', 'epochs', 'checkpoint_interval'):
            value = getattr(self, name)
            if value is None and name != 'count':
                continue
            listed = name == 'iterations' and isinstance(value, (list, tuple))
            for number in value if listed else [value]:
                if not isinstance(number, int) or isinstance(number, bool) or number < 1:
                    raise ConfigError(
                        f'Expected `rounds.{name}` to be an integer of at least 1, '
                        f'but got {number!r}'
                    )
            if listed and len(value) != self.count:
                raise ConfigError(
                    f'Expected `rounds.iterations` for each of the {self.count} rounds, '
                    f'but got {len(value)}'
                )
        if self.later is not None:
            check_keys(self.later, LATER_KEYS, 'rounds.later')
        if self.iterations is not None and self.epochs is not None:
            raise ConfigError('Expected `rounds.iterations` or `rounds.epochs`, but got both')
        if self.start not in STARTS:
            raise ConfigError(
                f'Unknown `rounds.start` {self.start!r}. {nearest(self.start, STARTS)}'
            )
        given = {} if self.initial is None else self.initial
        check_keys(given, INITIAL, 'rounds.initial')
        check_types(given, INITIAL, 'rounds.initial')
        ways = [bool(given.get('source')), 'labelled' in given]
        if sum(ways) + ('acquisition' in given or 'budget' in given) > 1:
            raise ConfigError(
                'Expected `rounds.initial` with `labelled`, with `source`, or with `acquisition` '
                f'and `budget`, but got {sorted(given)}'
            )
        checkpoint = given.get('checkpoint')
        if checkpoint is not None and not Path(checkpoint).is_file():
            raise ConfigError(
                f'Expected `rounds.initial.checkpoint` to be a file, but got {checkpoint}'
            )

    def iterations_of(self, round_number: int) -> int | None:
        """Training iterations of a round, None where epochs or the config say."""
        if isinstance(self.iterations, (list, tuple)):
            return self.iterations[round_number]
        return self.iterations

    def steps_before(self, round_number: int, length: int) -> int:
        """Where the curve of a round of `length` iterations begins, so that no rounds overlap."""
        if isinstance(self.iterations, (list, tuple)):
            return sum(self.iterations[:round_number])
        return round_number * length


@dataclass(frozen=True, eq=False)
class TrainJob:
    """One training step.

    Attributes:
        round_number: The round.
        ledger: What is labelled.
        units: The units that region answers refer to.
        folder: Where the framework may write its logs.
        checkpoint: Where the weights go.
        load_from: Weights to start from, None: as the base config says.
        seed: Seed of the step.
    """

    round_number: int
    ledger: Ledger
    units: Units
    folder: Path
    checkpoint: Path
    load_from: Path | None
    seed: int


@dataclass(frozen=True)
class TrainResult:
    """What came of a training step.

    Attributes:
        metrics: Name -> value, as the evaluator reports them.
        per_class: Class -> value of the metric.
        train_seconds, evaluate_seconds: Time inside the framework.
        exact: False if the step was resumed from the middle.
    """

    metrics: dict[str, float]
    per_class: dict[str, float]
    train_seconds: float
    evaluate_seconds: float
    exact: bool = True


class Task(Protocol):
    """A data set, a model and how to train it."""

    manifest: Manifest
    classes: list[str]
    form: str  # what a label of a whole sample is: `pixels`, `boxes` or `masks`
    learns_tags: bool  # whether the model learns from tags of images
    learns_points: bool  # whether it learns masks from single points of objects
    provides: frozenset[str]  # what an acquisition may need, see `Acquisition.needs`
    scans: Any  # where the points of samples come from, where they are scans; else None

    def train(self, job: TrainJob) -> TrainResult:
        """Trains and evaluates; writes `job.checkpoint`."""
        ...

    def evaluate(self, job: TrainJob) -> TrainResult:
        """Evaluates `job.load_from` without training; writes `job.checkpoint`."""
        ...

    def predict(
        self,
        checkpoint: Path,
        samples: np.ndarray,
        needs: frozenset[str],
        options: Any = None,
        ledger: Ledger | None = None,
    ) -> Iterator[Any]:
        """Predictions for the samples, in their order, one by one; `ledger`: what is known."""
        ...

    def fetch_weights(self) -> None:
        """Has the weights that round 0 begins with on this machine, or raises `ConfigError`."""
        ...

    def check_labels(self, samples: Sequence[int] | None = None) -> None:
        """Raises `ConfigError` unless the labels (of the whole pool) can be read."""
        ...

    def read_label(self, sample: int) -> Label:
        """The label of the data set, (H, W) uint8 or boxes; only the oracle may ask."""
        ...
