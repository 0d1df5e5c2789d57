"""Probabilities equal those of mmseg's own test step."""

import pytest
import torch
from mmengine.config import Config, ConfigDict

from dense_al.adapters.mmseg_predict import last_layer, own_features, probabilities
from dense_al.registry import ConfigError


@pytest.fixture(scope='module')
def model():
    from conftest import CONFIGS
    from mmengine.registry import init_default_scope
    from mmseg.registry import MODELS

    init_default_scope('mmseg')
    torch.manual_seed(0)
    cfg = Config.fromfile(CONFIGS / 'sandbox/streets_entropy.py').model
    cfg.backbone.base_channels = cfg.decode_head.in_channels = cfg.decode_head.channels = 4
    return MODELS.build(cfg).eval()


def batch(**more):
    from mmseg.structures import SegDataSample

    generator = torch.Generator().manual_seed(1)
    image = torch.randint(0, 255, (3, 40, 56), generator=generator, dtype=torch.uint8)
    meta = dict(ori_shape=(80, 112), img_shape=(40, 56), sample=3, **more)
    return dict(inputs=[image], data_samples=[SegDataSample(metainfo=meta)])


@pytest.mark.parametrize('more', [{}, dict(flip=True, flip_direction='horizontal')])
@torch.no_grad()
def test_equal_to_the_test_step(model, more):
    wanted = model.test_step(batch(**more))[0].seg_logits.data.softmax(0)
    (found, meta) = next(probabilities(model, batch(**more)))
    assert found.shape == (12, 80, 112) and meta['sample'] == 3
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)


@torch.no_grad()
def test_one_output_channel_gives_two_classes(model):
    from conftest import CONFIGS
    from mmseg.registry import MODELS

    cfg = Config.fromfile(CONFIGS / 'sandbox/streets_entropy.py').model
    cfg.backbone.base_channels = cfg.decode_head.in_channels = cfg.decode_head.channels = 4
    loss = dict(type='CrossEntropyLoss', use_sigmoid=True)
    cfg.decode_head.update(num_classes=2, out_channels=1, threshold=0.5, loss_decode=loss)
    binary = MODELS.build(cfg).eval()
    wanted = binary.test_step(batch())[0].seg_logits.data
    found, _ = next(probabilities(binary, batch()))
    torch.testing.assert_close(found, torch.cat([1 - wanted, wanted]))


def test_features_need_a_last_layer_and_whole_images(model):
    assert last_layer(model) is model.decode_head.conv_seg
    model.test_cfg = ConfigDict(mode='slide')
    with pytest.raises(ConfigError, match="'whole'.*'slide'"):
        last_layer(model)
    model.test_cfg = ConfigDict(mode='whole')
    layer, model.decode_head.conv_seg = model.decode_head.conv_seg, None
    with pytest.raises(ConfigError, match='`FCNHead` has none'):
        last_layer(model)
    model.decode_head.conv_seg = layer


@pytest.mark.parametrize('more', [{}, dict(flip=True, flip_direction='horizontal')])
@torch.no_grad()
def test_features_are_those_of_the_image_without_its_padding(model, more):
    captured = []
    hook = last_layer(model).register_forward_pre_hook(lambda _, given: captured.append(given[0]))
    (_, meta) = next(probabilities(model, batch(**more)))
    hook.remove()
    assert captured[0].shape[2:] == (24, 32)  # half of 48 x 64, of which the image is 40 x 56
    wanted = captured[0][0, :, :20, :28]
    wanted = wanted.flip(-1) if more else wanted
    torch.testing.assert_close(own_features(captured[0][0], meta), wanted, rtol=0, atol=0)


def test_no_cell_of_padding_is_taken_for_one_of_the_image():
    columns = torch.arange(4.0).expand(1, 4, 4)  # of 16 pixels each
    meta = dict(img_padding_size=[0, 24, 0, 24], pad_shape=(64, 64))
    assert own_features(columns, meta)[0].tolist() == [[0, 1], [0, 1]]
    meta = dict(img_padding_size=[24, 0, 60, 0], pad_shape=(64, 64))
    assert own_features(columns, meta)[0].tolist() == [[2, 3]]
    assert own_features(columns, dict(img_padding_size=[0] * 4)) is columns
