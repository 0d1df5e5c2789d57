"""From a stock config to the config of one round."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.optim import LinearLR

from dense_al.adapters import mmseg_config, surgery
from dense_al.registry import ConfigError


def config(**train):
    return ConfigDict(
        train_cfg=train,
        param_scheduler=[
            dict(type='LinearLR', begin=0, end=500, by_epoch=False),
            dict(type='PolyLR', begin=500, end=40000, by_epoch=False),
        ],
    )


def test_schedules_shrink_with_the_round():
    cfg = config(type='IterBasedTrainLoop', max_iters=40000, val_interval=4000)
    assert surgery.set_length(cfg, 400, None, per_epoch=3, old_per_epoch=100) == 400
    assert [(s['begin'], s['end']) for s in cfg.param_scheduler] == [(0, 5), (5, 400)]
    assert cfg.train_cfg == {'type': 'IterBasedTrainLoop', 'max_iters': 400, 'val_interval': 400}


@pytest.mark.parametrize('iterations', [20, 100, 400])
def test_a_short_round_reaches_the_base_rate(iterations):
    cfg = config(type='IterBasedTrainLoop', max_iters=40000)
    surgery.set_length(cfg, iterations, None, per_epoch=3, old_per_epoch=100)
    weights = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weights], lr=1.0)
    warm_up = {k: v for k, v in cfg.param_scheduler[0].items() if k != 'type'}
    scheduler, rates = LinearLR(optimizer, start_factor=1e-3, **warm_up), []
    for _ in range(iterations):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        scheduler.step()
    assert rates[0] == pytest.approx(1e-3) and rates[-1] == pytest.approx(1.0)


def test_epochs_count_labelled_samples():
    cfg = config(type='EpochBasedTrainLoop', max_epochs=24)
    cfg.param_scheduler = [dict(type='MultiStepLR', milestones=[16, 22], by_epoch=True)]
    assert surgery.set_length(cfg, None, 12, per_epoch=10, old_per_epoch=100) == 120
    assert cfg.param_scheduler[0]['milestones'] == [80, 110]
    assert cfg.param_scheduler[0]['by_epoch'] is False


def test_what_is_done_in_each_step_is_spread_over_the_steps():
    cfg = config(type='EpochBasedTrainLoop', max_epochs=12)
    cfg.param_scheduler = [
        dict(type='ExponentialLR', gamma=0.9, by_epoch=True),
        dict(type='CosineRestartLR', periods=[4, 8], by_epoch=True),
    ]
    surgery.set_length(cfg, 600, None, per_epoch=10, old_per_epoch=100)
    decaying, restarting = cfg.param_scheduler
    assert decaying['gamma'] ** 600 == pytest.approx(0.9**12)
    assert restarting['periods'] == [200, 400]


def test_whatever_counts_steps_shrinks_with_the_round():
    cfg = config(type='IterBasedTrainLoop', max_iters=40000)
    cfg.param_scheduler = [
        dict(type='CosineAnnealingLR', T_max=40000, begin=0, end=40000, by_epoch=False),
        dict(type='OneCycleLR', total_steps=40000, by_epoch=False),
    ]
    surgery.set_length(cfg, 400, None, per_epoch=3, old_per_epoch=100)
    assert [cfg.param_scheduler[0]['T_max'], cfg.param_scheduler[1]['total_steps']] == [400, 400]
    cfg = config(type='EpochBasedTrainLoop', max_epochs=12)
    cfg.param_scheduler = [dict(type='StepLR', step_size=8, convert_to_iter_based=True)]
    surgery.set_length(cfg, None, 12, per_epoch=10, old_per_epoch=100)  # mmengine's are by epoch
    assert cfg.param_scheduler == [dict(type='StepLR', step_size=80, by_epoch=False)]


@pytest.mark.parametrize(
    ('loss', 'wanted'),
    [
        ({}, True),
        (dict(class_weight=[1.0]), False),
        (dict(class_weight=[1.0], use_sigmoid=True), True),
    ],
)
def test_cross_entropies_average_over_what_is_labelled(loss, wanted):
    model = dict(
        decode_head=dict(type='FCNHead', loss_decode=dict(type='CrossEntropyLoss', **loss))
    )
    mmseg_config.partial_losses(model)
    assert model['decode_head']['loss_decode']['avg_non_ignore'] is wanted


def test_without_a_length_the_stock_schedule_stays():
    cfg = config(type='IterBasedTrainLoop', max_iters=40000)
    assert surgery.set_length(cfg, None, None, per_epoch=3, old_per_epoch=100) == 40000
    assert [(s['begin'], s['end']) for s in cfg.param_scheduler] == [(0, 500), (500, 40000)]
    cfg = config(type='EpochBasedTrainLoop', max_epochs=2)
    cfg.param_scheduler = []
    assert surgery.set_length(cfg, None, None, per_epoch=3, old_per_epoch=100) == 200


def test_a_train_cfg_without_length():
    with pytest.raises(ConfigError, match=r'`train_cfg\.max_iters`'):
        surgery.set_length(config(type='IterBasedTrainLoop'), 5, None, 1, 1)


@pytest.mark.parametrize('name', sorted(mmseg_config.REFUSED))
def test_what_cannot_learn_from_parts_is_refused_by_name(name):
    model = dict(decode_head=[dict(type='FCNHead', loss_decode=dict(type=name))])
    with pytest.raises(ConfigError, match=f'`{name}`'):
        mmseg_config.check_model(model, partial=True)
    mmseg_config.check_model(model, partial=False)


def test_a_loss_on_classes_in_an_image_is_left_out_where_some_are_not_asked():
    for partial in (True, False):
        model = dict(decode_head=dict(type='EncHead', loss_decode=dict(type='CrossEntropyLoss')))
        mmseg_config.partial_losses(model, partial=partial)
        assert model['decode_head'].get('use_se_loss', True) is not partial
        assert model['decode_head']['loss_decode']['avg_non_ignore'] is True


def pool(**dataset):
    return dict(train_dataloader=dict(dataset=dataset))


def test_wrappers_that_repeat_or_join_come_off_and_others_are_refused():
    one, two = (dict(type='BaseSegDataset', data_root=root, pipeline=[]) for root in 'ab')
    cfg = pool(type='RepeatDataset', times=9, dataset=one)
    assert surgery.pool_datasets(cfg) == [one] and surgery.repeats(cfg) == 9
    joined = dict(type='mmengine.ConcatDataset', datasets=[two, one])
    cfg = pool(type='RepeatDataset', times=3, dataset=joined)
    assert surgery.pool_datasets(cfg) == [two, one] and surgery.repeats(cfg) == 3
    assert surgery.repeats(pool(**one)) == 1
    assert surgery.pool_datasets(pool(type='MultiImageMixDataset', dataset=one)) == [one]
    with pytest.raises(ConfigError, match='the wrapper `KFoldDataset`'):
        surgery.pool_datasets(pool(type='KFoldDataset', dataset=one))
    with pytest.raises(ConfigError, match='the wrapper `ClassBalancedDataset`'):
        cut = dict(type='ClassBalancedDataset', oversample_thr=0.1, dataset=one)
        surgery.pool_datasets(pool(type='ConcatDataset', datasets=[two, cut]))
    other = {**two, 'pipeline': [dict(type='LoadImageFromFile')]}
    with pytest.raises(ConfigError, match='the same `pipeline`'):
        surgery.pool_datasets(pool(type='ConcatDataset', datasets=[one, other]))
    with pytest.raises(ConfigError, match='data sets in .* got none'):
        surgery.pool_datasets(pool(type='ConcatDataset', datasets=[]))


def test_losses_average_over_labelled_pixels():
    import torch
    from mmengine.registry import init_default_scope
    from mmseg.registry import MODELS

    init_default_scope('mmseg')

    label = torch.full((1, 4, 4), 255)
    label[0, 0, :2] = torch.tensor([0, 1])
    score = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    plain = torch.nn.functional.cross_entropy
    for weight in (None, [0.5, 2.0, 1.0]):
        model = dict(loss_decode=[dict(type='CrossEntropyLoss', class_weight=weight)])
        mmseg_config.partial_losses(model)
        found = MODELS.build(model['loss_decode'][0])(score, label, ignore_index=255)
        tensor = None if weight is None else torch.tensor(weight)
        assert found.item() == pytest.approx(
            plain(score, label, weight=tensor, ignore_index=255).item(), rel=1e-5
        )


@pytest.mark.parametrize('weight', [None, [0.5, 2.0, 1.0]])
def test_each_image_counts_the_same_however_little_of_it_is_labelled(weight):
    import torch
    from mmengine.registry import init_default_scope
    from mmseg.registry import MODELS

    import dense_al.models.image_cross_entropy  # noqa: F401 registers

    init_default_scope('mmseg')

    whole = torch.randint(0, 3, (4, 4), generator=torch.Generator().manual_seed(0))
    little = torch.full((4, 4), 255)
    little[0, 0], little[1, 2] = 2, 1
    none = torch.full((4, 4), 255)
    label = torch.stack([whole, little, none])
    score = torch.randn(3, 3, 4, 4, generator=torch.Generator().manual_seed(1), requires_grad=True)
    model = dict(loss_decode=dict(type='CrossEntropyLoss', class_weight=weight, loss_weight=0.5))
    mmseg_config.partial_losses(model, per_image=True)
    loss = MODELS.build(model['loss_decode'])
    tensor = None if weight is None else torch.tensor(weight)
    each = [
        torch.nn.functional.cross_entropy(
            score[i : i + 1], label[i : i + 1], tensor, ignore_index=255
        )
        for i in (0, 1)
    ]
    found = loss(score, label, ignore_index=255)
    assert found.item() == pytest.approx(0.5 * (each[0] + each[1]).item() / 2, rel=1e-5)
    nothing = loss(score, none.expand(3, 4, 4), ignore_index=255)
    nothing.backward()
    assert nothing.item() == 0 and score.grad.abs().sum() == 0


def test_metrics_are_known_beforehand():
    evaluator = dict(type='IoUMetric', iou_metrics=['mIoU', 'mDice'])
    for name in ('aAcc', 'mIoU', 'mDice', 'mAcc'):
        mmseg_config.check_metric(evaluator, name)
    with pytest.raises(ConfigError, match='Did you mean `mDice`'):
        mmseg_config.check_metric([evaluator], 'mDise')
    mmseg_config.check_metric(dict(type='MyMetric'), 'whatever')


def test_local_norms():
    model = dict(backbone=dict(norm_cfg=dict(type='SyncBN', requires_grad=True)))
    surgery.local_norms(model)
    assert model['backbone']['norm_cfg']['type'] == 'BN'
