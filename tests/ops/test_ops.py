"""Operators in plain torch against slow loops, and the module that stands in for `mmcv._ext`."""

import importlib
import math
import os
import subprocess
import sys
import textwrap
import types
from importlib.machinery import ModuleSpec

import pytest
import torch

from dense_al.ops import install, roi_align, torchvision_ops
from dense_al.ops import nms as nms_module
from dense_al.ops.focal_loss import sigmoid_focal_loss_backward, sigmoid_focal_loss_forward
from dense_al.ops.nms import best_of_each, nms, softnms
from dense_al.ops.stand_in import StandIn

pytest.importorskip('mmcv')


@pytest.fixture(autouse=True)
def plain_torch(monkeypatch):
    install()
    # The tests are of plain torch also where mmcv has its compiled operators.
    module = importlib.import_module('mmcv.ops.roi_align')
    monkeypatch.setattr(module, 'ext_module', StandIn('a test'))
    for module in (nms_module, roi_align):
        monkeypatch.setattr(module, 'usable', lambda *tensors: False)


def random_boxes(n, seed, extent=100.0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(n, 2, generator=generator, dtype=dtype) * extent
    size = torch.rand(n, 2, generator=generator, dtype=dtype) * extent / 3
    return torch.cat([corner, corner + size], dim=1), torch.rand(
        n, generator=generator, dtype=dtype
    )


def iou_of(a, b, offset):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]) + offset)
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]) + offset)
    area_a = (a[2] - a[0] + offset) * (a[3] - a[1] + offset)
    area_b = (b[2] - b[0] + offset) * (b[3] - b[1] + offset)
    union = area_a + area_b - width * height
    return width * height / union if union else math.nan


def greedy_nms(boxes, scores, threshold, offset):
    boxes, kept = boxes.tolist(), []
    for i in sorted(range(len(boxes)), key=lambda i: (-float(scores[i]), i)):
        if not any(iou_of(boxes[k], boxes[i], offset) > threshold for k in kept):
            kept.append(i)
    return kept


def greedy_softnms(boxes, scores, threshold, sigma, min_score, method, offset):
    boxes, scores, picked = boxes.tolist(), scores.tolist(), []
    left = list(range(len(boxes)))
    while left:
        best = max(left, key=lambda i: (scores[i], -i))
        left.remove(best)
        picked.append(best)
        for i in list(left):
            iou = iou_of(boxes[best], boxes[i], offset)
            if method == 2:
                scores[i] *= math.exp(-(iou**2) / sigma)
            elif iou >= threshold:
                scores[i] *= 0.0 if method == 0 else 1 - iou
            if scores[i] < min_score:
                left.remove(i)
    return picked, [scores[i] for i in picked]


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('n, threshold', [(0, 0.5), (1, 0.5), (60, 0.1), (300, 0.3), (300, 0.7)])
def test_nms_is_the_greedy_pass(n, threshold, offset, monkeypatch):
    monkeypatch.setattr(nms_module, '_BLOCK', 32)
    boxes, scores = random_boxes(n, seed=n, dtype=torch.float64)
    kept = nms(boxes, scores, iou_threshold=threshold, offset=offset)
    assert kept.dtype == torch.int64
    assert kept.tolist() == greedy_nms(boxes, scores, threshold, offset)


def test_nms_ties_duplicates_and_empty_boxes():
    box = torch.tensor([0.0, 0, 10, 10])
    boxes = torch.stack([box, box, box + 20, torch.zeros(4), torch.zeros(4)])
    kept = nms(boxes, torch.tensor([0.5, 0.5, 0.5, 0.9, 0.9]), iou_threshold=0.5)
    assert kept.tolist() == [3, 4, 0, 2]


def test_nms_of_a_chain_keeps_every_other_box():
    left = torch.arange(40.0) * 5
    boxes = torch.stack([left, left * 0, left + 10, left * 0 + 10], dim=1)
    kept = nms(boxes, torch.linspace(1, 0.5, 40), iou_threshold=0.3)
    assert kept.tolist() == list(range(0, 40, 2))


