"""The sparse U-Net: what it returns, what its backends share, what it refuses."""

import pytest
import torch
from mmengine.registry import MODELS

from dense_al.models.sparse_unet import PUBLISHED, RowNorm, SparseUNet
from dense_al.ops import sparse

pytestmark = pytest.mark.usefixtures('one_thread')
TINY = (8, 8, 12, 16, 12, 8, 6)
BACKENDS = sparse.available()
both = pytest.mark.parametrize('backend', BACKENDS)


def voxels(n=400, shape=(23, 19, 11), batch_size=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    columns = [torch.randint(0, e, (n,), generator=generator) for e in (batch_size, *shape)]
    indices = torch.unique(torch.stack(columns, dim=1), dim=0).int()
    return torch.randn(len(indices), 4, generator=generator), indices, batch_size


def built(backend, channels=TINY, seed=0):
    torch.manual_seed(seed)
    return SparseUNet(4, channels, backend)


@both
@pytest.mark.parametrize('channels', [(4, 6, 5), TINY, (4,) * 11])
def test_any_number_of_levels(backend, channels):
    inputs = voxels()
    model = built(backend, channels)
    found = model(*inputs)
    assert found.shape == (len(inputs[0]), channels[-1]) and model.out_channels == channels[-1]
    assert found.isfinite().all() and (found >= 0).all() and found.std() > 0
    found.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.skipif('spconv' not in BACKENDS, reason='spconv does not import')
def test_backends_agree_and_load_each_other():
    models = [built(backend) for backend in BACKENDS]
    states = [model.state_dict() for model in models]
    assert [*states[0]] == [*states[1]]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    inputs, found = voxels(), []
    for model in models:
        result = model(*inputs)
        result.pow(2).mean().backward()
        grads = {name: p.grad for name, p in model.named_parameters()}
        found.append([result, *grads.values()])
    for one, other in zip(*found):
        assert (one - other).abs().max() <= 1e-4 * max(float(other.abs().max()), 1e-2)

    # A trained checkpoint of one gives the same in the other.
    target = built(BACKENDS[1], seed=1)
    target.load_state_dict(models[0].state_dict())
    with torch.no_grad():
        one, other = (m.eval()(*inputs) for m in (models[0], target))
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_published_widths():
    model = built('torch', PUBLISHED)
    weights = {
        name: tuple(p.shape) for name, p in model.named_parameters() if name.endswith('conv.weight')
    }
    assert weights['stem.0.conv.weight'] == (32, 3, 3, 3, 4)
    assert weights['down.3.step.conv.weight'] == (128, 2, 2, 2, 128)
    assert weights['down.3.blocks.0.first.conv.weight'] == (256, 3, 3, 3, 128)
    assert weights['up.0.step.conv.weight'] == (256, 2, 2, 2, 256)
    assert weights['up.0.blocks.0.first.conv.weight'] == (256, 3, 3, 3, 256 + 128)
    assert weights['up.3.blocks.0.first.conv.weight'] == (96, 3, 3, 3, 96 + 32)
    # 2 of the stem, 4 steps down and up, and 4 in each of 8 pairs of blocks.
    assert len(weights) == 2 + 8 + 32


@both
def test_scans_of_a_batch_do_not_mix_and_order_does_not_matter(backend):
    features, indices, _ = voxels()
    model = built(backend).eval()
    with torch.no_grad():
        whole = model(features, indices, 2)
        own = indices[:, 0] == 1
        alone = model(features[own], indices[own] - torch.tensor([1, 0, 0, 0]).int(), 1)
        order = torch.randperm(len(features))
        shuffled = model(features[order], indices[order], 2)
    torch.testing.assert_close(alone, whole[own], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(shuffled, whole[order], rtol=1e-4, atol=1e-5)


@both
def test_evaluation_repeats_to_the_bit(backend):
    inputs, model = voxels(), built(backend).eval()
    with torch.no_grad():
        assert torch.equal(model(*inputs), model(*inputs))


@both
def test_a_single_voxel_can_be_trained_on(backend):
    model = built(backend)
    found = model(torch.ones(1, 4), torch.tensor([[0, 3, 1, 2]]).int(), 1)
    found.sum().backward()
    assert found.isfinite().all()
    assert all(p.grad.isfinite().all() for p in model.parameters())


@both
def test_far_voxels_see_each_other_only_through_coarse_levels(backend):
    """A change stays within the reach of the layers."""
    model = built(backend, (4, 4, 4)).eval()
    line = torch.stack([torch.zeros(200), torch.arange(200), *torch.zeros(2, 200)], dim=1).int()
    features = torch.randn(200, 4)
    changed = features.clone()
    changed[100] += 1
    with torch.no_grad():
        moved = (model(features, line, 1) - model(changed, line, 1)).abs().amax(1) > 0
    reach = moved.nonzero().squeeze(1)
    # Two of the stem, twice four coarse ones, four fine ones: 2 + 8 + 4 and the steps' one.
    assert 100 - 16 <= reach.min() < 100 < reach.max() <= 100 + 16


def test_a_single_row_is_normed_by_what_is_known():
    norm = RowNorm(2)
    norm(torch.randn(50, 2) * 3 + 1)
    known = norm.running_mean.clone()
    row = torch.randn(1, 2)
    expected = norm.eval()(row)
    assert torch.allclose(norm.train()(row), expected)
    assert torch.equal(norm.running_mean, known)
    norm(torch.randn(2, 2))
    assert not torch.equal(norm.running_mean, known)


def test_from_a_config():
    cfg = dict(type='SparseUNet', in_channels=3, channels=(4, 6, 5), backend='torch')
    assert isinstance(MODELS.build(cfg), SparseUNet)


def test_fewer_blocks():
    model = SparseUNet(4, (4, 6, 5), 'torch', blocks=1)
    assert sum(name.endswith('conv.weight') for name in model.state_dict()) == 2 + 2 + 4
    features, indices, n = voxels()
    assert model(features, indices, n).shape == (len(features), 5)
    with pytest.raises(ValueError, match='`blocks` above 0'):
        SparseUNet(4, (4, 6, 5), 'torch', blocks=0)


@both
def test_gradients_in_eval_mode_too(backend):
    model = built(backend).eval()
    features, indices, n = voxels()
    features.requires_grad_()
    model(features, indices, n).sum().backward()
    assert features.grad.any() and all(p.grad.any() for p in model.parameters())


@pytest.mark.parametrize('channels', [(8,), (8, 8), (8, 8, 8, 8), (8, 0, 8)])
def test_bad_widths(channels):
    with pytest.raises(ValueError, match='odd number of widths'):
        SparseUNet(4, channels, 'torch')


def test_bad_inputs():
    model, (features, indices, n) = built('torch'), voxels()
    with pytest.raises(ValueError, match=r'\(M, 4\)'):
        model(features[:, :3], indices, n)
    with pytest.raises(ValueError, match='int32'):
        model(features, indices.long(), n)
    with pytest.raises(ValueError, match='at least 0'):
        model(features, indices - 1, n)
    with pytest.raises(ValueError, match='M > 0'):
        model(features[:0], indices[:0], n)
