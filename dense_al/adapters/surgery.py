"""Changes to a stock mm config that every framework's rounds need."""

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from dense_al.datasets.pipelines import without_annotations
from dense_al.registry import ConfigError, check_keys, type_name

UNWRAPPED = ('RepeatDataset', 'ConcatDataset')
# These go around what is answered in the place of the whole data set.
KEPT = ('MultiImageMixDataset', 'ClassBalancedDataset')


def dicts(node: Any) -> Iterator[dict[str, Any]]:
    """All dicts inside a nested config, outermost first."""
    if isinstance(node, dict):
        yield node
        for value in list(node.values()):
            yield from dicts(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from dicts(value)


def pool_datasets(cfg: Any) -> list[dict[str, Any]]:
    """Configs of the training data sets, which in this order are the pool.

    Wrappers that only repeat or join data sets are taken off, and so is that of `wrapper_of`. All
    samples are of one kind: joined data sets have the same pipeline and the same filter.

    Raises:
        ConfigError: A wrapper that is not supported, or parts that differ.
    """
    given = copy.deepcopy(cfg['train_dataloader']['dataset'])
    parts = list(unwrapped(given, 'train_dataloader.dataset'))
    wrapper_of(cfg)
    for part in parts[1:]:
        for key in ('pipeline', 'filter_cfg'):
            if part.get(key) != parts[0].get(key):
                raise ConfigError(
                    f'Expected the same `{key}` in all data sets of `train_dataloader.dataset`, '
                    f'but got {parts[0].get(key)} and {part.get(key)}'
                )
    if not parts:
        raise ConfigError('Expected data sets in `train_dataloader.dataset`, but got none')
    return parts


def wrapper_of(cfg: Any) -> dict[str, Any] | None:
    """The wrapper of the training data that a round puts around what is answered, if any.

    Raises:
        ConfigError: There are several, of which mmdet builds but the innermost.
    """
    found, node = [], cfg['train_dataloader']['dataset']
    while 'dataset' in node:
        if type_name(node) in KEPT:
            found.append(copy.deepcopy({k: v for k, v in node.items() if k != 'dataset'}))
        node = node['dataset']
    if len(found) > 1:
        raise ConfigError(
            f'Expected `train_dataloader.dataset` in at most one of {" and ".join(KEPT)}, but got '
            f'{" in ".join(type_name(node) for node in reversed(found))}'
        )
    return found[0] if found else None


def unwrapped(node: Any, field: str, joined: bool = False) -> Iterator[dict[str, Any]]:
    """The data sets inside wrappers; of a part that is joined to others only repeats come off.

    Args:
        node: Config of a data set.
        field: Where it stands, for messages.
        joined: Whether it is such a part.

    Raises:
        ConfigError: It is no dict, or a wrapper is another one or is empty.
    """
    if not isinstance(node, dict):
        raise ConfigError(f'Expected `{field}` to be a dict, but got {node!r}')
    name = type_name(node)
    if name == 'RepeatDataset':
        times = node.get('times')
        if type(times) is not int or times < 1:
            raise ConfigError(
                f'Expected `{field}.times` to be an integer of at least 1, but got {times!r}'
            )
    if name == 'RepeatDataset' or (name in KEPT and not joined):
        yield from unwrapped(node.get('dataset'), f'{field}.dataset', joined)
    elif name == 'ConcatDataset':
        parts = node.get('datasets')
        if not isinstance(parts, (list, tuple)):
            raise ConfigError(f'Expected `{field}.datasets` to be a list, but got {parts!r}')
        for i, part in enumerate(parts):
            yield from unwrapped(part, f'{field}.datasets[{i}]', joined=True)
    elif 'dataset' in node or 'datasets' in node:
        raise ConfigError(
            f'Expected `{field}` to be a data set, repeated or joined by '
            f'{" or ".join(UNWRAPPED)}, all of it perhaps in {" or ".join(KEPT)}, but got the '
            f'wrapper `{name}`; give the data set inside it'
        )
    else:
        yield node


def source_of(cfg: Any) -> dict[str, Any] | None:
    """The source domain of a config, None if it has none.

    Returns:
        `dataset`: config of a labelled data set; `share`: probability that a training sample is
        drawn from it; `unlabelled`: whether training also shows target images without labels,
        True, False, or `first` for round 0 alone; `per_image`: whether each image of a batch counts
        the same in the loss, however little of it is labelled.

    Raises:
        ConfigError: Another key, or a value out of range.
    """
    given = cfg.get('source')
    if given is None:
        return None
    check_keys(given, ('dataset', 'share', 'unlabelled', 'per_image'), 'source')
    if not isinstance(given.get('dataset'), dict):
        raise ConfigError(f'Expected the dict `source.dataset`, but got {given.get("dataset")!r}')
    share = given.get('share', 0.5)
    number = isinstance(share, (int, float)) and not isinstance(share, bool)
    if not number or not 0 < share < 1:
        raise ConfigError(f'Expected `source.share` in (0, 1), but got {share!r}')
    shown = given.get('unlabelled', False)
    if not isinstance(shown, bool) and shown != 'first':
        raise ConfigError(f"Expected `source.unlabelled` True, False or 'first', but got {shown!r}")
    if not isinstance(given.get('per_image', True), bool):
        raise ConfigError(
            f'Expected `source.per_image` True or False, but got {given["per_image"]!r}'
        )
    defaults = {'unlabelled': False, 'per_image': True}
    return {**defaults, **copy.deepcopy(dict(given)), 'share': float(share)}


def repeats(cfg: Any) -> int:
    """How often one epoch of the config shows its data set."""
    node, times = cfg['train_dataloader']['dataset'], 1
    while type_name(node) in ('RepeatDataset', *KEPT):
        times *= int(node.get('times', 1))
        node = node['dataset']
    return times


def local_norms(model: Any) -> None:
    """Replaces norms that need several processes by BN (in place)."""
    for node in dicts(model):
        if type_name(node) in ('SyncBN', 'MMSyncBN'):
            node['type'] = 'BN'


def image_pipeline(pipeline: Sequence[Any]) -> list[Any]:
    """A copy of a test pipeline that opens no label file and keeps which sample it is."""
    return packed(without_annotations(pipeline), ('sample',))


def packed(pipeline: Sequence[Any], keys: Sequence[str]) -> list[Any]:
    """A copy of a pipeline that packs some more of a sample's keys into its metainfo."""
    kept = copy.deepcopy(list(pipeline))
    for step in kept:
        if type_name(step).startswith('Pack'):
            default = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'pad_shape', 'scale_factor')
            given = step.get('meta_keys', (*default, 'flip', 'flip_direction'))
            step['meta_keys'] = (*given, *(k for k in keys if k not in given))
    return kept


