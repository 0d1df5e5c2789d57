"""The images of an mmdet config."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dense_al.proposals.listing import ListedImage, check_keys_differ
from dense_al.registry import ConfigError, type_name

SPLITS = ('train', 'val', 'test')
REPEATING = ('RepeatDataset', 'ClassBalancedDataset', 'MultiImageMixDataset')


def config_images(cfg: Mapping[str, Any]) -> dict[str, list[ListedImage]]:
    """The images of the data sets of an mmdet config, every list of images once.

    Args:
        cfg: The config; its data must be there, its `proposal_file` need not.

    Returns:
        `train`, `val` or `test` -> images in the order of the data set, none filtered out.

    Raises:
        ConfigError: No data set, or one that consists of several.
    """
    found: dict[str, list[ListedImage]] = {}
    for split in SPLITS:
        given = (cfg.get(f'{split}_dataloader') or {}).get('dataset')
        if given is None:
            continue
        images = _images_of(given, f'{split}_dataloader.dataset')
        check_keys_differ(images, split)
        if images not in found.values():
            found[split] = images
    if not found:
        raise ConfigError('Expected `train_dataloader` with a `dataset`, but got a config without')
    return found


def _images_of(given: Mapping[str, Any], field: str) -> list[ListedImage]:
    """The images of one data set's config."""
    from mmdet.registry import DATASETS
    from mmengine.registry import init_default_scope

    while type_name(given) in REPEATING:
        given = given['dataset']
    if 'dataset' in given or 'datasets' in given:
        raise ConfigError(
            f'Expected `{field}` to be one data set, as mmdet reads a file of proposals for each, '
            f'but got the wrapper `{given["type"]}`'
        )
    init_default_scope('mmdet')
    # Filters look at annotations, mmdet counts proposals before it filters.
    whole = {'pipeline': [], 'test_mode': True, 'proposal_file': None, 'filter_cfg': None}
    dataset = DATASETS.build({**copy.deepcopy(dict(given)), **whole, 'serialize_data': False})
    records = (dataset.get_data_info(i) for i in range(len(dataset)))
    return [_listed(record) for record in records]


def _listed(record: Mapping[str, Any]) -> ListedImage:
    path, number = Path(record['img_path']).absolute(), record['img_id']
    digits = str(number).replace('_', '')
    indexes = (number, int(digits)) if digits.isdigit() else (number,)
    return ListedImage(path, indexes, (int(record['height']), int(record['width'])))
