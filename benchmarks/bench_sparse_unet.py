"""Milliseconds of the sparse U-Net, forward and training step, of each backend in one run."""

import argparse
import time

import numpy as np
import torch

from dense_al.datasets.voxels import voxelize
from dense_al.models.sparse_unet import PUBLISHED, SparseUNet
from dense_al.ops import sparse
from dense_al.testing.scans import toy_scan

TINY = (16, 16, 32, 32, 32, 16, 16)
# Points of a scan, edge of a voxel in metres, scans in a batch, widths.
CASES = [(10_000, 0.2, 2, TINY), (10_000, 0.05, 2, PUBLISHED), (120_000, 0.05, 1, PUBLISHED)]


def batch(n_points, size, batch_size, device):
    found = [
        voxelize(toy_scan(n_points, np.random.default_rng(s))[0], size) for s in range(batch_size)
    ]
    grids = [np.insert(voxels.coords, 0, number, axis=1) for number, voxels in enumerate(found)]
    features = torch.from_numpy(np.concatenate([voxels.feats for voxels in found]))
    return features.to(device), torch.from_numpy(np.concatenate(grids)).to(device), batch_size


def timed(function, repeats, device):
    """Milliseconds, the median of several calls behind a first one."""
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        function()
        if device == 'cuda':
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return 1000 * float(np.median(seconds[1:]))


def measured(backend, inputs, channels, repeats, device):
    """Milliseconds of a forward pass and of a training step."""
    torch.manual_seed(0)
    model = SparseUNet(4, channels, backend).to(device)
    optimizer = torch.optim.Adam(model.parameters())

    def step():
        optimizer.zero_grad()
        model(*inputs).square().mean().backward()
        optimizer.step()

    training = timed(step, repeats, device)
    model.eval()
    with torch.no_grad():
        return timed(lambda: model(*inputs), repeats, device), training


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--cases', type=int, nargs='*', default=range(len(CASES)))
    args = parser.parse_args()
    print(f'{torch.get_num_threads()} threads')
    for device in ('cpu', 'cuda') if torch.cuda.is_available() else ('cpu',):
        for n_points, size, batch_size, channels in (CASES[number] for number in args.cases):
            inputs = batch(n_points, size, batch_size, device)
            print(
                f'{device}, {batch_size} x {n_points} points, {size} m, {len(inputs[0])} voxels, '
                f'widths {channels}'
            )
            found = {}
            for backend in sparse.available():
                found[backend] = measured(backend, inputs, channels, args.repeats, device)
                forward, step = found[backend]
                print(f'  {backend}: forward {forward:.1f} ms, training step {step:.1f} ms')
            if 'spconv' in found:
                ratios = [t / s for t, s in zip(found['torch'], found['spconv'])]
                print(f'  torch / spconv: forward {ratios[0]:.2f}, training step {ratios[1]:.2f}')


if __name__ == '__main__':
    main()
