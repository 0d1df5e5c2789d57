"""Mask head of Mask R-CNN: masks, points and both in one batch."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmdet.registry import MODELS
from mmdet.structures.mask import BitmapMasks
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch.nn.functional import softplus

from dense_al.models.point_sup_mask_head import PointSupMaskHead
from dense_al.models.point_targets import full_masks, match_points

CFG = ConfigDict(mask_size=28)
HEAD = dict(num_convs=1, in_channels=4, conv_out_channels=4, num_classes=3)
BOXES = torch.tensor([[0.0, 0, 8, 8], [8, 4, 24, 20]])


def head(**kwargs):
    torch.manual_seed(0)
    return PointSupMaskHead(**HEAD, **kwargs)


def sampled(boxes, assigned, labels):
    assigned = torch.tensor(assigned)
    return SimpleNamespace(
        pos_priors=boxes, pos_assigned_gt_inds=assigned, pos_gt_labels=labels[assigned]
    )


def image(points=None, point_labels=None, masks=None, has_mask=None):
    """Two instances of classes 0 and 2 with what is given."""
    found = InstanceData(bboxes=BOXES, labels=torch.tensor([0, 2]))
    if points is not None:
        found.points = torch.tensor(points, dtype=torch.float32)
        found.point_labels = torch.tensor(point_labels)
    if masks is not None:
        found.masks = masks
    if has_mask is not None:
        found.has_mask = torch.tensor(has_mask)
    return found


def ellipses(seed=0):
    rng = np.random.default_rng(seed)
    return BitmapMasks((rng.random((2, 32, 32)) > 0.4).astype(np.uint8), 32, 32)


def losses(model, preds, results, images):
    return model.loss_and_target(preds, results, images, CFG)['loss_mask']


def test_built_by_name():
    built = MODELS.build(dict(type='PointSupMaskHead', n_points=5, point_weight=0.1, **HEAD))
    assert isinstance(built, FCNMaskHead) and built.n_points == 5 and built.point_weight == 0.1


def test_value_by_hand():
    # Two proposals of instance 1 (class 2); a point, one of background, one out of one of them.
    given = image(
        [[[1.0, 1.0], [-1, -1], [-1, -1]], [[9.0, 5.0], [15.0, 12.0], [23.0, 19.0]]],
        [[1, -1, -1], [1, 0, 1]],
    )
    proposals = torch.tensor([[8.0, 4, 24, 20], [8, 4, 16, 20]])
    preds = torch.zeros(2, 3, 4, 4)
    preds[0, 2] = 3.0  # the same everywhere
    preds[1, 2] = torch.tensor([-1.0, -1, 5, 5])  # by columns of 2 pixels, centres at 9, 11, 13, 15
    found = losses(head(), preds, [sampled(proposals, [1, 1], given.labels)], [given])
    terms = softplus(torch.tensor([-3.0, 3.0, -3.0, 1.0, 5.0]))
    assert found['loss_mask_point'].item() == pytest.approx(terms.mean().item())
    assert found['loss_mask'].item() == 0
    released = losses(
        head(count_ignored=True), preds, [sampled(proposals, [1, 1], given.labels)], [given]
    )
    assert released['loss_mask_point'].item() == pytest.approx(terms.sum().item() / 6)
    light = losses(
        head(point_weight=0.1), preds, [sampled(proposals, [1, 1], given.labels)], [given]
    )
    assert light['loss_mask_point'].item() == pytest.approx(0.1 * terms.mean().item())


def test_padding_beyond_the_cells_as_released():
    given = image([[[0.25, 4.0]], [[9.0, 5.0]]], [[0], [-1]])
    preds = torch.full((1, 3, 4, 4), 2.0)  # cells of 2 pixels: the point is 0.375 beyond a centre
    results = [sampled(BOXES[:1], [0], given.labels)]
    found = losses(head(), preds, results, [given])['loss_mask_point'].item()
    assert found == pytest.approx(softplus(torch.tensor(2.0)).item())
    zeros = losses(head(padding='zeros'), preds, results, [given])['loss_mask_point'].item()
    assert zeros == pytest.approx(softplus(torch.tensor(2.0 * 0.625)).item())


def test_the_class_of_the_instance_is_sampled():
    given = image([[[1.0, 1.0]], [[9.0, 5.0]]], [[1], [1]])
    preds = torch.zeros(2, 3, 4, 4)
    preds[0, 0], preds[1, 2] = 20.0, 20.0
    results = [sampled(BOXES, [0, 1], given.labels)]
    assert losses(head(), preds, results, [given])['loss_mask_point'] < 1e-6
    agnostic = losses(head(class_agnostic=True), preds[:, :1], results, [given])
    assert agnostic['loss_mask_point'] > 0.3


def test_masks_alone_are_what_mmdet_makes_of_them():
    given = image(masks=ellipses())
    preds = torch.randn(3, 3, 28, 28, generator=torch.Generator().manual_seed(1))
    proposals = torch.cat([BOXES, BOXES[:1] + 1])
    results = [sampled(proposals, [0, 1, 0], given.labels)]
    stock = FCNMaskHead(**HEAD).loss_and_target(preds, results, [given], CFG)
    ours = head().loss_and_target(preds, results, [given], CFG)
    torch.testing.assert_close(ours['loss_mask']['loss_mask'], stock['loss_mask']['loss_mask'][0])
    assert torch.equal(ours['mask_targets'], stock['mask_targets'])
    assert ours['loss_mask']['loss_mask_point'] == 0


def test_masks_and_points_in_one_batch():
    """Each positive counts the same: three with points, one with a mask, one box alone."""
    first = image(
        [[[1.0, 1.0]], [[9.0, 5.0]]], [[1], [0]], masks=ellipses(), has_mask=[True, False]
    )
    second = image([[[2.0, 2.0]], [[-1.0, -1.0]]], [[1], [-1]])
    results = [
        sampled(BOXES[[0, 1, 1]], [0, 1, 1], first.labels),
        sampled(BOXES, [0, 1], second.labels),
    ]
    preds = torch.randn(5, 3, 28, 28, generator=torch.Generator().manual_seed(2))
    both = losses(head(), preds, results, [first, second])

    whole = image(masks=ellipses())
    stock = FCNMaskHead(**HEAD).loss_and_target(
        preds[:1], [sampled(BOXES[:1], [0], whole.labels)], [whole], CFG
    )
    alone = image([[[-1.0, -1.0]], [[9.0, 5.0]]], [[-1], [0]])
    points = losses(
        head(),
        preds[1:],
        [sampled(BOXES[[1, 1]], [1, 1], first.labels), results[1]],
        [alone, second],
    )
    assert both['loss_mask'].item() == pytest.approx(stock['loss_mask']['loss_mask'].item() / 4)
    assert both['loss_mask_point'].item() == pytest.approx(points['loss_mask_point'].item() * 3 / 4)


def test_points_of_fully_labelled_instances_are_not_used():
    preds = torch.randn(2, 3, 28, 28, generator=torch.Generator().manual_seed(3))
    with_points = image(
        [[[1.0, 1.0]], [[9.0, 5.0]]], [[1], [0]], masks=ellipses(), has_mask=[True, True]
    )
    results = [sampled(BOXES, [0, 1], with_points.labels)]
    found = losses(head(), preds, results, [with_points])
    plain = losses(head(), preds, results, [image(masks=ellipses())])
    assert found['loss_mask'] == plain['loss_mask'] and found['loss_mask_point'] == 0


def test_a_random_choice_of_points():
    given = image([[[1.0, 1.0]] * 10, [[9.0, 5.0]] * 10], [[1] * 10, [0] * 10])
    results = [sampled(BOXES[[0, 0, 1]], [0, 0, 1], given.labels)]
    # Only the choice of instance 0 matters: its points differ in their logits.
    given.points[0, :, 0] = torch.arange(10) * 0.8
    preds = torch.arange(28.0).expand(3, 3, 28, 28)
    torch.manual_seed(0)
    drawn = {losses(head(n_points=5), preds, results, [given])['loss_mask_point'].item()}
    model = head(n_points=5)
    for _ in range(5):
        drawn.add(losses(model, preds, results, [given])['loss_mask_point'].item())
    assert len(drawn) > 2
    torch.manual_seed(4)
    again = [losses(model, preds, results, [given])['loss_mask_point'].item()]
    torch.manual_seed(4)
    again.append(losses(model, preds, results, [given])['loss_mask_point'].item())
    assert again[0] == again[1]
    chosen = match_points([given], [torch.tensor([0, 0, 1])], 5)
    # Both proposals of an instance are taught the same points.
    assert torch.equal(chosen.labels[0], chosen.labels[1])
    assert ((chosen.labels >= 0).sum(1) == 5).all()


@pytest.mark.parametrize('n_positives', [0, 2])
def test_no_label_at_all(n_positives):
    given = image()
    preds = torch.randn(n_positives, 3, 28, 28, requires_grad=True)
    index = list(range(n_positives))
    results = [
        SimpleNamespace(
            pos_priors=BOXES[:n_positives],
            pos_assigned_gt_inds=torch.tensor(index, dtype=torch.int64),
            pos_gt_labels=torch.tensor(index, dtype=torch.int64),
        )
    ]
    found = losses(head(), preds, results, [given])
    sum(found.values()).backward()
    assert all(value.item() == 0 for value in found.values())
    assert preds.grad is not None and (preds.grad == 0).all()


def test_an_image_without_instances_beside_one_with_points():
    given = image([[[1.0, 1.0]], [[9.0, 5.0]]], [[1], [0]])
    empty = InstanceData(
        bboxes=torch.zeros(0, 4),
        labels=torch.zeros(0).long(),
        points=torch.zeros(0, 0, 2),
        point_labels=torch.zeros(0, 0).long(),
        has_mask=torch.zeros(0).bool(),
    )
    none = torch.zeros(0, dtype=torch.int64)
    results = [
        SimpleNamespace(
            pos_priors=torch.zeros(0, 4), pos_assigned_gt_inds=none, pos_gt_labels=none
        ),
        sampled(BOXES, [0, 1], given.labels),
    ]
    preds = torch.zeros(2, 3, 28, 28)
    found = losses(head(), preds, results, [empty, given])
    assert found['loss_mask_point'].item() == pytest.approx(np.log(2))


def test_which_instances_have_a_full_mask():
    assert full_masks(image(masks=ellipses())).tolist() == [True, True]
    # Masks beside points are no labels unless said so: BoxInst puts filled boxes there.
    with_points = dict(points=[[[1.0, 1.0]]] * 2, point_labels=[[1], [0]], masks=ellipses())
    assert full_masks(image(**with_points)).tolist() == [False, False]
    assert full_masks(image(**with_points, has_mask=[False, True])).tolist() == [False, True]
    assert full_masks(image()).tolist() == [False, False]


def test_labels_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match='`masks` where `has_mask`'):
        full_masks(image(has_mask=[True, False]))
    given = image()
    given.points = torch.zeros(2, 3, 2)
    given.point_labels = torch.zeros(2, 4).long()
    with pytest.raises(ValueError, match=r'\(2, 3, 2\) and \(2, 4\)'):
        match_points([given], [torch.tensor([0])])
    half = image()
    half.points = torch.zeros(2, 3, 2)
    with pytest.raises(ValueError, match='but got'):
        match_points([half], [torch.tensor([0])])
