"""Inter-frame scores of tensors: the same as those of arrays, matches exact."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from dense_al.acquisition.functional import (
    frame_cells,
    inter_frame_scores,
    inter_frame_scores_on_device,
    nearest_in_cells,
)

GOLDEN = Path(
    os.environ.get('DENSE_AL_GOLDEN', Path(__file__).parents[3].parent / 'shared' / 'golden')
)
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU')
DEVICES = ['cpu', pytest.param('cuda', marks=GPU)]


def scores(probs, xyz, others, other_xyz, device, max_distance, **options):
    cells = [frame_cells(torch.as_tensor(x, device=device), max_distance) for x in other_xyz]
    found = inter_frame_scores_on_device(
        torch.as_tensor(probs, device=device), torch.as_tensor(xyz, device=device),
        [torch.as_tensor(p, device=device) for p in others], cells, **options,
    )  # fmt: skip
    return [values.cpu().numpy() for values in found]


def frames(seed, spread):
    rng = np.random.default_rng(seed)
    sizes = [400, 300, 0, 500]
    xyz = [rng.normal(0, 1, (n, 3)) * spread + [-50, 30, 0] for n in sizes]
    return [rng.dirichlet(np.ones(4), n) for n in sizes], xyz


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('measure', ['kl', 'js'])
@pytest.mark.parametrize('spread', [0.05, 0.5, 20.0])  # many points in a cell, few, hardly any
def test_scores_of_arrays(device, measure, spread):
    probs, xyz = frames(0, spread)
    given = probs[0], xyz[0], probs[1:], xyz[1:]
    found = scores(*given, device, 0.1, measure=measure)
    wanted = inter_frame_scores(*given, max_distance=0.1, measure=measure)
    assert wanted[2].max() >= (2 if spread < 1 else 0)
    np.testing.assert_array_equal(found[2], wanted[2])
    for a, b in zip(found[:2], wanted[:2]):
        np.testing.assert_allclose(a, b, atol=1e-9)


@pytest.mark.parametrize('case', range(3))
def test_golden_scores(case):
    path = GOLDEN / 'inter_frame_scores' / f'case_{case}.npz'
    if not path.exists():
        pytest.skip(f'no golden vectors at {path}')
    z = np.load(path, allow_pickle=False)
    others, places = (
        np.split(z[f'neighbour_{name}'], z['offsets'][1:-1]) for name in ('probs', 'xyz')
    )
    given = z['query_probs'], z['query_xyz'], others, places
    divergence, entropy, matches = scores(*given, 'cpu', float(z['max_distance']))
    np.testing.assert_array_equal(matches, z['matches'])
    np.testing.assert_allclose(divergence, z['divergence_f64'], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(entropy, z['entropy_f64'], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize('seed', range(4))
def test_nearest_is_exact(seed):
    rng = np.random.default_rng(seed)
    there, here = rng.uniform(-1, 1, (900, 3)), rng.uniform(-1.2, 1.2, (500, 3))
    cells = frame_cells(torch.as_tensor(there), 0.15)
    found = nearest_in_cells(torch.as_tensor(here), cells).numpy()
    distance = np.linalg.norm(here[:, None] - there[None], axis=-1)
    wanted = np.where(distance.min(1) <= 0.15, distance.argmin(1), -1)
    np.testing.assert_array_equal(found, wanted)
    assert 0.1 < (wanted < 0).mean() < 0.9


def test_of_equally_near_points_the_first_and_the_distance_is_inclusive():
    there = torch.tensor([[9.0, 9, 9], [0.0, 0, 0.25], [0.0, 0, -0.25], [0.25, 0, 0]])
    cells = frame_cells(there, 0.25)
    assert nearest_in_cells(torch.zeros(1, 3), cells).tolist() == [1]
    assert nearest_in_cells(torch.tensor([[0.0, 0, 0.75]]), cells).tolist() == [-1]


def test_places_that_no_cell_has_a_number_for():
    for wrong in ([[float('nan'), 0, 0]], [[2e5, 0, 0]]):
        with pytest.raises(ValueError, match='coordinates within 104858 m'):
            frame_cells(torch.tensor(wrong), 0.1)
    with pytest.raises(ValueError, match='max_distance'):
        frame_cells(torch.zeros(1, 3), 0)
