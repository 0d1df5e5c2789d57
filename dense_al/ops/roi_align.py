"""RoIAlign (He et al., ICCV 2017), average pooling, in plain torch.

Each output cell is a weighted sum of pixels: the mean of bilinear samples on a regular grid inside
the cell. Forward takes these sums, backward the same sums with pixels and cells exchanged.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from dense_al.ops.build import BUILD_COMMAND
from dense_al.ops.torchvision_ops import torchvision_ops, usable


class _Terms(NamedTuple):
    """The terms of all sums: pixel `pixel[i]` enters cell `cell[i]` with weight `weight[i]`.

    `pixel` counts over (N, H, W), `cell` over (R, PH, PW) and ascends; all of shape (T,).
    """

    pixel: Tensor
    cell: Tensor
    weight: Tensor


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    *,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Pools the features under each box into a grid of fixed size.

    Args:
        input: (N, C, H, W) float features.
        rois: (R, 5) float: index into N, then x1 y1 x2 y2 in image pixels.
        output: (R, C, PH, PW) float, written.
        argmax_y: Unused, as max pooling is not supported.
        argmax_x: Likewise.
        aligned_height: PH.
        aligned_width: PW.
        spatial_scale: Feature pixels per image pixel.
        sampling_ratio: Samples per cell and axis; 0 for one per feature pixel, rounded up.
        pool_mode: 1 for the mean; 0, the maximum, is not supported.
        aligned: Whether pixel centres lie at halves (shifts boxes by -0.5 feature pixels).

    Raises:
        ValueError: Boxes that are not finite, of negative size or of an image that is not there.
        RuntimeError: Max pooling.
    """
    _check_mode(pool_mode)
    if not output.numel():
        return
    size = (aligned_height, aligned_width)
    _check_rois(rois, len(input))
    if usable(input, rois):
        output.copy_(
            torchvision_ops().roi_align(input, rois, spatial_scale, *size, sampling_ratio, aligned)
        )
        return
    n, channels, height, width = input.shape
    terms = _terms(rois, (height, width), size, spatial_scale, sampling_ratio, aligned)
    rows = input.permute(0, 2, 3, 1).reshape(-1, channels)
    pooled = _weighted_sums(
        rows, terms.pixel, terms.cell, terms.weight, len(rois) * size[0] * size[1]
    )
    output.copy_(pooled.view(len(rois), *size, channels).permute(0, 3, 1, 2))


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    *,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Gradient of `roi_align_forward` with respect to the features.

    Args:
        grad_output: (R, C, PH, PW) float.
        rois: As in the forward pass, like the arguments below.
        argmax_y: Unused.
        argmax_x: Unused.
        grad_input: (N, C, H, W) float zeros, written.
        aligned_height: PH.
        aligned_width: PW.
        spatial_scale: Feature pixels per image pixel.
        sampling_ratio: Samples per cell and axis, 0 for adaptive.
        pool_mode: 1.
        aligned: As in the forward pass.

    Raises:
        RuntimeError: Max pooling.
    """
    _check_mode(pool_mode)
    if not grad_output.numel():
        return
    size = (aligned_height, aligned_width)
    n, channels, height, width = grad_input.shape
    if usable(grad_output, rois):
        grad_input.copy_(
            torchvision_ops()._roi_align_backward(
                grad_output, rois, spatial_scale, *size, n, channels, height, width, sampling_ratio,
                aligned,
            )
        )  # fmt: skip
        return
    terms = _terms(rois, (height, width), size, spatial_scale, sampling_ratio, aligned)
    rows = grad_output.permute(0, 2, 3, 1).reshape(-1, channels)
    pixel, order = terms.pixel.sort(stable=True)
    spread = _weighted_sums(rows, terms.cell[order], pixel, terms.weight[order], n * height * width)
    grad_input.copy_(spread.view(n, height, width, channels).permute(0, 3, 1, 2))


def _weighted_sums(rows: Tensor, source: Tensor, target: Tensor, weight: Tensor, n: int) -> Tensor:
    """(n, C): row `target[i]` is the sum of ``weight[i] * rows[source[i]]``; `target` ascends."""
    if rows.dtype not in (torch.float32, torch.float64):
        rows = rows.float()
    counts = torch.bincount(target, minlength=n)
    return embedding_bag(
        source,
        rows.detach(),
        counts.cumsum(dim=0) - counts,
        mode='sum',
        per_sample_weights=weight.to(rows.dtype),
    )


def _terms(
    rois: Tensor,
    feature_size: tuple[int, int],
    size: tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> _Terms:
    """All terms of the sums: four neighbours of each sample of each cell."""
    height, width = feature_size
    rois = rois.detach()
    rois = rois if rois.dtype == torch.float64 else rois.float()
    corners = rois[:, 1:] * spatial_scale - (0.5 if aligned else 0.0)
    start, extent = corners[:, :2], corners[:, 2:] - corners[:, :2]  # (R, 2) as x, y
    if not aligned:
        extent = extent.clamp(min=1.0)
    cells = extent.new_tensor([size[1], size[0]])
    bins = extent / cells
    grid = torch.full_like(bins, sampling_ratio) if sampling_ratio > 0 else bins.ceil()
    per_cell = grid.prod(dim=1).long()  # (R,) samples in each cell of a box

    n_cells = size[0] * size[1]
    roi_of_cell = torch.arange(len(rois), device=rois.device).repeat_interleave(n_cells)
    counts = per_cell[roi_of_cell]
    cell = torch.arange(len(roi_of_cell), device=rois.device).repeat_interleave(counts)
    number = torch.arange(len(cell), device=rois.device) - (counts.cumsum(0) - counts)[cell]
    roi, place = roi_of_cell[cell], cell % n_cells
    columns = grid[:, 0].long().clamp(min=1)[roi]
    y, x = (
        start[roi, axis]
        + which * bins[roi, axis]
        + (sample + 0.5) * bins[roi, axis] / grid[roi, axis]
        for axis, which, sample in (
            (1, place // size[1], number // columns),
            (0, place % size[1], number % columns),
        )
    )
    image = rois[roi, 0].long()
    pixel, weight = _neighbours(y, x, height, width)
    weight = weight / per_cell[roi][:, None]
    pixel = pixel + (image * (height * width))[:, None]
    return _Terms(pixel.reshape(-1), cell.repeat_interleave(4), weight.reshape(-1))


def _neighbours(y: Tensor, x: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Pixels around each position and their bilinear weights, both (S, 4).

    Positions up to one pixel outside are moved to the border; farther ones have no weight.
    """
    inside = (y >= -1) & (y <= height) & (x >= -1) & (x <= width)
    y, x = y.clamp(0, height - 1), x.clamp(0, width - 1)
    top, left = y.floor(), x.floor()
    down, right = y - top, x - left
    row, column = top.long(), left.long()
    below, beside = (row + 1).clamp(max=height - 1), (column + 1).clamp(max=width - 1)
    pixel = torch.stack(
        [
            row * width + column,
            row * width + beside,
            below * width + column,
            below * width + beside,
        ],
        dim=1,
    )
    weight = torch.stack(
        [(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right], dim=1
    )
    return pixel, weight * inside[:, None]


def _check_rois(rois: Tensor, n_images: int) -> None:
    if not bool(torch.isfinite(rois).all()):
        raise ValueError('Expected finite `rois`, but got NaN or infinity: did training diverge?')
    if bool((rois[:, 3:] < rois[:, 1:3]).any()):
        bad = rois[(rois[:, 3:] < rois[:, 1:3]).any(dim=1)][0].tolist()
        raise ValueError(f'Expected `rois` with x1 <= x2 and y1 <= y2, but got {bad}')
    low, high = int(rois[:, 0].min()), int(rois[:, 0].max())
    if low < 0 or high >= n_images:
        raise ValueError(f'Expected image indices in [0, {n_images}), but got {low} to {high}')


def _check_mode(pool_mode: int) -> None:
    if pool_mode != 1:
        raise RuntimeError(
            'Expected `pool_mode` to be avg, as roi_align in plain torch has no maximum. The '
            f'compiled operator has it: {BUILD_COMMAND}'
        )