def test_best_of_each_is_the_loop():
    generator = torch.Generator().manual_seed(0)
    owner = torch.randint(0, 9, (60,), generator=generator)
    quality = torch.randint(0, 5, (60,), generator=generator).float()  # with ties
    expected = []
    for one in range(9):
        own = [i for i in range(60) if owner[i] == one]
        expected += sorted(own, key=lambda i: -quality[i])[:4]
    assert best_of_each(owner, quality, 4).tolist() == expected
    assert best_of_each(owner[:0], quality[:0], 4).tolist() == []


def test_nms_takes_half_precision():
    boxes, scores = random_boxes(50, seed=1)
    boxes, scores = boxes.round().half(), scores.half()
    kept = nms(boxes, scores, iou_threshold=0.4)
    assert kept.tolist() == nms(boxes.float(), scores.float(), iou_threshold=0.4).tolist()


def test_nms_rejects_wrong_shapes():
    with pytest.raises(ValueError, match=r'`boxes` of shape \(N, 4\), but got \(3, 5\)'):
        nms(torch.zeros(3, 5), torch.zeros(3), iou_threshold=0.5)
    with pytest.raises(ValueError, match=r'`scores` of shape \(3,\), but got \(2,\)'):
        nms(torch.zeros(3, 4), torch.zeros(2), iou_threshold=0.5)


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('method', [0, 1, 2])
@pytest.mark.parametrize('n', [0, 1, 80])
def test_softnms_is_the_loop(n, method, offset):
    boxes, scores = random_boxes(n, seed=n + 7, dtype=torch.float64)
    options = {'iou_threshold': 0.3, 'sigma': 0.5, 'min_score': 0.1}
    dets = boxes.new_full((n, 5), -1)
    keep = softnms(boxes, scores, dets, method=method, offset=offset, **options)
    expected, lowered = greedy_softnms(boxes, scores, *options.values(), method, offset)
    assert keep.tolist() == expected
    torch.testing.assert_close(dets[: len(keep), :4], boxes[expected])
    torch.testing.assert_close(dets[: len(keep), 4], scores.new_tensor(lowered))


def sample(plane, y, x):
    """Bilinear value of a (H, W) list of lists, zero from a pixel outside on."""
    height, width = len(plane), len(plane[0])
    if not (-1 <= y <= height and -1 <= x <= width):
        return 0.0
    y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
    total = 0.0
    for row in range(height):
        for column in range(width):
            near = max(0.0, 1 - abs(y - row)) * max(0.0, 1 - abs(x - column))
            total += near * plane[row][column]
    return total


def slow_roi_align(features, rois, size, scale, ratio, aligned):
    out = torch.zeros(len(rois), features.shape[1], *size, dtype=features.dtype)
    for r, (image, *box) in enumerate(rois.tolist()):
        x1, y1, x2, y2 = (value * scale - (0.5 if aligned else 0.0) for value in box)
        width, height = x2 - x1, y2 - y1
        if not aligned:
            width, height = max(width, 1.0), max(height, 1.0)
        bin_h, bin_w = height / size[0], width / size[1]
        grid_h, grid_w = (ratio or math.ceil(bin_h)), (ratio or math.ceil(bin_w))
        for c in range(features.shape[1]):
            plane = features[int(image), c].tolist()
            for i in range(size[0]):
                for j in range(size[1]):
                    values = [
                        sample(
                            plane,
                            y1 + (i + (a + 0.5) / grid_h) * bin_h,
                            x1 + (j + (b + 0.5) / grid_w) * bin_w,
                        )
                        for a in range(grid_h)
                        for b in range(grid_w)
                    ]
                    out[r, c, i, j] = sum(values) / max(len(values), 1)
    return out


ROIS = [
    [0, 1.0, 2.0, 9.0, 7.0],
    [1, -6.0, -5.0, 30.0, 26.0],  # beyond the image
    [1, 3.3, 4.7, 4.1, 5.2],  # less than a pixel
    [0, 5.0, 5.0, 5.0, 5.0],  # empty
    [0, 0.0, 0.0, 24.0, 20.0],
    [1, 90.0, 90.0, 95.0, 99.0],  # outside
]


