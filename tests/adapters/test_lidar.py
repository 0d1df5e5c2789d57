"""Scans as a task: manifest, labels, predictions in several views, and what is refused."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from scan_layouts import write_semantic_kitti

from dense_al.adapters import build_task
from dense_al.adapters.lidar import ScanTask
from dense_al.adapters.task import Rounds, TrainJob
from dense_al.config import read_config
from dense_al.datasets.scan_pool import AnsweredScans, EvaluatedScans, PredictedScans
from dense_al.pool import AnswerStore, Ledger, WholeImages
from dense_al.registry import ConfigError
from dense_al.structures import Answer, Pixels, ScanOptions

ROUNDS = Rounds(count=1, iterations=2)


@pytest.fixture(scope='module')
def layout(tmp_path_factory):
    return write_semantic_kitti(tmp_path_factory.mktemp('data'), n_points=300)


def config(layout, **changes):
    from scan_runs import CONFIGS

    cfg = read_config(CONFIGS / 'lidal/semantic_kitti_minkunet_random.py')
    data = dict(root=str(layout.root), split=None)
    cfg.merge_from_dict(
        dict(
            train_dataloader=dict(
                dataset=dict(**data, sequences=['00']), num_workers=0, persistent_workers=False
            ),
            val_dataloader=dict(
                dataset=dict(**data, sequences=['08']), num_workers=0, persistent_workers=False
            ),
            model=dict(backbone=dict(channels=(4, 4, 4), blocks=1, backend='torch')),
        )
    )
    cfg.merge_from_dict(changes)
    return cfg


@pytest.fixture(scope='module')
def task(layout):
    return build_task(config(layout), ROUNDS, partial=True)


@pytest.fixture(scope='module')
def checkpoint(task, tmp_path_factory):
    path = tmp_path_factory.mktemp('weights') / 'model.pth'
    torch.manual_seed(0)
    torch.save({'state_dict': task._model().state_dict()}, path)
    return path


def test_a_scan_is_as_high_as_it_has_points_and_one_wide(task, layout):
    assert isinstance(task, ScanTask) and task.form == 'pixels'
    manifest = task.manifest
    assert manifest.names == ('00/000000', '00/000001', '00/000005')
    assert manifest.heights.tolist() == [300] * 3 and manifest.widths.tolist() == [1] * 3
    assert manifest.sequences == ('00',) * 3 and manifest.frames.tolist() == [0, 1, 5]
    assert len(task.classes) == len(task.palette) == 19
    label = task.read_label(2).labels
    assert label.shape == (300,) and label.dtype == np.uint8
    assert (label == task.scans.label_map.apply(layout.raw['00/000005'])).all()


def test_predictions_are_those_of_an_image(task, checkpoint):
    samples = np.array([2, 0])
    found = list(task.predict(checkpoint, samples, frozenset({'probs', 'features'})))
    assert [p.sample for p in found] == [2, 0]
    for prediction in found:
        assert prediction.probs.shape == (19, 300, 1)
        assert prediction.features.shape == (4, 300, 1)
        assert prediction.probs.sum(0).numpy() == pytest.approx(1, abs=1e-5)
        assert prediction.labels.shape == (300, 1)
    assert next(task.predict(checkpoint, samples, frozenset({'probs'}))).features is None


def test_several_views_are_averaged_and_the_same_each_time(task, checkpoint):
    def probs(sample, **options):
        found = task.predict(
            checkpoint, np.array([sample]), frozenset({'probs'}), ScanOptions(**options)
        )
        return next(found).probs

    assert torch.equal(probs(1, passes=3), probs(1, passes=3))
    assert not torch.equal(probs(1, passes=3), probs(1, passes=2))
    assert not torch.equal(probs(1, passes=3), probs(1, passes=3, seed=1))
    steps = task._steps
    data = PredictedScans(task.scans, [1], steps, passes=3)
    model = task._model()
    model.load_state_dict(torch.load(checkpoint)['state_dict'])
    model.eval()
    views = [model.predict(**model.data_preprocessor([data[i]]))[0]['probs'] for i in range(3)]
    mean = torch.stack(views).mean(0)
    assert torch.allclose(probs(1, passes=3)[..., 0].T, mean, atol=1e-6)
    # Whatever else is predicted, a sample has its own views.
    both = task.predict(checkpoint, np.array([0, 1]), frozenset(), ScanOptions(passes=3))
    assert torch.allclose(list(both)[1].probs, probs(1, passes=3), atol=1e-5)


def answer(sample, labels):
    return Answer(
        sample, -1, 0, 'image', 'answered', 'x', len(labels), 0, 0, 0, -1, Pixels(labels).encode()
    )


def test_training_sees_the_answers_and_nothing_else(task, tmp_path):
    given = np.full(300, 255, np.uint8)
    given[:40] = 7
    job = TrainJob(
        0, Ledger([[answer(1, given)]]), WholeImages(task.manifest), tmp_path, tmp_path, None, 0
    )
    data = task._answered(job)
    assert isinstance(data, AnsweredScans) and len(data) == 1
    torch.manual_seed(3)
    first, second = data[0], data[0]
    assert set(np.unique(first['labels'])) <= {7, 255} and (first['labels'] == 7).any()
    assert (
        len(first['coords']) != len(second['coords']) or (first['coords'] != second['coords']).any()
    )
    torch.manual_seed(3)
    assert (data[0]['coords'] == first['coords']).all()
    with pytest.raises(ConfigError, match='at least one labelled scan'):
        task._answered(TrainJob(0, Ledger(), job.units, tmp_path, tmp_path, None, 0))


def test_a_batch_without_any_label_is_no_step_into_nothing(task):
    nothing = AnswerStore([answer(0, np.full(300, 255, np.uint8))], task.manifest, None)
    data = AnsweredScans(task.scans, [0], nothing, task._steps)
    model = task._model().train()
    loss = model(**model.data_preprocessor([data[0], data[0]], training=True), mode='loss')
    loss['loss_ce'].backward()
    assert loss['loss_ce'].item() == 0
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())


def test_evaluation_is_of_points_and_draws_nothing(task):
    data = EvaluatedScans(task._held_out, task._test_steps)
    one = data[1]
    assert (one['point_labels'] == task._held_out.load_labels(task._held_out.records[1])).all()
    assert (one['coords'] == data[1]['coords']).all() and len(one['inverse']) == 300


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'source': dict(dataset=dict())}, 'Expected no `source`'),
        ({'model.num_classes': 7}, 'to be 19, the classes'),
        ({'train_dataloader.dataset.pipeline': []}, 'to end in Voxelize'),
        ({'train_dataloader.dataset.pipeline': [dict(type='Voxelize', sise=1)]}, '`size`'),
        ({'train_dataloader.dataset.root': None}, 'the key `train_dataloader.dataset.root`'),
        ({'train_dataloader.dataset.scenes': ['a']}, 'Did you mean `sequences`'),
        ({'train_dataloader.dataset.sequences': ['17']}, 'Expected sequences of'),
    ],
)
def test_mistakes(layout, change, message):
    with pytest.raises(ConfigError, match=message):
        build_task(config(layout, **change), ROUNDS, partial=True)


def test_joined_data_sets_are_one_pool(layout):
    cfg = config(layout)
    part = cfg['train_dataloader']['dataset']
    other = Config(dict(part=part)).part
    both = [{**part, 'sequences': ['08']}, {**other, 'sequences': ['00']}]
    cfg['train_dataloader']['dataset'] = dict(type='ConcatDataset', datasets=both)
    task = build_task(cfg, ROUNDS, partial=True)
    assert [name[:2] for name in task.manifest.names] == ['08'] * 3 + ['00'] * 3
    cfg['train_dataloader']['dataset'] = dict(type='ConcatDataset', datasets=[part, part])
    with pytest.raises(ConfigError, match='comes twice'):
        build_task(cfg, ROUNDS, partial=True)


def test_held_out_scans_need_labels(tmp_path):
    bare = write_semantic_kitti(tmp_path, labels=False)
    with pytest.raises(ConfigError, match='Expected labels of `val_dataloader.dataset`'):
        build_task(config(bare), ROUNDS, partial=True)
