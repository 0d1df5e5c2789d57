"""Mask head of CondInst: masks, points, boxes and all of these in one batch."""

import numpy as np
import pytest
import torch
from mmdet.models.data_preprocessors import BoxInstDataPreprocessor
from mmdet.models.dense_heads import BoxInstMaskHead, CondInstMaskHead
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import ConfigDict
from mmengine.logging import MessageHub
from mmengine.structures import InstanceData
from torch.nn.functional import softplus

from dense_al.models.point_sup_condinst import (
    PointSupCondInstMaskHead,
    PointSupDataPreprocessor,
    box_maps,
)

FEATURES = dict(
    in_channels=4, feat_channels=4, start_level=0, end_level=0, out_channels=4, mask_stride=8,
    num_stacked_convs=1)  # fmt: skip
DICE = dict(type='DiceLoss', use_sigmoid=True, activate=True, eps=5e-6)
HEAD = dict(feat_channels=4, mask_feature_head=FEATURES, loss_mask=DICE, mask_out_stride=4)
BOXES = torch.tensor([[0.0, 0, 8, 8], [8, 4, 28, 24]])
SIZE = (32, 40)  # of the image; maps are 8 x 10


@pytest.fixture(autouse=True)
def hub():
    """The count of iterations that mmengine would keep."""
    hub = MessageHub.get_current_instance()
    hub.update_info('iter', 5)
    return hub


def head(**kwargs):
    torch.manual_seed(0)
    return PointSupCondInstMaskHead(**{**HEAD, **kwargs})


def stock(cls=CondInstMaskHead, **kwargs):
    return cls(**{**HEAD, **kwargs})


def positives(assigned, seed=0):
    generator = torch.Generator().manual_seed(seed)
    n = len(assigned)
    return InstanceData(
        pos_assigned_gt_inds=torch.tensor(assigned, dtype=torch.int64),
        scores=torch.randn(n, 3, generator=generator),
        centernesses=torch.randn(n, 1, generator=generator),
        points=torch.rand(n, 2, generator=generator) * 30,
        strides=torch.full((n,), 8),
        param_preds=torch.randn(n, head().num_params, generator=generator),
    )


def image(points=None, point_labels=None, masks=None, has_mask=None):
    found = InstanceData(bboxes=BOXES, labels=torch.tensor([0, 2]))
    if points is not None:
        found.points = torch.tensor(points, dtype=torch.float32)
        found.point_labels = torch.tensor(point_labels)
    if masks is not None:
        found.masks = masks
    if has_mask is not None:
        found.has_mask = torch.tensor(has_mask)
    return found


def blobs(seed=0):
    rng = np.random.default_rng(seed)
    return BitmapMasks((rng.random((2, *SIZE)) > 0.4).astype(np.uint8), *SIZE)


def maps(n, seed=0):
    return torch.randn(n, 8, 10, generator=torch.Generator().manual_seed(seed))


POINTS = [[[1.0, 1.0], [-1, -1]], [[9.0, 5.0], [26.0, 22.0]]]
ANSWERS = [[1, -1], [0, 1]]


def test_built_by_name():
    built = MODELS.build(dict(type='PointSupCondInstMaskHead', point_weight=0.1, **HEAD))
    assert isinstance(built, CondInstMaskHead) and built.point_weight == 0.1 and not built.boxinst


def test_value_by_hand():
    """A map that rises by 1 per cell: at x its logit is x / 4 - 0.5."""
    ramp = torch.arange(10.0).expand(3, 8, 10)
    given = image(POINTS, ANSWERS)
    infos = [positives([1, 1, 0])]
    found = head().loss_by_feat([ramp], [given], [{}], infos)
    at = {x: torch.tensor(max(x / 4 - 0.5, 0.0)) for x in (1.0, 9.0, 26.0)}
    terms = [softplus(at[9.0]), softplus(-at[26.0])] * 2 + [softplus(-at[1.0])]
    assert found['loss_mask_point'].item() == pytest.approx(sum(terms).item() / 5)
    assert found['loss_mask'] == 0 and set(found) == {'loss_mask', 'loss_mask_point'}
    released = head(count_ignored=True).loss_by_feat([ramp], [given], [{}], infos)
    assert released['loss_mask_point'].item() == pytest.approx(sum(terms).item() / 6)
    light = head(point_weight=0.1).loss_by_feat([ramp], [given], [{}], infos)
    assert light['loss_mask_point'].item() == pytest.approx(sum(terms).item() / 50)
    zeros = head(padding='zeros').loss_by_feat([ramp + 2], [given], [{}], infos)
    border = head().loss_by_feat([ramp + 2], [given], [{}], infos)
    assert zeros['loss_mask_point'] > border['loss_mask_point']


def test_masks_alone_are_what_mmdet_makes_of_them():
    images = [image(masks=blobs()), image(masks=blobs(1))]
    infos = [positives([0, 1, 1]), positives([1, 0], 1)]
    preds = [maps(3), maps(2, 1)]
    wanted = stock().loss_by_feat(preds, images, [{}, {}], infos)
    found = head().loss_by_feat(preds, images, [{}, {}], infos)
    torch.testing.assert_close(found['loss_mask'], wanted['loss_mask'])
    assert found['loss_mask_point'] == 0


