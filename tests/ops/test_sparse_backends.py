"""Sparse convolutions of both backends, against each other and against torch's dense ones."""

import logging
import subprocess
import sys

import pytest
import torch
from torch.autograd import gradcheck
from torch.nn.functional import conv3d, conv_transpose3d

from dense_al.ops import sparse
from dense_al.ops.sparse import backends, gather, kernel_maps

pytestmark = pytest.mark.usefixtures('one_thread')
BACKENDS = sparse.available()
both = pytest.mark.parametrize('name', BACKENDS)
needs_spconv = pytest.mark.skipif('spconv' not in BACKENDS, reason='spconv does not import')


def cells(n, shape, batch_size=1, seed=0):
    """(M, 4) int32 different cells in random order, at most n of them."""
    generator = torch.Generator().manual_seed(seed)
    columns = [torch.randint(0, e, (n,), generator=generator) for e in (batch_size, *shape)]
    found = torch.unique(torch.stack(columns, dim=1), dim=0)
    return found[torch.randperm(len(found), generator=generator)].int().contiguous()


def far_apart():
    """Two crowds in a grid of more cells than 32 bits can number."""
    crowd = cells(150, (6, 6, 6), batch_size=2)
    return torch.cat([crowd, crowd + torch.tensor([0, 90_001, 70_000, 901])]).int().contiguous()


def full_grid(*shape):
    return torch.stack(torch.meshgrid(*map(torch.arange, shape), indexing='ij'), -1).flatten(0, -2)


def to_dense(features, indices, batch_size, shape):
    """(B, C, X, Y, Z), zero elsewhere."""
    dense = features.new_zeros(batch_size, *shape, features.shape[1])
    dense[tuple(indices.long().T)] = features
    return dense.permute(0, 4, 1, 2, 3)


def of_dense(dense, indices):
    return dense.permute(0, 2, 3, 4, 1)[tuple(indices.long().T)]


def dense_weight(layer):
    return layer.weight.permute(0, 4, 1, 2, 3)


def close(found, expected, tolerance=1e-4):
    """Within a share of the largest value: what sums of different order may differ by."""
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()


def through(name, indices, batch_size, seed=0, widths=(3, 8, 5)):
    """Result, gradients of the input and of all weights of a small chain of layers."""
    make = sparse.load(name)
    torch.manual_seed(seed)
    given, inner, last = widths
    layers = torch.nn.ModuleList([
        make.submanifold(given, inner, 'a'), make.submanifold(inner, inner, 'a'),
        make.down(inner, inner, 'ab'), make.submanifold(inner, inner, 'b'),
        make.down(inner, last, 'bc'), make.submanifold(last, last, 'c'),
        make.up(last, inner, 'bc'), make.up(inner, last, 'ab'),
    ])  # fmt: skip
    features = torch.randn(len(indices), given, requires_grad=True)
    x = make.tensor(features, indices, sparse.padded_shape(indices), batch_size)
    for layer in layers:
        x = layer(x)
    assert torch.equal(x.indices, indices)
    (x.features * torch.randn(len(indices), last)).sum().backward()
    return [x.features, features.grad, *(layer.weight.grad for layer in layers)]


@pytest.mark.parametrize(
    ('indices', 'batch_size'),
    [
        (cells(400, (9, 13, 7)), 1),
        (cells(3000, (37, 41, 5), batch_size=3), 3),
        (cells(500, (8, 8, 8), batch_size=2), 2),
        (cells(50, (1, 1, 200)), 1),
        (far_apart(), 2),
        (torch.tensor([[0, 5, 0, 3]], dtype=torch.int32), 1),
        (torch.tensor([[0, 5, 0, 3], [1, 0, 9, 9], [2, 5, 0, 3]], dtype=torch.int32), 3),
    ],
    ids=['odd', 'batch', 'dense', 'line', 'far', 'single', 'singles'],
)
@needs_spconv
def test_spconv_and_torch_agree(indices, batch_size):
    for found, expected in zip(*(through(n, indices, batch_size) for n in BACKENDS)):
        close(found, expected)


@both
@pytest.mark.parametrize('share', [1.0, 0.3])
def test_submanifold_is_conv3d(name, share):
    shape = (6, 5, 16)
    indices = torch.cat([torch.zeros(480, 1), full_grid(*shape)], dim=1).int()
    torch.manual_seed(0)
    indices = indices[torch.rand(480) < share].contiguous()
    layer = sparse.load(name).submanifold(4, 6, 'a')
    features = torch.randn(len(indices), 4)
    found = layer(sparse.load(name).tensor(features, indices, [16, 16, 16], 1))
    dense = conv3d(to_dense(features, indices, 1, shape), dense_weight(layer), padding=1)
    close(found.features, of_dense(dense, indices), 1e-5)


