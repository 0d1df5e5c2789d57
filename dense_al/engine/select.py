"""From a model to a query: what a round of the loop and a single selection share."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dense_al.acquisition import Acquisition, NothingLeftError, Selection, rng_for
from dense_al.adapters.task import Task
from dense_al.engine.observe import observe
from dense_al.engine.places import places_of
from dense_al.pool import Units
from dense_al.structures import ElementRows, Query


def options_of(
    acquisition: Acquisition, before: Sequence[Query], seed: int, round_number: int
) -> Any:
    """What an acquisition asks of a round's predictions; views and dropout are its own.

    Args:
        acquisition: It says what.
        before: What was asked in earlier rounds, initial labels first.
        seed: Of the run.
        round_number: The round.
    """
    options = acquisition.recall(before)
    if options is None:
        return None
    passes = rng_for(seed, round_number, 'passes')
    return replace(options, seed=int(passes.integers(2**31)))


def observe_for(
    acquisition: Acquisition,
    task: Task,
    units: Units,
    given: Selection,
    checkpoint: Path,
    before: Sequence[Query] = (),
    *,
    seed: int,
    progress: bool = True,
    on_half: Callable[[], None] = lambda: None,
) -> tuple[ElementRows, float]:
    """Rows of all samples that an acquisition wants to see.

    Args:
        acquisition: It says which, and makes the rows.
        task: Predicts.
        units: The units the samples are divided into.
        given: What is labelled, and the round.
        checkpoint: Weights to predict with.
        before: What was asked in earlier rounds, initial labels first.
        seed: Of the run.
        progress: Whether to show a bar with the time left.
        on_half: Called once, half way.

    Returns:
        The rows, those asked before only where the acquisition observes what is labelled, in the
        first process alone; and the seconds in the model.
    """
    manifest, ledger, round_number = task.manifest, given.ledger, given.round_number
    open_samples = np.setdiff1d(manifest.pool, ledger.whole_samples())
    if 'pool' not in acquisition.observes:
        open_samples = open_samples[:0]
    samples = acquisition.samples(open_samples, rng_for(seed, round_number, 'subset'))
    if 'labelled' in acquisition.observes:
        samples = np.union1d(samples, ledger.labelled_samples(round_number))
    if 'source' in acquisition.observes:
        rng = rng_for(seed, round_number, 'source')
        samples = np.union1d(samples, acquisition.source_samples(manifest.source, rng))
    options = options_of(acquisition, before, seed, round_number)
    rows, forward = observe(
        task, acquisition, units, samples, checkpoint, ledger, options, progress, on_half
    )
    if 'labelled' not in acquisition.observes:
        rows = rows.take(~ledger.asked(acquisition.kind, rows, given.ask_declined_again))
    return rows, forward


def choose(
    rows: ElementRows, acquisition: Acquisition, units: Units, given: Selection
) -> tuple[Query, Query | None]:
    """What to ask of the rows, and what the model labels itself; places are asked as wholes.

    Args:
        rows: As they were observed.
        acquisition: Chooses.
        units: The units; they tell which regions are one place.
        given: What it chooses from.

    Raises:
        NothingLeftError: There are no rows.
    """
    kind, ledger = acquisition.kind, given.ledger
    if len(rows) == 0:
        raise NothingLeftError(f'Expected {kind} units left to ask, but got none')
    asked = ledger.asked(kind, rows, given.ask_declined_again)
    # What is labelled and what was declined are kept apart as well.
    places = places_of(rows, units, kind, asked.astype(np.int64) + ledger.labelled(kind, rows))
    query = acquisition.select(places.rows, given)
    by_model = acquisition.pseudo(places.rows, query, given)
    return places.expanded(query), None if by_model is None else places.expanded(by_model)
