"""The weakly supervised head: rules of the papers by hand, and that it learns."""

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from dense_al import ops
from dense_al.models.weak_losses import (
    box_iou,
    full_targets,
    image_loss,
    pseudo_boxes,
    weak_targets,
    wsddn_scores,
)


@pytest.fixture(autouse=True, scope='module')
def operators():
    ops.install()
    import dense_al.models.weak_roi_head  # noqa: F401


def row(*starts, width=10.0):
    """Boxes of one height side by side."""
    x = torch.tensor(starts, dtype=torch.float32)
    return torch.stack([x, torch.zeros_like(x), x + width, torch.full_like(x, 10.0)], dim=1)


def test_scores_are_a_share_of_the_image():
    logits = torch.tensor([[0.0, 0.0], [0.0, 0.0]])
    focus = torch.log(torch.tensor([[3.0, 1.0], [1.0, 1.0]]))
    scores = wsddn_scores(logits, focus)
    assert scores.tolist() == [pytest.approx([0.375, 0.25]), pytest.approx([0.125, 0.25])]


def test_image_loss_is_the_mean_cross_entropy():
    scores = torch.tensor([[0.5, 0.1], [0.25, 0.1]])
    wanted = -(torch.log(torch.tensor(0.75)) + torch.log(torch.tensor(0.8))) / 2
    assert image_loss(scores, torch.tensor([0])).item() == pytest.approx(wanted.item())


def test_overlap_of_boxes():
    assert box_iou(row(0, 20), row(5)).flatten().tolist() == pytest.approx([1 / 3, 0])
    assert box_iou(row(0, width=0), row(0, width=0)).item() == 0


def test_a_candidate_must_be_clear_of_every_better_one_kept_or_not():
    # Best first: 0 is kept, 6 overlaps it and is not, 12 overlaps only the one not kept.
    boxes, scores = row(0, 6, 12, 40), torch.tensor([[0.9], [0.8], [0.7], [0.1]])
    seeds, classes = pseudo_boxes(boxes, scores, torch.tensor([0]), share=0.75, iou=0.2)
    assert seeds.tolist() == [0] and classes.tolist() == [0]
    seeds, _ = pseudo_boxes(boxes, scores, torch.tensor([0]), share=1.0, iou=0.2)
    assert seeds.tolist() == [0, 3]
    seeds, _ = pseudo_boxes(boxes, scores, torch.tensor([0]), share=0.01)
    assert seeds.tolist() == [0]


def test_proposals_follow_the_pseudo_box_they_overlap_most():
    boxes = row(0, 1, 8, 50, 51)
    scores = torch.tensor([[0.6, 0.0], [0.5, 0.1], [0.0, 0.0], [0.0, 0.3], [0.1, 0.2]])
    found = weak_targets(boxes, scores, torch.tensor([0, 1]), share=0.2, iou=0.2)
    assert found.labels.tolist() == [0, 0, -1, 1, 1]
    assert found.weights.tolist() == pytest.approx([0.6, 0.6, 0.6, 0.3, 0.3])
    assert found.boxes[:, 0].tolist() == [0, 0, 0, 50, 50]
    nothing = weak_targets(boxes, scores, torch.zeros(0, dtype=torch.long), 0.2, 0.2)
    assert nothing.labels.tolist() == [-1] * 5 and nothing.weights.tolist() == [0] * 5


def test_full_images_take_objects_and_the_hardest_background():
    boxes = row(0, 1, 4, 50, 60, 70)  # overlaps with the object at 0: 1, .82, .43, 0, 0, 0
    scores = torch.tensor([0.1, 0.2, 0.9, 0.1, 0.8, 0.3])
    taken, found = full_targets(boxes, row(0), torch.tensor([3]), scores, count=4, share=0.5)
    assert taken.tolist() == [0, 1, 4, 5] and found.labels.tolist() == [3, 3, -1, -1]
    torch.manual_seed(0)
    taken, found = full_targets(boxes, row(0), torch.tensor([3]), scores, count=4, share=0.25)
    assert (found.labels == 3).sum() == 1 and len(taken) == 4
    none = torch.zeros(0, 4), torch.zeros(0, dtype=torch.long)
    taken, found = full_targets(boxes, *none, scores, count=2)
    assert taken.tolist() == [2, 4] and found.labels.tolist() == [-1, -1]


