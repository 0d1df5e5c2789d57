"""Hierarchical grouping against a plain loop over pixels."""

import numpy as np
import pytest

from dense_al.proposals.grouping import (
    COLOUR_BINS,
    TEXTURE_BINS,
    describe_regions,
    group_regions,
)


def blocks(rng, rows=5, columns=6, side=7):
    """A noisy image of coloured blocks, and the map of the blocks."""
    labels = np.kron(np.arange(rows * columns).reshape(rows, columns), np.ones((side, side), int))
    image = rng.random((rows * columns, 3))[labels] + 0.1 * rng.random((*labels.shape, 3))
    return np.clip(image, 0, 1).astype(np.float32), labels


def plain_texture(image):
    """(H, W, 12) signed strength of derivatives."""
    dy, dx = np.zeros_like(image), np.zeros_like(image)
    dy[1:-1] = image[2:] - image[:-2]
    dx[:, 1:-1] = image[:, 2:] - image[:, :-2]
    most = max(abs(dx).max(), abs(dy).max())
    found = [np.cos(a) * dx + np.sin(a) * dy for a in np.pi * np.arange(4) / 4]
    return np.concatenate(found, axis=2) / most


def plain_groups(image, labels, colour):
    """Boxes of all unions, every similarity anew from the pixels of the two regions."""
    texture = plain_texture(image)
    colour_bins = np.minimum((image * COLOUR_BINS).astype(int), COLOUR_BINS - 1)
    top = TEXTURE_BINS - 1
    texture_bins = np.clip(np.trunc(texture * TEXTURE_BINS).astype(int), -top, top) + top

    def share(mask, bins, count):
        found = [np.bincount(bins[mask][:, c], minlength=count) for c in range(bins.shape[2])]
        return np.concatenate(found) / (mask.sum() * bins.shape[2])

    def box(mask):
        y, x = np.nonzero(mask)
        return [x.min(), y.min(), x.max() + 1, y.max() + 1]

    def touch(a, b):
        return (
            (a[1:] & b[:-1]).any()
            or (b[1:] & a[:-1]).any()
            or (a[:, 1:] & b[:, :-1]).any()
            or (b[:, 1:] & a[:, :-1]).any()
        )

    def similar(a, b):
        total = np.minimum(share(a, texture_bins, 2 * top + 1), share(b, texture_bins, 2 * top + 1))
        total = total.sum()
        if colour:
            both = [share(m, colour_bins, COLOUR_BINS) for m in (a, b)]
            total += np.minimum(*both).sum()
        x1, y1, x2, y2 = box(a | b)
        size = (a.sum() + b.sum()) / labels.size
        return total + (1 - size) + (1 - ((x2 - x1) * (y2 - y1) / labels.size - size))

    masks = [labels == i for i in range(labels.max() + 1)]
    alive, boxes = list(range(len(masks))), [box(m) for m in masks]
    while len(alive) > 1:
        pairs = [(i, j) for i in alive for j in alive if i < j and touch(masks[i], masks[j])]
        i, j = max(pairs, key=lambda p: similar(masks[p[0]], masks[p[1]]))
        alive = [k for k in alive if k not in (i, j)] + [len(masks)]
        masks.append(masks[i] | masks[j])
        boxes.append(box(masks[-1]))
    return np.array(boxes)


@pytest.mark.parametrize('colour', [True, False])
@pytest.mark.parametrize('seed', range(2))
def test_plain_loop(seed, colour):
    image, labels = blocks(np.random.default_rng(seed), 3, 4)
    found = group_regions(describe_regions(image, labels), colour=colour)
    np.testing.assert_array_equal(found, plain_groups(image, labels, colour))


def test_regions_are_described():
    image, labels = blocks(np.random.default_rng(0), 2, 3, 5)
    start = describe_regions(image, labels)
    assert start.area == labels.size and (start.sizes == 25).all()
    assert start.boxes[4].tolist() == [5, 5, 10, 10]
    pairs = [[0, 1], [0, 3], [1, 2], [1, 4], [2, 5], [3, 4], [4, 5]]
    assert start.edges.tolist() == pairs
    for part in np.split(start.histograms, [start.n_colour], axis=1):
        np.testing.assert_allclose(part.sum(axis=1), 1, rtol=1e-5)


def test_alike_blocks_are_merged_first():
    labels = np.kron(np.arange(4)[None], np.ones((8, 8), int))
    image = np.array([0.1, 0.9, 0.9, 0.1], np.float32)[labels][..., None].repeat(3, axis=2)
    found = group_regions(describe_regions(image, labels))
    assert found[4].tolist() == [8, 0, 24, 8]
    assert found[-1].tolist() == [0, 0, 32, 8]


@pytest.mark.parametrize('shape', [(1, 1), (1, 9), (9, 1), (2, 2)])
def test_a_single_region(shape):
    start = describe_regions(np.full((*shape, 3), 0.5, np.float32), np.zeros(shape, int))
    assert group_regions(start).tolist() == [[0, 0, shape[1], shape[0]]]
