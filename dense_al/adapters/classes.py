"""Classes of data and model: they must be the same everywhere, in the same order."""

import json
import mmap
from collections.abc import Sequence
from typing import Any

from dense_al.registry import ConfigError, nearest

# Parts of models whose heads tell the classes of the data; others tell something else.
HEADS = ('decode_head', 'auxiliary_head', 'bbox_head', 'roi_head', 'mask_head', 'panoptic_head')
OTHER = ('rpn_head', 'semantic_head')
OTHER_TYPES = ('STDCHead',)  # tells borders


def check_names(datasets: Sequence[Any], field: str) -> None:
    """Refuses classes that annotations do not have, or have in another order.

    mmdet drops the former unsaid, and numbers classes as they come in the COCO file.

    Args:
        datasets: Data sets of a framework.
        field: Where they stand in the config.

    Raises:
        ConfigError: Some would be numbered wrongly.
    """
    for dataset in datasets:
        known = getattr(dataset, 'cat_ids', None)
        names = dataset.metainfo.get('classes') or ()
        if known is None:
            continue
        file = getattr(dataset, 'ann_file', '')
        name_of = _categories(file)
        there = list(name_of.values())
        numbered = [name_of[number] for number in known if number in name_of]
        wanted = [str(name) for name in names]  # checked elsewhere for what they are
        if sorted(numbered) == sorted(wanted) and numbered != wanted:
            raise ConfigError(
                f'Expected `{field}.metainfo.classes` in the order of the categories of {file}, by '
                f'which mmdet numbers them, {numbered}, but got {wanted}'
            )
        if len(known) != len(names):
            lost = [str(name) for name in names if name not in there]
            raise ConfigError(
                f'Expected the categories of {file} to have all of `{field}.metainfo.classes`, but '
                f'only {len(known)} of these {len(names)} names are there'
                + (f'; {lost[0]!r} is not. {nearest(lost[0], there)}' if lost and there else '')
            )


def _categories(file: str) -> dict[int, str]:
    """Number -> name of the categories in a COCO file, none where it cannot be read.

    Only their part of the file is decoded: the annotations beside it may take minutes.
    """
    try:
        with open(file, 'rb') as opened, mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ) as text:
            key = text.rfind(b'"categories"')
            start = text.find(b'[', key) if key >= 0 else -1
            if start < 0:
                return {}
            # A list of dicts without lists inside but for keypoints: the bracket that fits ends it.
            depth, end = 1, start
            while depth:
                end = min(i for i in (text.find(c, end + 1) for c in (b'[', b']')) if i >= 0)
                depth += 1 if text[end : end + 1] == b'[' else -1
            content = json.loads(text[start : end + 1])
        return {int(category['id']): str(category['name']) for category in content}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def check_evaluated(classes: Sequence[str], dataset: Any) -> None:
    """Refuses another list of classes in the evaluation.

    Args:
        classes: Of the pool.
        dataset: The data set that evaluates.

    Raises:
        ConfigError: It has other classes, or the same in another order.
    """
    evaluated = [str(c) for c in dataset.metainfo.get('classes') or ()]
    if evaluated != list(classes):
        raise ConfigError(
            'Expected the classes of the pool in `val_dataloader.dataset.metainfo.classes` '
            f'({list(classes)}), but got {evaluated}'
        )


def check_heads(model: Any, n_classes: int) -> None:
    """Refuses a model that tells another number of classes than the data have.

    Args:
        model: Of a framework.
        n_classes: Number of classes of the pool.

    Raises:
        ConfigError: One of its heads does.
    """
    for name, part in model.named_modules():
        path, kind = name.split('.'), type(part).__name__
        if path[0] not in HEADS or set(path) & set(OTHER) or kind in OTHER_TYPES:
            continue
        found = getattr(part, 'num_classes', None)
        if kind.endswith('Head') and type(found) is int and found != n_classes:
            raise ConfigError(
                f'Expected `model.{name}.num_classes` to be {n_classes}, the number of classes in '
                f'`train_dataloader.dataset.metainfo.classes`, but got {found}'
            )