def head(**given):
    from mmdet.registry import MODELS

    return MODELS.build(
        dict(
            type='WeakRoIHead', num_classes=2, in_channels=2, fc_channels=(16,), dropout=0.0,
            stream_std=0.1, refine_std=0.01, full=dict(count=16), **given,
            bbox_roi_extractor=dict(
                type='SingleRoIExtractor', out_channels=2, featmap_strides=[1],
                roi_layer=dict(type='RoIAlign', output_size=2, sampling_ratio=2)),
            test_cfg=dict(score_thr=0.05, nms=dict(type='nms', iou_threshold=0.3), max_per_img=5))
    )  # fmt: skip


OBJECTS = torch.tensor([[4.0, 4, 12, 12], [18, 20, 26, 28]])  # of class 0 and of class 1


def scene(level='weak', classes=(0, 1)):
    """A feature map with an object of each class, whose channel says which; its proposals."""
    maps = torch.zeros(1, 2, 32, 32)
    for c in classes:
        x1, y1, x2, y2 = OBJECTS[c].int().tolist()
        maps[0, c, y1:y2, x1:x2] = 2.0
    sample = DetDataSample(metainfo=dict(level=level, tags=list(classes), img_shape=(32, 32)))
    known = torch.tensor(list(classes) if level == 'full' else [], dtype=torch.long)
    sample.gt_instances = InstanceData(bboxes=OBJECTS[known], labels=known)
    x, y = torch.meshgrid(torch.arange(0, 25, 2.0), torch.arange(0, 25, 2.0), indexing='ij')
    boxes = torch.stack([x, y, x + 8, y + 8], dim=-1).reshape(-1, 4)
    return (maps,), InstanceData(bboxes=boxes), sample


@pytest.mark.parametrize('level', ['weak', 'full'])
def test_it_finds_the_objects_it_was_told_of(level):
    torch.manual_seed(0)
    model = head()
    # Tags tell classes apart only where they do not always come together.
    maps, proposals, samples = zip(*(scene(level, (c,)) for c in (0, 1)))
    maps = (torch.cat([m[0] for m in maps]),)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(120):
        losses = model.loss(maps, list(proposals), list(samples))
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
    names = {f'loss_{what}{k}' for what in ('class', 'box') for k in range(3)}
    assert set(losses) == {'loss_image', *names}
    found = model.eval().predict(maps, proposals, samples)
    assert [f.labels[0].item() for f in found] == [0, 1]
    best = torch.stack([f.bboxes[0] for f in found])
    assert box_iou(best, OBJECTS).diagonal().min() > 0.5


def test_boxes_of_a_weak_image_are_never_read():
    maps, proposals, sample = scene('weak')
    torch.manual_seed(0)
    model = head()
    before = {k: v.item() for k, v in model.loss(maps, [proposals], [sample]).items()}
    sample.gt_instances = InstanceData(bboxes=OBJECTS + 3, labels=torch.tensor([1, 0]))
    after = {k: v.item() for k, v in model.loss(maps, [proposals], [sample]).items()}
    assert after == before


def test_the_loss_of_an_image_counts_once_in_the_batch():
    maps, proposals, sample = scene('weak')
    model = head()
    one = model.loss(maps, [proposals], [sample])
    two = model.loss((maps[0].repeat(2, 1, 1, 1),), [proposals] * 2, [sample] * 2)
    for name, value in one.items():
        assert two[name].item() == pytest.approx(value.item(), rel=1e-4)
    empty = InstanceData(bboxes=torch.zeros(0, 4))
    half = model.loss((maps[0].repeat(2, 1, 1, 1),), [proposals, empty], [sample] * 2)
    assert half['loss_image'].item() == pytest.approx(one['loss_image'].item() / 2, rel=1e-4)
    with pytest.raises(ValueError, match='Expected proposals'):
        model.loss(maps, [empty], [sample])


def test_the_number_of_weights_must_be_that_of_the_heads():
    with pytest.raises(ValueError, match='Expected 3 `weights`'):
        head(weights=(1.0,))