def is_epoch_based(train_cfg: dict[str, Any]) -> bool:
    """Whether a train_cfg counts in epochs."""
    return bool(train_cfg.get('by_epoch')) or 'Epoch' in type_name(train_cfg)


def set_length(
    cfg: Any, iterations: int | None, epochs: int | None, per_epoch: int, old_per_epoch: int
) -> int:
    """Gives a round its length and scales the schedulers to it (in place).

    Args:
        cfg: The round's config.
        iterations: Iterations of the round, or
        epochs: passes over the labelled samples; None for both: as the config says.
        per_epoch: Iterations of one pass of all processes over the labelled samples.
        old_per_epoch: Iterations of one pass of all processes over the whole pool.

    Returns:
        Iterations of the round.
    """
    train_cfg = cfg['train_cfg']
    epoch_based = is_epoch_based(train_cfg)
    key = 'max_epochs' if epoch_based else 'max_iters'
    old = train_cfg.get(key)
    if type(old) is not int or old < 1:
        raise ConfigError(
            f'Expected `train_cfg.{key}` to be an integer of at least 1, but got {old!r}'
        )
    old_iterations = old * old_per_epoch if epoch_based else old
    if iterations is None:
        iterations = epochs * per_epoch if epochs is not None else old_iterations
    for scheduler in listed(cfg.get('param_scheduler')):
        by_epoch = scheduler.get('by_epoch', True)
        _scale(scheduler, iterations / (old if by_epoch and epoch_based else old_iterations))
        scheduler['by_epoch'] = False
        scheduler.pop('convert_to_iter_based', None)
    cfg['train_cfg'] = {
        'type': 'IterBasedTrainLoop',
        'max_iters': iterations,
        'val_interval': iterations,
    }
    return iterations


def listed(node: Any) -> list[dict[str, Any]]:
    """What may be one dict, several, or None, as a list."""
    if node is None:
        return []
    return list(node) if isinstance(node, (list, tuple)) else [node]


def _scale(scheduler: dict[str, Any], factor: float) -> None:
    """Scales everything that counts steps, and what is done in each of them."""
    change: Callable[[Any], int] = lambda value: max(1, round(value * factor))  # noqa: E731
    for key in ('end', 'T_max', 'step_size', 'total_steps'):
        if isinstance(scheduler.get(key), (int, float)):
            scheduler[key] = change(scheduler[key])
    if scheduler.get('begin'):
        scheduler['begin'] = change(scheduler['begin'])
    if isinstance(scheduler.get('end'), int):
        # Rounding must not leave nothing of it; what rises over a single step never does.
        scheduler['end'] = max(scheduler['end'], scheduler.get('begin', 0) + 2)
    for key in ('milestones', 'periods'):
        if scheduler.get(key):
            scheduler[key] = [change(step) for step in scheduler[key]]
    if str(scheduler.get('type')).startswith('Exponential'):
        scheduler['gamma'] = scheduler['gamma'] ** (1 / factor)