def aligned_call(features, rois, size, scale, ratio, aligned):
    from mmcv.ops.roi_align import RoIAlignFunction

    return RoIAlignFunction.apply(features, rois, size, scale, ratio, 'avg', aligned)


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('ratio', [0, 1, 2])
@pytest.mark.parametrize('scale', [1.0, 0.5])
def test_roi_align_is_the_loop(ratio, aligned, scale):
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(2, 2, 10, 12, generator=generator, dtype=torch.float64)
    rois = torch.tensor(ROIS, dtype=torch.float64)
    found = aligned_call(features, rois, (3, 2), scale, ratio, aligned)
    torch.testing.assert_close(found, slow_roi_align(features, rois, (3, 2), scale, ratio, aligned))


def test_roi_align_of_a_ramp_is_the_ramp():
    ramp = torch.arange(20.0).expand(1, 1, 16, 20)
    found = aligned_call(ramp, torch.tensor([[0, 4.0, 4.0, 12.0, 8.0]]), (2, 4), 1.0, 0, True)
    torch.testing.assert_close(found[0, 0], torch.tensor([4.5, 6.5, 8.5, 10.5]).expand(2, 4))


@pytest.mark.parametrize('ratio', [0, 2])
def test_roi_align_gradient(ratio):
    generator = torch.Generator().manual_seed(1)
    features = torch.rand(2, 1, 5, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    rois = torch.tensor(ROIS, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda values: aligned_call(values, rois, (2, 3), 0.5, ratio, True), features
    )


def test_roi_align_edge_cases():
    features = torch.rand(1, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    assert aligned_call(features, torch.zeros(0, 5), (7, 7), 1.0, 0, True).shape == (0, 4, 7, 7)
    half = aligned_call(features.half(), torch.tensor([[0, 1, 1, 6, 6.0]]).half(), 2, 1.0, 0, True)
    full = aligned_call(features.half().float(), torch.tensor([[0, 1, 1, 6, 6.0]]), 2, 1.0, 0, True)
    torch.testing.assert_close(half, full.half())
    for roi, message in (
        ([0, 5, 5, 1, 6.0], 'x1 <= x2'),
        ([1, 1, 1, 6, 6.0], r'indices in \[0, 1\), but got 1'),
        ([0, 1, 1, math.nan, 6.0], 'finite `rois`'),
    ):
        with pytest.raises(ValueError, match=message):
            aligned_call(features, torch.tensor([roi]), 2, 1.0, 0, True)


def test_roi_align_refuses_max_pooling():
    install()
    from mmcv.ops import RoIAlign

    if not isinstance(sys.modules['mmcv._ext'], StandIn):
        pytest.skip('mmcv has its compiled operators')
    with pytest.raises(RuntimeError, match='pool_mode'):
        RoIAlign(2, pool_mode='max')(torch.zeros(1, 1, 4, 4), torch.zeros(1, 5))


def focal_formula(logits, target, weight, gamma, alpha):
    onehot = torch.nn.functional.one_hot(target, logits.shape[1] + 1)[:, :-1].bool()
    p_t = torch.where(onehot, logits.sigmoid(), 1 - logits.sigmoid())
    share = torch.where(onehot, alpha, 1 - alpha)
    loss = -share * (1 - p_t) ** gamma * p_t.log()
    return loss * weight[target][:, None] if len(weight) else loss


@pytest.mark.parametrize('gamma, alpha', [(2.0, 0.25), (0.5, 0.6), (0.0, 0.5)])
@pytest.mark.parametrize('weighted', [False, True])
def test_focal_loss_and_gradient(gamma, alpha, weighted):
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(7, 3, generator=generator, dtype=torch.float64).mul_(3).requires_grad_()
    target = torch.tensor([0, 1, 2, 0, 1, 2, 0] if weighted else [0, 1, 2, 3, 3, 0, 3])
    weight = torch.tensor([0.5, 1.0, 2.0] if weighted else [], dtype=torch.float64)
    expected = focal_formula(logits, target, weight, gamma, alpha)
    (gradient,) = torch.autograd.grad(expected.sum(), logits)
    loss, slope = torch.zeros_like(logits), torch.zeros_like(logits)
    options = {'gamma': gamma, 'alpha': alpha}
    sigmoid_focal_loss_forward(logits, target, weight, loss, **options)
    sigmoid_focal_loss_backward(logits, target, weight, slope, **options)
    torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(slope, gradient)


def test_focal_loss_of_extreme_logits_is_finite():
    logits = torch.tensor([[-200.0, 200.0]])
    for operator in (sigmoid_focal_loss_forward, sigmoid_focal_loss_backward):
        out = torch.zeros_like(logits)
        operator(logits, torch.tensor([0]), torch.zeros(0), out, gamma=2.0, alpha=0.25)
        assert torch.isfinite(out).all()


def test_focal_loss_rejects_background_where_classes_are_weighted():
    logits = torch.zeros(1, 2)
    with pytest.raises(ValueError, match='targets below 2'):
        sigmoid_focal_loss_forward(
            logits, torch.tensor([2]), torch.ones(2), logits.clone(), gamma=2.0, alpha=0.25
        )


def test_torchvision_takes_over_where_it_fits(monkeypatch):
    calls = []
    fake = types.SimpleNamespace(
        nms=lambda *args: calls.append(('nms', args)) or torch.tensor([0]),
        roi_align=lambda *args: calls.append(('roi_align', args)) or torch.ones(1, 1, 2, 3),
        _roi_align_backward=lambda *args: calls.append(('back', args)) or torch.ones(1, 1, 4, 5),
    )
    for module in (nms_module, roi_align):
        monkeypatch.setattr(module, 'torchvision_ops', lambda: fake)
        monkeypatch.setattr(module, 'usable', torchvision_ops.usable)
    monkeypatch.setattr(torchvision_ops, 'torchvision_ops', lambda: fake)
    boxes = torch.tensor([[0, 0, 1, 1.0]])
    nms(boxes, torch.ones(1), iou_threshold=0.5)
    nms(boxes, torch.ones(1), iou_threshold=0.5, offset=1)  # torchvision has no offset
    rois = torch.tensor([[0, 0, 0, 1, 1.0]])
    options = {'aligned_height': 2, 'aligned_width': 3, 'spatial_scale': 0.5, 'sampling_ratio': 0}
    options |= {'pool_mode': 1, 'aligned': True}
    features, none = torch.zeros(1, 1, 4, 5), torch.zeros(0)
    pooled, gradient = torch.zeros(1, 1, 2, 3), torch.zeros(1, 1, 4, 5)
    roi_align.roi_align_forward(features, rois, pooled, none, none, **options)
    roi_align.roi_align_backward(pooled, rois, none, none, gradient, **options)
    assert [name for name, _ in calls] == ['nms', 'roi_align', 'back']
    assert calls[1][1][2:] == (0.5, 2, 3, 0, True)
    assert calls[2][1][2:] == (0.5, 2, 3, 1, 1, 4, 5, 0, True)
    assert pooled.eq(1).all() and gradient.eq(1).all()


def test_stand_in_names_what_it_lacks():
    module = StandIn('ImportError: undefined symbol')
    with pytest.raises(RuntimeError, match='`deform_conv_forward`.*undefined symbol.*pip install'):
        module.deform_conv_forward(1, key=2)
    assert not hasattr(module, '__path__')
    assert module.get_compiler_version().startswith('none')


def test_install_twice_changes_nothing():
    first = install()
    module = sys.modules['mmcv._ext']
    assert install() == first and sys.modules['mmcv._ext'] is module


class Finder:
    """Finds an `mmcv._ext` whose import runs a function."""

    def __init__(self, execute):
        self.exec_module = execute

    def find_spec(self, name, path=None, target=None):
        return ModuleSpec(name, self) if name == 'mmcv._ext' else None

    def create_module(self, spec):
        return None


def test_working_module_wins(monkeypatch):
    import mmcv

    monkeypatch.setattr(mmcv, '_ext', None, raising=False)
    monkeypatch.setitem(sys.modules, 'mmcv._ext', None)
    monkeypatch.delitem(sys.modules, 'mmcv._ext')
    finder = Finder(lambda module: setattr(module, 'nms', 'theirs'))
    monkeypatch.setattr(sys, 'meta_path', [finder, *sys.meta_path])
    assert install() == install() == 'compiled'
    assert sys.modules['mmcv._ext'].nms == 'theirs'


def test_torchvision_that_does_not_fit_counts_as_absent(tmp_path, monkeypatch):
    (tmp_path / 'torchvision.py').write_text("raise RuntimeError('operator nms does not exist')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, 'torchvision', None)
    assert torchvision_ops.torchvision_ops.__wrapped__() is None  # ImportError
    monkeypatch.delitem(sys.modules, 'torchvision')
    assert torchvision_ops.torchvision_ops.__wrapped__() is None  # RuntimeError


BROKEN = """
    import importlib.util, sys
    from importlib.machinery import ModuleSpec

    class Finder:
        def find_spec(self, name, path=None, target=None):
            return ModuleSpec(name, self) if name == 'mmcv._ext' else None

        def create_module(self, spec):
            return None

        def exec_module(self, module):
            raise ImportError('undefined symbol: _ZN3c10')

    sys.meta_path.insert(0, Finder())
    from dense_al.ops import install
    print(install(), install())

    import mmcv.ops, torch
    from mmengine.utils.dl_utils.misc import mmcv_full_available
    assert mmcv_full_available() and importlib.util.find_spec('mmcv._ext')
    boxes = torch.tensor([[0., 0, 9, 9], [1, 1, 9, 9], [20, 20, 30, 30]])
    scores, classes = torch.tensor([.9, .8, .7]), torch.zeros(3, dtype=torch.long)
    config = dict(type='nms', iou_threshold=0.5)
    print(mmcv.ops.batched_nms(boxes, scores, classes, config)[1].tolist())
    print(mmcv.ops.soft_nms(boxes, scores)[1].tolist())
    try:
        mmcv.ops.deform_conv.ext_module.deform_conv_forward()
    except RuntimeError as error:
        print(error)
"""

MODELS = """
    import mmdet.apis, mmdet.models, mmseg.apis, mmseg.models
    from mmdet.registry import MODELS
    from mmdet.testing import demo_mm_inputs
    from mmengine.hub import get_config
    from mmengine.registry import init_default_scope

    init_default_scope('mmdet')
    for name in ('mask_rcnn/mask-rcnn_r50_fpn_1x_coco', 'retinanet/retinanet_r18_fpn_1x_coco'):
        torch.manual_seed(0)
        config = get_config(f'mmdet::{name}.py').model
        config.backbone.update(depth=18, init_cfg=None)
        config.neck.in_channels = [64, 128, 256, 512]
        model = MODELS.build(config)
        inputs = demo_mm_inputs(1, [[3, 64, 96]], with_mask=True)
        data = model.data_preprocessor(inputs, True)
        losses = model.parse_losses(model(**data, mode='loss'))[0]
        losses.backward()
        gradient = sum(float(p.grad.abs().sum()) for p in model.parameters() if p.grad is not None)
        with torch.no_grad():
            data = model.eval().data_preprocessor(inputs, False)
            found = model(**data, mode='predict')[0].pred_instances
        print(bool(torch.isfinite(losses)), gradient > 0, found.bboxes.shape[1])
"""


def test_models_run_where_the_compiled_module_is_broken():
    pytest.importorskip('mmdet')
    pytest.importorskip('mmseg')
    done = subprocess.run(
        [sys.executable, '-c', textwrap.dedent(BROKEN + MODELS)],
        capture_output=True,
        text=True,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = done.stdout.splitlines()
    assert lines[:3] == ['stand-in stand-in', '[0, 2]', '[0, 2, 1]']
    assert 'deform_conv_forward' in lines[3] and 'undefined symbol: _ZN3c10' in lines[3]
    assert lines[-2:] == ['True True 4'] * 2