@pytest.mark.parametrize('limit', [dict(max_masks_to_train=4), dict(topk_masks_per_img=4)])
@pytest.mark.parametrize('seed', range(5))
def test_limits_choose_the_positives_that_mmdet_chooses(limit, seed):
    infos = [positives([1, 0, 1, 1, 0, 1, 0], seed)]
    images = [image(masks=blobs())]
    preds = [maps(7)]
    ours, theirs = head(**limit), stock(**limit)
    torch.manual_seed(3)
    wanted = theirs.loss_by_feat(preds, images, [{}], infos)['loss_mask']
    torch.manual_seed(3)
    found = ours.loss_by_feat(preds, images, [{}], infos)['loss_mask']
    torch.testing.assert_close(found, wanted)
    assert len(ours._choose(infos[0])) == 4
    assert len(head(topk_masks_per_img=1)._choose(infos[0])) == 2


def test_masks_and_points_in_one_batch():
    """Each positive counts the same: two with a mask, two with points, one box alone."""
    first = image(POINTS, ANSWERS, masks=blobs(), has_mask=[True, False])
    second = image([[[2.0, 2.0]], [[-1.0, -1.0]]], [[1], [-1]])
    infos = [positives([0, 1, 0]), positives([0, 1], 1)]
    preds = [maps(3), maps(2, 1)]
    both = head().loss_by_feat(preds, [first, second], [{}, {}], infos)
    whole = stock().loss_by_feat(
        [preds[0][[0, 2]]], [image(masks=blobs())], [{}], [positives([0, 0])]
    )
    alone = image([[[-1.0, -1.0]] * 2, POINTS[1]], [[-1, -1], ANSWERS[1]])
    points = head().loss_by_feat(
        [preds[0][[1]], preds[1]], [alone, second], [{}, {}], [positives([1]), infos[1]]
    )
    assert both['loss_mask'].item() == pytest.approx(whole['loss_mask'].item() / 2)
    assert both['loss_mask_point'].item() == pytest.approx(points['loss_mask_point'].item() / 2)


def boxes_only(images):
    """Samples as mmdet's data loader gives them."""
    samples = []
    for given in images:
        samples.append(DetDataSample(metainfo=dict(img_shape=SIZE, ori_shape=SIZE)))
        samples[-1].gt_instances = given
    rng = torch.Generator().manual_seed(0)
    inputs = [torch.randint(0, 60, (3, *SIZE), generator=rng).byte() for _ in images]
    return dict(inputs=inputs, data_samples=samples)


def prepared(cls, images):
    model = cls(mean=[0, 0, 0], std=[1, 1, 1], bottom_pixels_removed=0)
    data = model(boxes_only(images), True)
    return [sample.gt_instances for sample in data['data_samples']]


def test_terms_of_boxes_are_those_of_boxinst(hub):
    infos = [positives([0, 1, 1]), positives([1], 1)]
    preds = [maps(3), maps(1, 1)]
    wanted = stock(BoxInstMaskHead, warmup_iters=20).loss_by_feat(
        preds, prepared(BoxInstDataPreprocessor, [image(), image()]), [{}, {}], infos
    )
    given = prepared(PointSupDataPreprocessor, [image(POINTS, ANSWERS), image(POINTS, ANSWERS)])
    model = head(boxinst=True, warmup_iters=20)
    model.iteration.fill_(5)
    found = model.loss_by_feat(preds, given, [{}, {}], infos)
    for name in ('loss_mask_project', 'loss_mask_pairwise'):
        torch.testing.assert_close(found[name], wanted[name])
        assert found[name] > 0
    assert found['loss_mask_point'] > 0 and found['loss_mask'] == 0
    for _ in range(4):
        model.loss_by_feat(preds, given, [{}, {}], infos)
    hub.update_info('iter', 0)  # another round begins, with the weights of the one before
    again = head(boxinst=True, warmup_iters=20)
    again.load_state_dict(model.state_dict())
    for mode, times in ((False, 2), (False, 2), (True, 2), (True, 2.2)):
        later = again.train(mode).loss_by_feat(preds, given, [{}, {}], infos)
        assert later['loss_mask_pairwise'].item() == pytest.approx(
            times * found['loss_mask_pairwise'].item()
        )


def test_weights_of_a_stock_head_have_seen_nothing():
    model, weights = head(boxinst=True), stock().state_dict()
    model.iteration.fill_(7)
    assert model.load_state_dict(weights, strict=True) and model.iteration == 0


