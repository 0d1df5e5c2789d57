"""The branch of fine voxels beside the U-Net."""

import pytest
import torch
from mmengine.registry import MODELS

from dense_al.models.point_voxel import SPVCNN, hand_back, read
from dense_al.ops import sparse
from dense_al.ops.sparse.gather import GatherTensor

pytestmark = pytest.mark.usefixtures('one_thread')
TINY = (8, 8, 12, 16, 10, 8, 6)


def voxels(n=400, shape=(23, 19, 11), batch_size=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    columns = [torch.randint(0, e, (n,), generator=generator) for e in (batch_size, *shape)]
    indices = torch.unique(torch.stack(columns, dim=1), dim=0).int()
    return torch.randn(len(indices), 4, generator=generator), indices, batch_size


def coarse_of(indices, halvings, values=None, shape=(8, 8, 8)):
    """The coarse voxels that hold fine ones, in reverse order."""
    found = torch.cat([indices[:, :1], indices[:, 1:] >> halvings], dim=1).unique(dim=0).flip(0)
    features = found[:, 1:].float() if values is None else values(found)
    return GatherTensor(features, found.int(), list(shape), 2)


@pytest.mark.parametrize('halvings', [1, 2])
def test_reading_is_linear_where_all_is_occupied(halvings):
    extent = 16
    axis = torch.arange(extent)
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing='ij'), -1).flatten(0, 2)
    indices = torch.cat([torch.zeros(len(grid), 1), grid], dim=1).int()
    found = read(coarse_of(indices, halvings), indices, halvings)
    # The centre of a fine voxel in units of coarse ones, but for half a coarse one at the border.
    expected = (grid + 0.5) / 2**halvings - 0.5
    expected = expected.clamp(0, extent // 2**halvings - 1)
    torch.testing.assert_close(found, expected)


def test_what_is_not_there_does_not_count():
    indices = torch.tensor([[0, 1, 1, 1], [1, 2, 1, 1]]).int()
    alone = coarse_of(indices, 1, lambda found: found[:, :1] * 5.0 + 2)
    assert read(alone, indices, 1).tolist() == [[2.0], [7.0]]
    # Two side by side: three quarters of the own one, a quarter of the other.
    indices = torch.tensor([[0, 1, 0, 0], [0, 2, 0, 0], [0, 3, 0, 0]]).int()
    found = read(coarse_of(indices, 1, lambda c: c[:, 1:2].float()), indices, 1)
    torch.testing.assert_close(found, torch.tensor([[0.25], [0.75], [1.0]]))


def test_handing_back_is_the_mean():
    indices = torch.tensor([[0, 0, 0, 0], [0, 3, 3, 3], [0, 4, 0, 0], [1, 0, 0, 0]]).int()
    coarse = coarse_of(indices, 2)
    found = hand_back(torch.tensor([[1.0], [4.0], [7.0], [9.0]]), coarse, indices, 2)
    expected = {(0, 0, 0, 0): 2.5, (0, 1, 0, 0): 7.0, (1, 0, 0, 0): 9.0}
    assert dict(zip(map(tuple, coarse.indices.tolist()), found[:, 0].tolist())) == expected


@pytest.mark.parametrize('channels', [(4, 6, 8, 7, 5), TINY, (4, 5, 6, 7, 8, 9, 10, 11, 12)])
def test_trains(channels):
    model, inputs = SPVCNN(4, channels, 'torch'), voxels()
    found = model(*inputs)
    assert found.shape == (len(inputs[0]), channels[-1]) and found.isfinite().all()
    found.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_published_widths():
    layers = [layer[0].weight.shape for layer in SPVCNN(backend='torch').point_layers]
    assert layers == [(256, 32), (128, 256), (96, 128)]


@pytest.mark.skipif('spconv' not in sparse.available(), reason='spconv does not import')
def test_backends_agree():
    found = []
    for backend in sparse.available():
        torch.manual_seed(0)
        model = SPVCNN(4, TINY, backend).eval()
        with torch.no_grad():
            found.append(model(*voxels()))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)


def test_scans_of_a_batch_do_not_mix():
    model, (features, indices, _) = SPVCNN(4, TINY, 'torch').eval(), voxels()
    own = indices[:, 0] == 1
    with torch.no_grad():
        whole = model(features, indices, 2)[own]
        alone = model(features[own], indices[own] - torch.tensor([1, 0, 0, 0]).int(), 1)
    torch.testing.assert_close(alone, whole, rtol=1e-4, atol=1e-5)


def test_dropout_in_training_only():
    model, inputs = SPVCNN(4, TINY, 'torch', dropout_ratio=0.5).eval(), voxels()
    with torch.no_grad():
        assert torch.equal(model(*inputs), model(*inputs))
        model.dropout.train()
        assert not torch.equal(model(*inputs), model(*inputs))


def test_from_a_config():
    model = MODELS.build(dict(type='SPVCNN', channels=TINY, backend='torch'))
    assert isinstance(model, SPVCNN)
    with pytest.raises(ValueError, match='at least five'):
        SPVCNN(4, (4, 6, 5), 'torch')
