"""Data and weights that frameworks take without a word are refused, and images kept apart."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from dense_al.adapters import checks
from dense_al.adapters.classes import check_names
from dense_al.adapters.framework import FrameworkTask
from dense_al.adapters.mmseg import _check_depth
from dense_al.adapters.mmseg_metric import PerClassIoU
from dense_al.registry import ConfigError
from dense_al.structures import Manifest

KEYPOINTS = [dict(id=4, name='person', keypoints=['nose', 'eye'], skeleton=[[1, 2]])]


def coco(path, names, first=False, more=()):
    categories = [*more, *(dict(id=7 - i, name=name) for i, name in enumerate(names))]
    parts = [('images', [dict(id=1, tags=['[', ']'])]), ('annotations', [])]
    parts.insert(0 if first else 2, ('categories', categories))
    path.write_text(json.dumps(dict(parts)))
    return str(path)


def dataset(file, names, by=None):
    """With numbers of categories as mmdet finds them: in the order of the file, or `by` another."""
    cat_ids = [0] * len(names)
    try:
        found = json.loads(Path(file).read_text())['categories']
        cat_ids = [c['id'] for c in sorted(found, key=by or (lambda c: 0)) if c['name'] in names]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return SimpleNamespace(cat_ids=cat_ids, ann_file=file, metainfo=dict(classes=tuple(names)))


@pytest.mark.parametrize('first', [True, False])
def test_classes_come_in_the_order_of_the_file(tmp_path, first):
    file = coco(tmp_path / 'a.json', ['car', 'dog', 'bus'], first, KEYPOINTS)
    for names in (['car', 'dog', 'bus'], ['car', 'bus'], ['person', 'dog']):
        check_names([dataset(file, names)], 'train_dataloader.dataset')
    with pytest.raises(
        ConfigError, match=r"by which mmdet numbers them, \['car', 'bus'\], but got \['bus"
    ):
        check_names([dataset(file, ['bus', 'car'])], 'train_dataloader.dataset')
    with pytest.raises(ConfigError, match="'dogs' is not. Did you mean `dog`"):
        check_names([dataset(file, ['car', 'dogs'])], 'train_dataloader.dataset')
    for odd in (float('nan'), 6, None):  # said by others
        check_names(
            [SimpleNamespace(cat_ids=[7, 6], ann_file=file, metainfo=dict(classes=('car', odd)))],
            'x',
        )
    # Objects365 numbers them by their ids, which fall here.
    check_names([dataset(file, ['bus', 'car'], by=lambda c: c['id'])], 'x')
    with pytest.raises(ConfigError, match=r"\['bus', 'car'\], but got \['car', 'bus'\]"):
        check_names([dataset(file, ['car', 'bus'], by=lambda c: c['id'])], 'x')


def test_files_that_say_nothing_of_classes_are_left_to_the_framework(tmp_path):
    for text in ('', '{}', '{"categories": 5}', '{"categories": [{}', '{"categories": [1]}'):
        (tmp_path / 'a.json').write_text(text)
        check_names([dataset(str(tmp_path / 'a.json'), ['a'])], 'x')
    check_names([dataset(str(tmp_path / 'nowhere'), ['a'])], 'x')


@pytest.mark.parametrize(
    ('values', 'kind', 'wrong'),
    [
        ([256, 513], np.uint16, '256'), ([0, 255], np.uint16, None), ([70000], np.int32, '70000'),
        ([3, -1], np.int32, '-1'), ([0, 300], np.float32, '300'), ([0, 255], np.float32, None),
        ([0, np.nan], np.float32, 'nan'), ([1, 1.5], np.float32, '1.5'), ([9], np.uint8, None),
    ],
)  # fmt: skip
def test_labels_that_no_byte_holds_are_neither_wrapped_nor_cut(tmp_path, values, kind, wrong):
    path = str(tmp_path / 'a.tif')
    Image.fromarray(np.array([values], kind)).save(path)
    if wrong is None:
        _check_depth(path)
        return
    with pytest.raises(ValueError, match=f'one byte for each pixel, but it holds {wrong}$'):
        _check_depth(path)


def test_labels_that_are_no_images_are_left_to_the_framework(tmp_path):
    (tmp_path / 'a.npy').write_bytes(b'x' * 100)
    _check_depth(str(tmp_path / 'a.npy'))


def model(width=3):
    return nn.Sequential(nn.Linear(2, width), nn.BatchNorm1d(width))


@pytest.mark.parametrize('wrapped', [True, False])
def test_a_checkpoint_has_all_weights_of_the_model(tmp_path, wrapped):
    state, path = model().state_dict(), str(tmp_path / 'a.pth')
    del state['1.running_mean']  # no weight
    weights = {f'module.{k}': v for k, v in state.items()}
    torch.save(dict(state_dict=weights, meta={}) if wrapped else weights, path)
    checks.check_checkpoint(model(), path)
    checks.check_checkpoint(model(), None)
    with pytest.raises(ConfigError, match='`rounds.initial.checkpoint`: .*size mismatch'):
        checks.check_checkpoint(model(4), path)
    with pytest.raises(ConfigError, match='of this model in .*2 are not there, such as `other'):
        more = model()
        more.add_module('other', nn.Linear(2, 2))
        checks.check_checkpoint(more, path)


def test_layers_are_told_the_version_of_their_weights(tmp_path):
    class Versioned(nn.Linear):
        _version = 3

        def _load_from_state_dict(self, state_dict, prefix, local_metadata, *args):
            seen.append(local_metadata.get('version'))
            super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)

    seen, path = [], str(tmp_path / 'a.pth')
    torch.save(dict(state_dict=Versioned(2, 2).state_dict()), path)
    checks.check_checkpoint(Versioned(2, 2), path)
    assert seen == [3]


def test_only_images_of_one_size_are_predicted_on_together():
    sizes = [(4, 4), (4, 4), (4, 4), (4, 5), (4, 4), (4, 4)]
    names = [f'{i}.png' for i in range(6)]
    task = SimpleNamespace(manifest=Manifest.of_images(names, names, sizes))
    for samples, wanted in (
        ([0, 1, 2, 3, 4, 5], [[0, 1], [2], [3], [4, 5]]), ([5, 0, 3], [[0, 1], [2]]), ([], []),
    ):  # fmt: skip
        assert FrameworkTask._batches(task, np.array(samples, np.int64), 2) == wanted


def test_the_result_of_each_class_is_that_of_all_images_together():
    rng = np.random.default_rng(0)
    metric, n = PerClassIoU(), 4
    metric.dataset_meta = dict(classes=list('abcd'))
    predicted, truth = rng.integers(3, size=(2, 5, 6, 7))
    truth[rng.random(truth.shape) < 0.2] = 255
    for p, t in zip(predicted, truth):
        parts = {'pred_sem_seg': p, 'gt_sem_seg': t}
        sample = {k: {'data': torch.from_numpy(v[None])} for k, v in parts.items()}
        metric.process(None, [sample])
    found = metric.compute_metrics(metric.results)
    known = truth != 255
    for c, name in enumerate('abcd'):
        hit = ((predicted == c) & (truth == c)).sum()
        either = ((predicted == c) | (truth == c))[known].sum()
        assert found[name] == pytest.approx(100 * hit / either) if either else np.isnan(found[name])
    assert len(metric.results) == 5 and metric.results[0].shape == (3, n)