def test_terms_of_boxes_spare_full_masks():
    given = prepared(
        PointSupDataPreprocessor, [image(POINTS, ANSWERS, masks=blobs(), has_mask=[True, False])]
    )
    assert np.array_equal(given[0].masks.masks, blobs().masks)
    preds = maps(3)
    model = head(boxinst=True).eval()
    model.iteration.fill_(5)
    found = model.loss_by_feat([preds], given, [{}], [positives([0, 1, 0])])
    alone = model.loss_by_feat([preds[1:2]], given, [{}], [positives([1])])
    for name in ('loss_mask_project', 'loss_mask_pairwise'):
        assert found[name].item() == pytest.approx(alone[name].item() / 3)
    masks = model.loss_by_feat([preds[[0, 2]]], given, [{}], [positives([0, 0])])
    assert found['loss_mask'].item() == pytest.approx(masks['loss_mask'].item() * 2 / 3)
    assert masks['loss_mask_project'] == 0


def test_the_preprocessor_leaves_no_made_up_masks():
    given = prepared(PointSupDataPreprocessor, [image(POINTS, ANSWERS)])[0]
    assert 'masks' not in given and given.pairwise_masks.shape == (2, 8, 8, 10)
    # At test time nothing is added.
    data = PointSupDataPreprocessor(mean=[0, 0, 0], std=[1, 1, 1])(boxes_only([image()]), False)
    assert 'pairwise_masks' not in data['data_samples'][0].gt_instances


def test_box_maps_are_the_masks_of_boxinst():
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 30, (20, 2))
    boxes = torch.tensor(np.c_[corner, corner + rng.uniform(0, 12, (20, 2))]).float()
    given = InstanceData(bboxes=boxes.clamp(max=32), labels=torch.zeros(20).long())
    wanted = prepared(BoxInstDataPreprocessor, [given])[0].masks.masks[:, 2::4, 2::4]
    assert np.array_equal(box_maps(given.bboxes, (8, 10), 4).numpy(), wanted.astype(bool))


def features():
    return [torch.randn(2, 4, 4, 5, generator=torch.Generator().manual_seed(0))]


def samples(images):
    found = boxes_only(images)['data_samples']
    for sample in found:
        sample.set_metainfo(dict(batch_input_shape=SIZE))
    return found


@pytest.mark.parametrize('labels', ['points', 'none', 'mixed'])
def test_from_features_to_gradients(labels):
    first = dict(points=image(POINTS, ANSWERS), none=image()).get(labels)
    if labels == 'mixed':
        small = BitmapMasks(blobs().masks[:, :20, :30], 20, 30)  # to be padded to the batch
        first = image(POINTS, ANSWERS, masks=small, has_mask=[True, False])
    infos = [positives([0, 1]), positives([])]
    for info in infos:
        info.param_preds.requires_grad_()
    model = head(boxinst=False)
    losses = model.loss(features(), samples([first, image()]), positive_infos=infos)
    sum(losses.values()).backward()
    for parameter in [*model.parameters(), *(info.param_preds for info in infos)]:
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all()
    taught = model.mask_feature_head.conv_pred.weight.grad.abs().sum() > 0
    assert bool(taught) is (labels != 'none')


def test_no_positive_anywhere_keeps_all_parameters_on_the_graph():
    infos = [positives([]), positives([])]
    for info in infos:
        info.param_preds.requires_grad_()
    model = head()
    losses = model.loss(features(), samples([image(), image()]), positive_infos=infos)
    sum(losses.values()).backward()
    assert all(value == 0 for value in losses.values())
    assert all(parameter.grad is not None for parameter in model.parameters())
    shape = model(features(), infos)[0][0].shape
    info = positives([0])
    assert shape[1:] == model(features(), [info, info])[0][0].shape[1:]


def test_predicted_masks_end_at_their_boxes():
    cfg = ConfigDict(mask_thr=0.5)
    preds = torch.full((2, 8, 10), 5.0)
    meta = dict(img_shape=SIZE, ori_shape=(64, 80), scale_factor=(0.5, 0.5))
    found = {}
    for crop in (True, False):
        results = InstanceData(bboxes=BOXES.clone(), labels=torch.zeros(2).long())
        model = head(crop_to_box=crop, test_cfg=cfg)
        found[crop] = model.predict_by_feat([preds], [results], [meta])[0]
    assert found[False].masks.all()
    assert found[True].masks.shape == (2, 64, 80)
    for (x1, y1, x2, y2), mask in zip((2 * BOXES).int().tolist(), found[True].masks):
        assert mask[y1:y2, x1:x2].all() and mask.sum() == (y2 - y1) * (x2 - x1)


def test_a_random_choice_of_points():
    given = image([[[1.0, 1.0]] * 4, [[9.0, 5.0], [11, 6], [22, 20], [26, 22]]], [[1] * 4] * 2)
    ramp = torch.arange(10.0).expand(1, 8, 10)
    infos, model = [positives([1])], head(n_points=2)
    drawn = {
        model.loss_by_feat([ramp], [given], [{}], infos)['loss_mask_point'].item()
        for _ in range(20)
    }
    assert 3 < len(drawn) < 7  # of 6 pairs


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r'`feat_channels` \(8\).*but got 4'):
        head(feat_channels=8)
    with pytest.raises(ValueError, match='PointSupDataPreprocessor'):
        head(boxinst=True).loss_by_feat([maps(1)], [image(POINTS, ANSWERS)], [{}], [positives([0])])
