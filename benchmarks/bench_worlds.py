"""Time to make an image or a scan of a generated world, beside a reference on the same data."""

import argparse
import io
import time

import numpy as np
from PIL import Image
from scipy.spatial import cKDTree
from threadpoolctl import threadpool_limits

from dense_al.sandbox import (
    GlyphsSpec,
    StreetsSpec,
    TownSpec,
    render_glyphs,
    render_scene,
    scan_town,
)


def encode(image):
    """The reference of images: what writing one as PNG takes."""
    Image.fromarray(image).save(io.BytesIO(), 'png')


def seconds(function, inputs):
    """Median seconds of the processor, and what the function gave."""
    times, found = [], []
    for given in inputs:
        start = time.process_time()
        found.append(function(given))
        times.append(time.process_time() - start)
    return float(np.median(times)), found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--n', type=int, default=100, help='images; scans: one sequence at most')
    n = parser.parse_args().n
    glyphs, streets, town = GlyphsSpec(), StreetsSpec(), TownSpec()
    frames = range(min(n, town.frames))  # the first also builds the streets
    worlds = {
        'glyphs': (lambda i: render_glyphs(glyphs, 'train', i).image, encode, range(n)),
        'streets': (lambda i: render_scene(streets, 'train', i)[0], encode, range(n)),
        'town': (lambda i: scan_town(town, 'train', 0, i).points[:, :3], cKDTree, frames),
    }
    print('world    shape            ms   per second   x reference (PNG, k-d tree)')
    with threadpool_limits(1):
        for name, (make, reference, indices) in worlds.items():
            made, data = seconds(make, indices)
            other, _ = seconds(reference, data)
            shape = ' x '.join(map(str, data[-1].shape))
            print(f'{name:8s} {shape:14s} {1e3 * made:6.1f} {1 / made:12.0f} {made / other:10.2f}')


if __name__ == '__main__':
    main()
