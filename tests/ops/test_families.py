"""Which of mmcv's compiled operators the detector families call, in one step and one inference."""

import functools
import sys

import pytest
import torch

from dense_al.ops import install
from dense_al.ops.stand_in import FAMILIES, OPERATORS

pytest.importorskip('mmdet')
install()
STOCK = {
    'RetinaNet': 'retinanet/retinanet_r18_fpn_1x_coco',
    'FasterRCNN': 'faster_rcnn/faster-rcnn_r50_fpn_1x_coco',
    'MaskRCNN': 'mask_rcnn/mask-rcnn_r50_fpn_1x_coco',
    'YOLOV3': 'yolo/yolov3_d53_8xb8-320-273e_coco',
    'FCOS': 'fcos/fcos_r50-caffe_fpn_gn-head_1x_coco',
    'CondInst': 'condinst/condinst_r50_fpn_ms-poly-90k_coco_instance',
}


def tiny(family):
    """The stock model of a family on a shallow backbone, with nothing filtered by its score."""
    from mmengine.hub import get_config

    import dense_al.models.darknet  # noqa: F401

    config = get_config(f'mmdet::{STOCK[family]}.py').model
    if family == 'YOLOV3':
        config.backbone.update(type='ShallowDarknet', depth=20, init_cfg=None)
        config.neck.update(in_channels=[512, 256, 128], out_channels=[32, 32, 32])
        config.bbox_head.update(in_channels=[32, 32, 32], out_channels=[32, 32, 32])
        config.test_cfg.conf_thr = 0.0
    else:
        config.backbone.update(depth=18, init_cfg=None)
        config.neck.in_channels = [64, 128, 256, 512]
    config.test_cfg.get('rcnn', config.test_cfg).score_thr = 0.0
    return config


@pytest.fixture
def called(monkeypatch):
    """Names of the operators that are called."""
    module, names = sys.modules['mmcv._ext'], set()

    def record(operator, name):
        @functools.wraps(operator)
        def wrapped(*args, **kwargs):
            names.add(name)
            return operator(*args, **kwargs)

        return wrapped

    for plain in OPERATORS:
        name = plain.__name__
        # The focal loss is compiled for GPUs alone.
        operator = plain if 'focal' in name else getattr(module, name)
        monkeypatch.setattr(module, name, record(operator, name))
    return names


def loss_of(model, inputs):
    losses = model(**model.data_preprocessor(inputs, True), mode='loss')
    return model.parse_losses(losses)[0]


def as_on_a_gpu(monkeypatch):
    """The focal loss calls mmcv's operator, which mmdet does for tensors on a GPU alone."""
    from mmdet.models.losses import focal_loss

    def focal(pred, onehot, *args, **kwargs):
        target = torch.where(onehot.any(1), onehot.argmax(1), onehot.shape[1])
        return focal_loss.sigmoid_focal_loss(pred, target, *args, **kwargs)

    monkeypatch.setattr(focal_loss, 'py_sigmoid_focal_loss', focal)


@pytest.mark.parametrize('family', FAMILIES)
def test_a_family_learns_and_infers(family, called, monkeypatch):
    from mmdet.registry import MODELS
    from mmdet.testing import demo_mm_inputs
    from mmengine.registry import init_default_scope

    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(tiny(family))
    model.train()
    inputs = demo_mm_inputs(2, [[3, 64, 96]] * 2, num_items=[2, 2], with_mask=True)
    torch.manual_seed(1)
    on_cpu = loss_of(model, inputs)
    as_on_a_gpu(monkeypatch)
    torch.manual_seed(1)
    loss = loss_of(model, inputs)
    torch.testing.assert_close(loss, on_cpu)
    loss.backward()
    assert any(bool(p.grad.abs().sum() > 0) for p in model.parameters() if p.grad is not None)
    model.eval()
    with torch.no_grad():
        found = model(**model.data_preprocessor(inputs, False), mode='predict')
    assert all(len(sample.pred_instances.bboxes) for sample in found)
    assert all(('masks' in s.pred_instances) == (family in ('MaskRCNN', 'CondInst')) for s in found)
    assert called == FAMILIES[family]
