"""The operators in plain torch against mmcv's compiled ones, where those are installed.

`pytest -s` shows the largest differences.
"""

import pytest
import torch

from dense_al.ops import focal_loss, install, roi_align
from dense_al.ops import nms as nms_module

pytest.importorskip('mmcv')
if install() != 'compiled':
    pytest.skip('needs the compiled operators of mmcv (make ops)', allow_module_level=True)
import mmcv._ext as compiled  # noqa: E402

DTYPES = [torch.float32, torch.float64]


@pytest.fixture(autouse=True)
def plain_torch(monkeypatch):
    for module in (nms_module, roi_align):
        monkeypatch.setattr(module, 'usable', lambda *tensors: False)


def boxes_of(n, seed, extent=200.0, dtype=torch.float32):
    """Random boxes, some of them duplicates or without area, and scores without ties."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(n, 2, generator=generator, dtype=dtype) * extent
    size = torch.rand(n, 2, generator=generator, dtype=dtype) * extent / 3
    boxes = torch.cat([corner, corner + size], dim=1)
    boxes[: n // 20] = boxes[n // 2 : n // 2 + n // 20]
    boxes[-(n // 50) :, 2:] = boxes[-(n // 50) :, :2]
    return boxes, torch.randperm(n, generator=generator).to(dtype) / n


def difference(name, found, wanted, atol):
    """Shows and checks the largest difference."""
    largest = float((found - wanted).abs().max()) if found.numel() else 0.0
    print(f'\n{name}: {largest:.1e} of {float(wanted.abs().max()):.1e}', end='')
    torch.testing.assert_close(found, wanted, atol=atol, rtol=1e-5)


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('threshold', [0.1, 0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize('n', [200, 1000, 3000])
def test_nms(n, threshold, offset):
    boxes, scores = boxes_of(n, seed=n)
    found = nms_module.nms(boxes, scores, iou_threshold=threshold, offset=offset)
    wanted = compiled.nms(boxes, scores, iou_threshold=threshold, offset=offset)
    assert found.tolist() == wanted.tolist()


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('method', [0, 1, 2])
def test_softnms(method, offset):
    boxes, scores = boxes_of(400, seed=1)
    # Two boxes without area overlap by 0 / 0, and mmcv's Gaussian then picks scores that are NaN.
    boxes, scores = boxes[:390], scores[:390]
    options = {'iou_threshold': 0.3, 'sigma': 0.5, 'min_score': 0.05}
    kept, dets = {}, {}
    for name, operator in (('plain', nms_module.softnms), ('compiled', compiled.softnms)):
        dets[name] = boxes.new_zeros(len(boxes), 5)
        kept[name] = operator(
            boxes.clone(), scores.clone(), dets[name], method=method, offset=offset, **options
        )
    assert kept['plain'].tolist() == kept['compiled'].tolist()
    k = len(kept['plain'])
    difference(f'softnms {method}', dets['plain'][:k], dets['compiled'][:k], atol=1e-5)


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('ratio', [0, 1, 2])
@pytest.mark.parametrize('scale', [1.0, 0.25])
def test_roi_align(ratio, aligned, scale, dtype):
    generator = torch.Generator().manual_seed(2)
    features = torch.randn(2, 5, 40, 50, generator=generator, dtype=dtype)
    boxes, _ = boxes_of(100, seed=3, extent=45 / scale, dtype=dtype)
    boxes -= 3 / scale  # some begin outside
    image = torch.randint(0, 2, (100, 1), generator=generator).to(dtype)
    rois = torch.cat([image, boxes], dim=1)
    options = {'aligned_height': 7, 'aligned_width': 5, 'spatial_scale': scale}
    options |= {'sampling_ratio': ratio, 'pool_mode': 1, 'aligned': aligned}
    slope = torch.randn(100, 5, 7, 5, generator=generator, dtype=dtype)
    pooled, gradients = [], []
    for module in (roi_align, compiled):
        out, none = features.new_zeros(100, 5, 7, 5), features.new_zeros(0)
        module.roi_align_forward(features, rois, out, none, none, **options)
        gradient = torch.zeros_like(features)
        module.roi_align_backward(slope, rois, none, none, gradient, **options)
        pooled.append(out)
        gradients.append(gradient)
    atol = 1e-4 if dtype == torch.float32 else 1e-12
    difference(f'roi_align {dtype}', *pooled, atol=atol)
    difference(f'roi_align gradient {dtype}', *gradients, atol=atol)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='compiled for GPUs alone')
@pytest.mark.parametrize('weighted', [False, True])
@pytest.mark.parametrize('gamma, alpha', [(2.0, 0.25), (0.5, 0.6)])
def test_focal_loss(gamma, alpha, weighted):
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(500, 20, generator=generator).mul_(3).cuda()
    target = torch.randint(0, 20 if weighted else 21, (500,), generator=generator).cuda()
    weight = (torch.rand(20, generator=generator) if weighted else torch.zeros(0)).cuda()
    for name in ('sigmoid_focal_loss_forward', 'sigmoid_focal_loss_backward'):
        outs = []
        for module in (focal_loss, compiled):
            out = torch.zeros_like(logits)
            getattr(module, name)(logits, target, weight, out, gamma=gamma, alpha=alpha)
            outs.append(out)
        difference(name, *outs, atol=1e-5)