@both
def test_steps_are_strided_conv3d_and_its_transpose(name):
    indices = cells(200, (15, 9, 6), batch_size=2)
    make, features = sparse.load(name), torch.randn(len(indices), 4)
    down, up = make.down(4, 6, 'ab'), make.up(6, 3, 'ab')
    coarse = down(make.tensor(features, indices, [16, 16, 16], 2))
    dense = conv3d(to_dense(features, indices, 2, (16, 16, 16)), dense_weight(down), stride=2)
    close(coarse.features, of_dense(dense, coarse.indices), 1e-5)
    halves = torch.cat([indices[:, :1], indices[:, 1:] // 2], dim=1)
    assert sorted(coarse.indices.tolist()) == torch.unique(halves, dim=0).tolist()
    assert coarse.spatial_shape == [8, 8, 8]

    fine = up(coarse)
    assert torch.equal(fine.indices, indices) and fine.spatial_shape == [16, 16, 16]
    kernel = up.weight.permute(4, 0, 1, 2, 3)
    dense = to_dense(coarse.features, coarse.indices, 2, (8, 8, 8))
    close(fine.features, of_dense(conv_transpose3d(dense, kernel, stride=2), indices), 1e-5)


@both
def test_rows_may_come_in_any_order(name):
    indices = cells(300, (12, 12, 12), batch_size=2)
    make, features = sparse.load(name), torch.randn(len(indices), 4)
    layer, order = make.submanifold(4, 5, 'a'), torch.randperm(len(indices))
    one = layer(make.tensor(features, indices, [16] * 3, 2)).features
    other = layer(make.tensor(features[order], indices[order].contiguous(), [16] * 3, 2)).features
    close(other, one[order], 1e-5)


@both
def test_grids_of_a_batch_do_not_touch(name):
    # The last cell of a grid and the first of the next, at the borders along all three axes.
    corner = torch.tensor([[0, 15, 15, 15], [1, 0, 0, 0], [1, 15, 0, 0], [0, 15, 0, 15]]).int()
    make = sparse.load(name)
    layer = make.submanifold(2, 2, 'a')
    features = torch.randn(4, 2)
    found = layer(make.tensor(features, corner, [16] * 3, 2)).features
    close(found, features @ layer.weight[:, 1, 1, 1].T, 1e-5)


@both
def test_repetition_gives_the_same_bits(name):
    indices = cells(2000, (20, 20, 20))
    for one, other in zip(*(through(name, indices, 1) for _ in range(2))):
        assert torch.equal(one, other)


def test_gradients_of_torch_by_differences():
    indices = cells(30, (4, 4, 4), batch_size=2)
    pairs = kernel_maps.submanifold_pairs(indices, [4, 4, 4], 2)
    features = torch.randn(len(indices), 2, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 3, 3, 3, 2, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda f, w: gather.convolve(f, w, pairs, len(indices)), (features, weight))
    coarse, steps = kernel_maps.halving_pairs(indices, [4, 4, 4], 2)
    weight = torch.randn(3, 2, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda f, w: gather.convolve(f, w, steps, len(coarse)), (features, weight))


def test_torch_keeps_its_precision_under_autocast():
    indices = cells(100, (6, 6, 6))
    pairs = kernel_maps.submanifold_pairs(indices, [6, 6, 6], 1)
    features, weight = torch.randn(len(indices), 4), torch.randn(5, 3, 3, 3, 4)
    expected = gather.convolve(features, weight, pairs, len(indices))
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(gather.convolve(features, weight, pairs, len(indices)), expected)


@needs_spconv
def test_backends_share_weights():
    layers = []
    for name in BACKENDS:
        torch.manual_seed(3)
        layers.append(sparse.load(name).submanifold(4, 6, 'a').state_dict())
    assert [*layers[0]] == [*layers[1]] == ['weight']
    assert torch.equal(layers[0]['weight'], layers[1]['weight'])


def test_odd_extents_are_refused():
    x = gather.GatherTensor(torch.ones(1, 2), torch.zeros(1, 4).int(), [16, 7, 16], 1)
    with pytest.raises(ValueError, match='even extents'):
        gather.DownConv(2, 2, 'ab')(x)


def test_too_many_cells_are_refused():
    with pytest.raises(ValueError, match='less than'):
        kernel_maps.submanifold_pairs(torch.zeros(1, 4), [2**21] * 3, 1)


@pytest.mark.parametrize('indices', [[[0, 1, 2]], [], [[0, 1, -1, 2]]])
def test_shape_of_bad_indices(indices):
    with pytest.raises(ValueError, match='indices'):
        sparse.padded_shape(torch.tensor(indices).int())


def test_unknown_backend():
    with pytest.raises(ValueError, match="'auto', 'spconv', 'torch'"):
        sparse.load('spconf')


def test_without_spconv(monkeypatch, caplog):
    monkeypatch.setattr(backends, '_why_no_spconv', lambda: 'ImportError: no such thing')
    backends._automatic.cache_clear()
    try:
        with caplog.at_level(logging.INFO, 'dense_al'):
            assert sparse.load().name == sparse.load('auto').name == 'torch'
        assert [r.getMessage() for r in caplog.records] == [
            'sparse convolutions: torch (ImportError: no such thing)'
        ]
        assert sparse.available() == ('torch',)
        with pytest.raises(ImportError, match='no such thing'):
            sparse.load('spconv')
    finally:
        backends._automatic.cache_clear()


@needs_spconv
def test_an_spconv_without_the_gpu_that_there_is(monkeypatch):
    layers = pytest.importorskip('dense_al.ops.sparse.spconv_layers')
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    for cpu_only, expected in ((True, 'torch'), (False, 'spconv')):
        monkeypatch.setattr(layers, 'CPU_ONLY_BUILD', cpu_only)
        backends._automatic.cache_clear()
        assert sparse.load('auto').name == expected
    backends._automatic.cache_clear()


@needs_spconv
def test_several_threads_of_a_cpu_get_plain_torch():
    torch.set_num_threads(2)
    assert sparse.load('auto').name == 'torch'
    with pytest.raises(ValueError, match='one thread for spconv on a CPU, but got 2'):
        sparse.load('spconv')
    torch.set_num_threads(1)
    assert sparse.load('auto').name == 'spconv'


def test_nothing_imports_spconv_early():
    code = 'import sys, dense_al.models.sparse_unet; assert "spconv" not in sys.modules'
    subprocess.run([sys.executable, '-c', code], check=True)
