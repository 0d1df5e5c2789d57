"""Samples of mask logits at points and their loss."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from dense_al.models.point_loss import (
    choose_points,
    join_points,
    point_bce,
    points_in_boxes,
    sample_logits,
)


def test_sample_by_hand():
    # A 2 x 3 map over 8 x 12 pixels: cells of 4 pixels, centres at x 2, 6, 10 and y 2, 6.
    logits = torch.tensor([[[0.0, 4.0, 8.0], [10.0, 14.0, 18.0]]])
    points = torch.tensor([[[6.0, 2.0], [4.0, 4.0], [9.0, 6.0], [0.5, 2.0]]])
    found = sample_logits(logits, points, (8, 12))
    # The second lies amid four cells; the last beyond the outermost centre.
    assert found.tolist() == [[4.0, 7.0, 17.0, 0.0]]
    zeros = sample_logits(logits + 1, points, (8, 12), padding='zeros')
    # x 0.5 is 1.5 of 4 pixels beyond the centre: 0.375 of the weight falls on the padding.
    assert zeros[0, 3].item() == pytest.approx(0.625)
    assert zeros[0, :3].tolist() == [5.0, 8.0, 18.0]


def test_every_map_at_its_own_points():
    logits = torch.stack([torch.zeros(4, 4), torch.arange(16.0).reshape(4, 4)])
    points = torch.tensor([[[1.5, 2.5]], [[1.5, 2.5]]])
    assert sample_logits(logits, points, (4, 4)).tolist() == [[0.0], [9.0]]


def test_half_precision_is_sampled_in_full():
    logits = torch.rand(1, 2, 2).half()
    assert sample_logits(logits, torch.ones(1, 1, 2), (2, 2)).dtype == torch.float32


def test_sample_gradient():
    logits = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    points = torch.rand(2, 5, 2, dtype=torch.float64) * 10
    assert gradcheck(lambda x: sample_logits(x, points, (9, 10)), logits)


def test_bce_by_hand_with_ignored_points():
    logits = torch.tensor([[2.0, -1.0, 50.0], [0.5, 70.0, -80.0]])
    labels = torch.tensor([[1, 0, -1], [0, -1, -1]])
    terms = [
        math.log1p(math.exp(-2.0)),  # foreground at logit 2
        math.log1p(math.exp(-1.0)),  # background at logit -1
        math.log1p(math.exp(0.5)),  # background at logit 0.5
    ]
    assert point_bce(logits, labels).item() == pytest.approx(sum(terms) / 3)
    released = point_bce(logits, labels, count_ignored=True).item()
    assert released == pytest.approx(sum(terms) / 6)


def test_bce_gradient_leaves_ignored_points_alone():
    logits = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([[1, 0, -1, 1], [-1, -1, -1, -1], [0, 0, 1, -1]])
    assert gradcheck(lambda x: point_bce(x, labels), logits)
    point_bce(logits, labels).backward()
    assert (logits.grad[labels < 0] == 0).all() and (logits.grad[labels >= 0] != 0).all()


@pytest.mark.parametrize('k, p', [(0, 3), (2, 0), (2, 3)])
@pytest.mark.parametrize('count_ignored', [False, True])
def test_nothing_answered_is_zero_with_a_gradient(k, p, count_ignored):
    maps = torch.randn(k, 4, 4, requires_grad=True)
    logits = sample_logits(maps, torch.full((k, p, 2), -1.0), (8, 8))
    labels = torch.full((k, p), -1)
    loss = point_bce(logits, labels, count_ignored=count_ignored)
    loss.backward()
    assert loss.item() == 0 and logits.shape == (k, p) and (maps.grad == 0).all()


def test_infinite_logits_of_ignored_points_do_no_harm():
    logits = torch.tensor([[float('inf'), 0.0]], requires_grad=True)
    loss = point_bce(logits, torch.tensor([[-1, 1]]))
    assert loss.item() == pytest.approx(math.log(2))


def test_points_in_boxes():
    points = torch.tensor([[[2.0, 2.0], [6.0, 4.0], [6.1, 3.0], [3.0, 3.0]]])
    labels = torch.tensor([[1, 0, 1, -1]])
    found, kept = points_in_boxes(points, labels, torch.tensor([[2.0, 2.0, 6.0, 4.0]]))
    assert found[0, :2].tolist() == [[0.0, 0.0], [1.0, 1.0]]
    assert kept.tolist() == [[1, 0, -1, -1]]


def test_a_box_without_area_holds_no_point_but_its_own():
    found, kept = points_in_boxes(
        torch.tensor([[[2.0, 2.0], [2.5, 2.0]]]), torch.ones(1, 2), torch.full((1, 4), 2.0)
    )
    assert torch.isfinite(found).all() and kept.tolist() == [[1, -1]]


def test_choose_points_keeps_n_answered_ones_at_random():
    labels = torch.tensor([[1, 0, -1, 1, 0], [-1, -1, 0, -1, -1], [-1] * 5])
    generator = torch.Generator().manual_seed(0)
    seen = torch.zeros(5)
    for _ in range(200):
        kept = choose_points(labels, 2, generator=generator)
        assert ((kept >= 0).sum(1) == torch.tensor([2, 1, 0])).all()
        assert (kept[kept >= 0] == labels[kept >= 0]).all()
        seen += kept[0] >= 0
    assert seen[2] == 0 and (seen[[0, 1, 3, 4]] > 60).all()  # 100 expected of each


def test_join_points_pads():
    first, second = torch.rand(2, 1, 2), torch.rand(1, 3, 2)
    points, labels = join_points(
        [first, second, torch.zeros(0, 0, 2)],
        [torch.ones(2, 1).long(), torch.zeros(1, 3).long(), torch.zeros(0, 0).long()],
    )
    assert points.shape == (3, 3, 2) and torch.equal(points[:2, :1], first)
    assert labels.tolist() == [[1, -1, -1], [1, -1, -1], [0, 0, 0]]
    assert (points[:2, 1:] == -1).all()


@pytest.mark.parametrize(
    'call, message',
    [
        (lambda: sample_logits(torch.zeros(2, 4), torch.zeros(2, 1, 2), (4, 4)), r'\(K, h, w\)'),
        (lambda: sample_logits(torch.zeros(2, 4, 4), torch.zeros(1, 1, 2), (4, 4)), 'points'),
        (lambda: sample_logits(torch.zeros(1, 4, 4), torch.zeros(1, 1, 2), (0, 4)), 'above 0'),
        (
            lambda: sample_logits(
                torch.zeros(1, 4, 4), torch.zeros(1, 1, 2), (4, 4), padding='boarder'
            ),
            'Did you mean `border`',
        ),
        (lambda: point_bce(torch.zeros(2, 3), torch.zeros(2, 2)), r'one shape \(K, P\)'),
        (
            lambda: points_in_boxes(torch.zeros(2, 1, 2), torch.zeros(2, 1), torch.zeros(1, 4)),
            '`boxes`',
        ),
        (lambda: choose_points(torch.zeros(1, 2), 0), 'at least one'),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
