"""What is refused before anything is trained: parts that do not fit each other."""

from collections.abc import Mapping, Sequence

import numpy as np

from dense_al.acquisition import Acquisition
from dense_al.adapters.task import Rounds, Task
from dense_al.oracles import Oracle
from dense_al.regions import WorldCells
from dense_al.registry import UNITS, ConfigError
from dense_al.structures import WHOLE, Budget


def check_run(
    task: Task,
    oracle: Oracle,
    acquisition: Acquisition,
    initial: Acquisition | np.ndarray,
    rounds: Rounds,
    budgets: tuple[Budget, Budget],
) -> None:
    """Refuses parts that do not fit each other.

    Args:
        task: Data and model.
        oracle: Answers.
        acquisition: Chooses what to ask.
        initial: Chooses the initial labels, or the samples labelled already.
        rounds: How they train.
        budgets: Of a round, and of the initial labels.

    Raises:
        ConfigError: The first of them that does not fit.
    """
    asking = [acquisition]
    if isinstance(initial, Acquisition):
        _check_initial(initial, acquisition)
        asking.append(initial)
    _check_tags(task, asking)
    _check_pixels(task, oracle, asking)
    _check_points(task, oracle, acquisition)
    _check_samples(task, acquisition, initial)
    named = dict(zip(('budget', 'rounds.initial.budget'), budgets))
    _check_budgets(task, acquisition, named)
    _check_source(task, rounds, acquisition)


def _check_initial(initial: Acquisition, acquisition: Acquisition) -> None:
    """Refuses an acquisition that cannot give the initial labels of a run."""
    field = 'rounds.initial.acquisition'
    if initial.needs:
        raise ConfigError(
            f'Expected `{field}` to need no model, but it needs {sorted(initial.needs)}'
        )
    # Regions alone are those of some unit; pixels and points have the same numbers everywhere.
    if initial.kind == 'region' and initial.unit != acquisition.unit:
        UNITS.build(initial.unit, f'{field}.unit')
        raise ConfigError(
            f'Expected `{field}.unit` to be Image or the units of `acquisition`, '
            f'but got {initial.unit}'
        )


def _check_tags(task: Task, acquisitions: Sequence[Acquisition]) -> None:
    """Refuses tags where the model cannot learn from them."""
    for acquisition in acquisitions:
        if acquisition.kind == 'tags' and not task.learns_tags:
            raise ConfigError(
                f'Expected a model that learns from tags, as {type(acquisition).__name__} asks for '
                'nothing else, but got one that does not; `model.roi_head` of type WeakRoIHead does'
            )


def _check_pixels(task: Task, oracle: Oracle, acquisitions: Sequence[Acquisition]) -> None:
    """Refuses what is of pixels where labels are not, and acquisitions for other labels."""
    if oracle.dominant and task.form != 'pixels':
        raise ConfigError(
            'Expected a model for semantic segmentation, as `oracle.dominant` asks for one class '
            f'of all pixels, but got one that learns {task.form}'
        )
    for acquisition in acquisitions:
        if acquisition.form not in (None, task.form):
            raise ConfigError(
                f'Expected a model that learns {acquisition.form}, as '
                f'{type(acquisition).__name__} asks about them, but got one that learns {task.form}'
            )


def _check_points(task: Task, oracle: Oracle, acquisition: Acquisition) -> None:
    """Refuses points where the model cannot learn from them, and settings of outlines without."""
    if oracle.unsure and task.form != 'masks':
        raise ConfigError(
            f'Expected a model with masks, as `oracle.unsure` {oracle.unsure} is about points near '
            f'outlines, but got one that learns {task.form}'
        )
    if oracle.points is not None and not task.learns_points:
        raise ConfigError(
            'Expected a model that learns masks from points, as `oracle.points` is '
            f'{oracle.points}, but got one that does not; set `type` of its mask head to '
            'PointSupMaskHead or PointSupCondInstMaskHead'
        )
    if acquisition.kind in ('point', 'instance') and task.form == 'boxes':
        raise ConfigError(
            f'Expected a model with masks, as `acquisition` asks about a {acquisition.kind} of an '
            'object, but got a detector of boxes'
        )


def _check_samples(task: Task, acquisition: Acquisition, initial: Acquisition | np.ndarray) -> None:
    """Refuses regions of objects, and what reads tags without any."""
    name = type(acquisition).__name__
    if acquisition.kind == 'region' and task.form != 'pixels':
        raise ConfigError(
            f'Expected `acquisition.unit` to be Image, as a model that learns {task.form} cannot '
            f'learn from parts of an image, but got {acquisition.unit}'
        )
    subset = getattr(acquisition, 'subset', None)
    if subset is not None and isinstance(UNITS.build(acquisition.unit, 'unit'), WorldCells):
        raise ConfigError(
            'Expected no `acquisition.subset` with WorldCells, as a cell is asked in all scans '
            f'that see it and not all of them would be looked at, but got {subset}'
        )
    asks_tags = isinstance(initial, Acquisition) and initial.kind == 'tags'
    if acquisition.reads_tags and not asks_tags:
        raise ConfigError(
            f'Expected `rounds.initial.acquisition` of type ImageTags, as {name} chooses by the '
            'tags of all images, but they are not asked'
        )


def _check_budgets(task: Task, acquisition: Acquisition, budgets: Mapping[str, Budget]) -> None:
    """Refuses budgets for each object where there are none, or where images are asked."""
    if budgets['budget'].unit == 'per_object' and acquisition.kind in WHOLE:
        raise ConfigError(
            "Expected `budget.unit` other than 'per_object', as `acquisition` asks about whole "
            "images, but got 'per_object'"
        )
    for field, budget in budgets.items():
        if budget.unit == 'per_object' and task.form == 'pixels':
            raise ConfigError(
                f"Expected `{field}.unit` other than 'per_object', as labels of pixels have no "
                "objects, but got 'per_object'"
            )


def _check_source(task: Task, rounds: Rounds, acquisition: Acquisition) -> None:
    """Refuses what needs a source domain where there is none."""
    if len(task.manifest.source):
        return
    if (rounds.initial or {}).get('source') or 'source' in acquisition.observes:
        field = '`acquisition`' if 'source' in acquisition.observes else '`rounds.initial.source`'
        raise ConfigError(
            f'Expected the dict `source`, a labelled data set of another domain, as {field} needs '
            'it, but got none'
        )
