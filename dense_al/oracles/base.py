"""What every oracle offers."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dense_al.pool import Prices, Units
from dense_al.structures import Answer, Manifest, Query


class WaitingForAnswers(Exception):
    """People have not answered yet; the run ends cleanly and goes on when they have."""


class Oracle(ABC):
    """Who answers.

    Args:
        prices: Price table, see `dense_al.pool.Prices`.
        ask_declined_again: Whether a declined unit may be asked again.
    """

    needs_labels = False

    def __init__(
        self, prices: dict[str, Any] | None = None, ask_declined_again: bool = False
    ) -> None:
        self.prices = Prices(prices)
        self.ask_declined_again = ask_declined_again

    def prepare(
        self, folder: Path, query: Query, manifest: Manifest, units: Units, classes: list[str]
    ) -> None:
        """Puts the query before whoever answers it; called again after a restart."""
        return None

    @abstractmethod
    def answer(
        self,
        query: Query,
        manifest: Manifest,
        units: Units,
        read_label: Callable[[int], np.ndarray],
        n_classes: int,
        rng: np.random.Generator,
    ) -> list[Answer]:
        """Answers for the units of a query.

        Args:
            query: What is asked.
            manifest: The samples.
            units: The units they are divided into.
            read_label: Sample -> (H, W) uint8 label of the data set, for simulated annotators.
            n_classes: Number of classes.
            rng: Source of randomness.

        Raises:
            WaitingForAnswers: Not answered yet.
        """
