"""Region maps at the size of street scenes: time per image, gain of processes, cached reads."""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage.segmentation import slic

from dense_al.regions import Grid, RegionMaps, Superpixels


def pictures(folder, n, height, width):
    """Smooth colours, rectangles and noise: edges to follow, regions to merge."""
    from dense_al.structures import Manifest  # imports torch, which processes do not need

    paths, sizes = [], []
    for i in range(n):
        rng = np.random.default_rng(i)
        coarse = rng.uniform(0, 255, (height // 32, width // 32, 3))
        image = ndimage.zoom(coarse, (32, 32, 1), order=1)
        for _ in range(60):
            y, x = rng.integers(0, height), rng.integers(0, width)
            image[y : y + rng.integers(20, 300), x : x + rng.integers(20, 300)] = rng.uniform(
                0, 255, 3
            )
        image += rng.normal(0, 6, image.shape)
        path = Path(folder) / f'{i}.png'
        Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(path, compress_level=1)
        paths.append(str(path))
        sizes.append(image.shape[:2])
    return Manifest.of_images([Path(path).name for path in paths], paths, sizes)


def timed(function, *args, **options):
    start = time.perf_counter()
    result = function(*args, **options)
    return time.perf_counter() - start, result


def kinds(n_segments, factor):
    superpixels = Superpixels(n_segments=n_segments, min_size_factor=factor)
    found = {'slic': superpixels, 'grid': Grid(size=32)}
    try:
        found['seeds'] = Superpixels(n_segments=n_segments, method='seeds')
    except ImportError as error:
        print(f'  seeds: left out ({str(error).split(".")[0]})')
    return found


def against_plain(images, regions):
    """Our superpixels and scikit-image's own call, in turn, on one core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    times = []
    options = {'n_segments': regions.n_segments, 'min_size_factor': regions.min_size_factor}
    for image in images:
        ours = timed(regions.map, image)[0]
        plain = timed(slic, image, compactness=10.0, start_label=0, **options)[0]
        times.append((ours, plain))
    os.sched_setaffinity(0, cores)
    ours, plain = np.median(times, axis=0)
    print(f'  one core: {ours:.2f} s per image, scikit-image\'s slic {plain:.2f} s, '
          f'ratio {plain / ours:.2f}')  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--shape', type=int, nargs=2, default=(1024, 2048))
    parser.add_argument('--images', type=int, default=8)
    parser.add_argument('--segments', type=int, default=64)
    parser.add_argument('--min-size-factor', type=float, default=0.5)
    parser.add_argument('--workers', type=int, default=None, help='default: one per core')
    args = parser.parse_args()
    print(f'{args.images} images of {args.shape[0]}x{args.shape[1]}')
    with tempfile.TemporaryDirectory() as folder:
        manifest = pictures(folder, args.images, *args.shape)
        images = [np.asarray(Image.open(path)) for path in manifest.paths]
        found = kinds(args.segments, args.min_size_factor)
        for title, regions in found.items():
            seconds = [timed(regions.map, image) for image in images]
            counts = [labels.max() + 1 for _, labels in seconds]
            typical = 1000 * np.median([second for second, _ in seconds])
            print(f'  {title}: {typical:.1f} ms per image, {min(counts)}-{max(counts)} regions')
        against_plain(images, found['slic'])

        alone = RegionMaps(found['slic'], manifest, Path(folder) / 'alone')
        spread = RegionMaps(found['slic'], manifest, Path(folder) / 'spread')
        one = timed(alone.prepare, workers=0, progress=False)[0]
        many = timed(spread.prepare, workers=args.workers, progress=False)[0]
        print(f'  prepare: {one:.1f} s in sequence, {many:.1f} s in processes, '
              f'ratio {one / many:.2f}')  # fmt: skip

        size = sum(path.stat().st_size for path in (Path(folder) / 'alone').rglob('*.npz'))
        cold = RegionMaps(found['slic'], manifest, Path(folder) / 'alone')
        n = len(manifest)
        sizes = timed(lambda: [cold.sizes(sample) for sample in range(n)])[0]
        maps = timed(lambda: [cold.map(sample) for sample in range(n)])[0]
        held = timed(lambda: [cold.map(sample) for sample in range(n)])[0]
        print(f'  cached: map {1000 * maps / n:.1f} ms, from memory {1000 * held / n:.3f} ms')
        print(f'  cached: sizes {1000 * sizes / n:.2f} ms, {size / n / 1024:.0f} KiB on disk')


if __name__ == '__main__':
    main()
