"""The small Darknet, alone and in the detector of the published sandbox."""

import pytest
import torch

pytest.importorskip('mmdet')


def test_stages_and_channels():
    from dense_al.models.darknet import ShallowDarknet

    model = ShallowDarknet(depth=20)
    model.eval()
    with torch.no_grad():
        maps = model(torch.zeros(1, 3, 64, 96))
    assert [m.shape[1:] for m in maps] == [(128, 8, 12), (256, 4, 6), (512, 2, 3)]
    convolutions = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) == 20
    assert ShallowDarknet(depth=53).layers == (1, 2, 8, 8, 4)
