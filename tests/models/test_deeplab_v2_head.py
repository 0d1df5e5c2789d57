"""DeepLab-V2's head, and normalisation that stays."""

import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import nn
from torch.nn.functional import conv2d

from dense_al.adapters.mmseg_predict import last_layer
from dense_al.models import deeplab_v2_head, frozen_norm  # noqa: F401 registers them


@pytest.fixture(autouse=True, scope='module')
def scope():
    init_default_scope('mmseg')


def head(**more):
    torch.manual_seed(0)
    return MODELS.build(
        dict(
            type='DeepLabV2Head', in_channels=5, in_index=1, num_classes=3,
            loss_decode=dict(type='CrossEntropyLoss'), **more)
    )  # fmt: skip


def features():
    generator = torch.Generator().manual_seed(0)
    return [torch.zeros(2, 9, 4, 4), torch.randn(2, 5, 30, 40, generator=generator)]


def summed(layers, x):
    return sum(
        conv2d(x, layer.weight, layer.bias, padding=rate, dilation=rate)
        for layer, rate in zip(layers, (6, 12, 18, 24), strict=True)
    )


def test_four_convolutions_are_the_classifier():
    model, inputs = head(), features()
    assert [layer.kernel_size for layer in model.conv_seg.layers] == [(3, 3)] * 4
    wanted = summed(model.conv_seg.layers, inputs[1])
    torch.testing.assert_close(model(inputs), wanted)
    assert model(inputs).shape == (2, 3, 30, 40)
    assert sum(p.numel() for p in model.parameters()) == 4 * (3 * 5 * 9 + 3)


def test_or_lie_in_front_of_it():
    model, inputs = head(channels=8), features()
    assert all(layer.bias is None for layer in model.mix.layers)
    middle = summed(model.mix.layers, inputs[1])
    wanted = conv2d(middle, model.conv_seg.weight, model.conv_seg.bias)
    torch.testing.assert_close(model(inputs), wanted)


@pytest.mark.parametrize('channels', [None, 8])
def test_features_are_what_the_last_layer_sees(channels):
    class Model:
        decode_head, test_cfg = head(channels=channels), dict(mode='whole')

    seen, inputs = [], features()
    last_layer(Model).register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    Model.decode_head(inputs)
    if channels is None:
        assert seen[0] is inputs[1]
    else:
        assert seen[0].shape == (2, 8, 30, 40)


def test_weights_of_the_classifier_are_drawn_small():
    model = head()
    model.init_weights()
    for layer in model.conv_seg.layers:
        assert 0.007 < layer.weight.std() < 0.013 and (layer.bias == 0).all()


def test_normalisation_stays():
    layer = MODELS.build(
        dict(type='ResNet', depth=18, norm_cfg=dict(type='FrozenBN', requires_grad=False))
    )
    stock = MODELS.build(dict(type='ResNet', depth=18, norm_cfg=dict(type='BN')))
    assert list(layer.state_dict()) == list(stock.state_dict())
    stock.load_state_dict(layer.state_dict())
    stock.eval()
    before = {k: v.clone() for k, v in layer.state_dict().items()}
    image = torch.randn(1, 3, 32, 32)
    layer.train()  # mmseg's returns nothing
    found = layer(image)[0]
    assert layer.layer1[0].training and not layer.bn1.training
    assert all(torch.equal(v, before[k]) for k, v in layer.state_dict().items())
    torch.testing.assert_close(found, stock(image)[0])
    norms = [m for m in layer.modules() if isinstance(m, nn.BatchNorm2d)]
    assert not any(p.requires_grad for m in norms for p in m.parameters())
