"""D2ADA's configs: they load, fit together, read the data as it lies on a disk, and learn."""

from pathlib import Path

import pytest
import torch
from domain_layouts import write_cityscapes, write_gta5, write_synthia
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS

import dense_al.adapters.mmseg  # noqa: F401 registers the parts of models
from dense_al.adapters.mmseg_predict import last_layer
from dense_al.adapters.task import Rounds
from dense_al.config import read_config
from dense_al.datasets.domains import CITYSCAPES_CLASSES, SYNTHIA_16

BASE = Path(__file__).resolve().parents[2] / 'configs' / '_base_'
LEAF = """
_base_ = [
    '{base}/models/{model}_r101.py', '{base}/datasets/{source}_cityscapes.py',
    '{base}/schedule/d2ada_rounds.py']
model = dict(
    backbone=dict(depth=18, init_cfg=None), data_preprocessor=dict(size=(64, 128)),
    discriminator=dict(channels=4), decode_head=dict(num_classes={classes}, channels=8, {head}))
"""
HEADS = {
    'deeplabv2': 'in_channels=512',
    'deeplabv3plus': 'in_channels=512, c1_in_channels=64, c1_channels=8',
}
CLASSES = {'gta5': CITYSCAPES_CLASSES, 'synthia': SYNTHIA_16}


@pytest.fixture(autouse=True, scope='module')
def scope():
    init_default_scope('mmseg')


@pytest.fixture
def config(tmp_path):
    def load(model, source):
        path = tmp_path / 'leaf.py'
        path.write_text(
            LEAF.format(
                base=BASE, model=model, source=source, head=HEADS[model],
                classes=len(CLASSES[source]))
        )  # fmt: skip
        return read_config(path)

    return load


def shown(cfg, root, source_root):
    """The pool and the source data set of a config on tiny data, with tiny crops."""
    found = []
    for data, folder in ((cfg.train_dataloader.dataset, root), (cfg.source.dataset, source_root)):
        data = data.copy()
        data.data_root = str(folder)
        for step in data.pipeline:
            if step.type in ('RandomResize', 'Resize'):
                step.scale = (128, 64)
            if step.type == 'RandomCrop':
                step.crop_size = (64, 128)
        found.append(DATASETS.build(data))
    return found


@pytest.mark.parametrize('source', ['gta5', 'synthia'])
@pytest.mark.parametrize('model', ['deeplabv2', 'deeplabv3plus'])
def test_they_learn_from_both_domains(tmp_path, config, model, source):
    write = dict(gta5=write_gta5, synthia=write_synthia)[source]
    (root, _), (source_root, _) = write_cityscapes(tmp_path, train=2, val=2), write(tmp_path, 2)
    cfg = config(model, source)
    target, labelled = shown(cfg, root, source_root)
    assert target.metainfo['classes'] == labelled.metainfo['classes'] == CLASSES[source]
    assert target.metainfo['palette'] == labelled.metainfo['palette']
    torch.manual_seed(0)
    segmentor = MODELS.build(cfg.model).train()
    batch = [labelled[0], target[0]]
    for sample, domain in zip(batch, ('source', 'target')):
        sample['data_samples'].set_metainfo(dict(domain=domain))
    batch = {key: [sample[key] for sample in batch] for key in ('inputs', 'data_samples')}
    wrapper = build_optim_wrapper(segmentor, cfg.optim_wrapper)
    rates = sorted({g['lr'] for g in wrapper.param_groups})
    assert rates == pytest.approx([2.5e-4, 2.5e-3])
    losses = [segmentor.train_step(batch, wrapper)['decode.loss_ce'].item() for _ in range(4)]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize('source', ['gta5', 'synthia'])
def test_validation_reads_the_classes_of_training(tmp_path, config, source):
    root, _ = write_cityscapes(tmp_path, train=1, val=2)
    cfg = config('deeplabv2', source)
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.data_root = str(root)
        assert loader.dataset.pipeline[1].scale == (2048, 1024)
        loader.dataset.pipeline[1].scale = (256, 128)
        found = DATASETS.build(loader.dataset)
        assert found.metainfo['classes'] == CLASSES[source] and len(found) == 2
        assert found[0]['inputs'].shape == (3, 128, 256)
        assert found[0]['data_samples'].gt_sem_seg.data.shape == (1, 64, 128)


@pytest.mark.parametrize('model, stride', [('deeplabv2', 8), ('deeplabv3plus', 4)])
@torch.no_grad()
def test_models_predict_and_give_features(config, model, stride):
    segmentor = MODELS.build(config(model, 'gta5').model).eval()
    seen = []
    last_layer(segmentor).register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    (found,) = segmentor.predict(torch.rand(1, 3, 64, 128))
    assert found.seg_logits.data.shape[0] == 19
    assert seen[0].shape == (1, 8, 64 // stride, 128 // stride)
    deepest = segmentor.backbone(torch.rand(1, 3, 64, 128))[-1]
    assert deepest.shape[2:] == (64 // 8, 128 // 8) if stride == 8 else (64 // 16, 128 // 16)


def test_rounds_after_the_warm_up_have_no_adversary(config):
    cfg = config('deeplabv2', 'gta5')
    assert cfg.rounds.iterations == [100000] + [120000] * 5 and cfg.rounds.count == 6
    before = MODELS.build(cfg.model)
    cfg.merge_from_dict(dict(cfg.rounds.later))
    after = MODELS.build(cfg.model)
    assert before.adversary is not None and after.adversary is None
    after.load_state_dict(before.state_dict(), strict=True)


@pytest.mark.parametrize('model', ['deeplabv2', 'deeplabv3plus'])
def test_rates_are_the_released_ones(config, model):
    """They rise over 5,000 of the 100,000 iterations of the warm-up, and never again."""
    cfg = config(model, 'gta5')
    kinds = [(s.type, s.end) for s in cfg.param_scheduler]
    assert kinds == [('LinearLR', 5000), ('PolyLR', 100000)]
    adversary = MODELS.build(cfg.model).adversary
    assert adversary.warmup * 100000 == 5000 and adversary.min_lr == 1e-6
    later = cfg.rounds.later.param_scheduler
    assert [(s.type, s.power, s.eta_min, s.end) for s in later] == [('PolyLR', 0.9, 1e-6, 120000)]


@pytest.mark.parametrize('model, stages', [('deeplabv2', {3: 1, 4: 2}), ('deeplabv3plus', {4: 1})])
def test_first_blocks_of_dilated_stages_are_dilated_less(config, model, stages):
    backbone = MODELS.build(config(model, 'gta5').model).backbone
    for stage, first in stages.items():
        blocks = getattr(backbone, f'layer{stage}')
        found = [max(block.conv1.dilation + block.conv2.dilation) for block in blocks]
        assert found == [first] + [2 * first] * (len(blocks) - 1)


def test_synthia_is_shown_at_the_size_of_cityscapes(tmp_path, config):
    source_root, _ = write_synthia(tmp_path, 1)
    data = config('deeplabv2', 'synthia').source.dataset.copy()
    data.data_root, data.pipeline = str(source_root), data.pipeline[:3]
    shown = DATASETS.build(data)[0]
    assert shown['img'].shape == (1024, 2048, 3) and shown['gt_seg_map'].shape == (1024, 2048)


def test_rounds_are_accepted(config):
    given = dict(config('deeplabv2', 'gta5').rounds)
    given.pop('initial')
    assert Rounds(**given).iterations_of(0) == 100000
