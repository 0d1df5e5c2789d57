"""From an mmseg model to class probabilities at the size of the original image."""

from collections.abc import Iterator
from typing import Any

import torch
from mmseg.models.segmentors import BaseSegmentor
from torch.nn.functional import interpolate

from dense_al.registry import ConfigError


def last_layer(model: Any) -> Any:
    """The layer whose input are the features of the pixels.

    Raises:
        ConfigError: The model has none, or sees an image in windows.
    """
    head = model.decode_head
    head = head[-1] if isinstance(head, torch.nn.ModuleList) else head
    if getattr(head, 'conv_seg', None) is None:
        raise ConfigError(
            f'Expected a decode head with features (`conv_seg`), but `{type(head).__name__}` has '
            'none; use a sampler that needs no features'
        )
    if (model.test_cfg or {}).get('mode', 'whole') != 'whole':
        raise ConfigError(
            "Expected `model.test_cfg.mode` 'whole' where the sampler needs features, but got "
            f'{model.test_cfg.mode!r}'
        )
    return head.conv_seg


def probabilities(model: Any, batch: Any) -> Iterator[tuple[torch.Tensor, dict[str, Any]]]:
    """(C, H, W) probabilities and the metainfo of each image of a batch.

    Like `model.test_step`, but without the label map that costs a quarter of the time.
    """
    stock = type(model).postprocess_result is BaseSegmentor.postprocess_result
    if not stock or not hasattr(model, 'inference'):
        for output in model.test_step(batch):
            logits = output.seg_logits.data.float()
            # There mmseg applies the sigmoid itself.
            probs = torch.cat([1 - logits, logits]) if len(logits) == 1 else logits.softmax(0)
            yield probs, output.metainfo
        return
    data = model.data_preprocessor(batch, False)
    metas = [sample.metainfo for sample in data['data_samples']]
    for logits, meta in zip(model.inference(data['inputs'], metas), metas):
        logits = _original(logits[None], meta, model.align_corners)[0].float()
        if len(logits) == 1:
            positive = logits.sigmoid()
            yield torch.cat([1 - positive, positive]), meta
        else:
            yield logits.softmax(0), meta


def own_features(features: torch.Tensor, meta: dict[str, Any]) -> torch.Tensor:
    """Features (D, h', w') of the image alone, of (D, h, w) of it with its padding.

    A cell of the result is the one under its centre, so that nothing is mixed with padding.
    """
    left, right, top, bottom = _padding(meta)
    if left or right or top or bottom:
        height, width = meta['pad_shape'][:2]
        rows = _cells(features.shape[1], height, top, height - bottom)
        columns = _cells(features.shape[2], width, left, width - right)
        features = features[:, rows][:, :, columns]
    return features.flip(dims=(_flipped(meta),)) if meta.get('flip') else features


def _cells(n: int, size: int, begin: int, end: int) -> torch.Tensor:
    """Which of `n` cells over `size` pixels show the pixels `begin` to `end`."""
    inside = end - begin
    kept = max(1, round(inside * n / size))
    centres = begin + (torch.arange(kept) + 0.5) * inside / kept
    return (centres * n / size).long().clamp(max=n - 1)


def _padding(meta: dict[str, Any]) -> list[int]:
    """Padding in pixels: left, right, top, bottom."""
    return meta.get('img_padding_size', meta.get('padding_size', [0] * 4))


def _flipped(meta: dict[str, Any]) -> int:
    """The axis that is flipped, counted from the last."""
    return -1 if meta['flip_direction'] == 'horizontal' else -2


def _original(logits: torch.Tensor, meta: dict[str, Any], align_corners: bool) -> torch.Tensor:
    """Logits (1, C, H, W) without padding and flip, at the size of the original image."""
    left, right, top, bottom = _padding(meta)
    height, width = logits.shape[2:]
    logits = logits[:, :, top : height - bottom, left : width - right]
    if meta.get('flip'):
        logits = logits.flip(dims=(_flipped(meta),))
    if tuple(logits.shape[2:]) == tuple(meta['ori_shape']):
        return logits
    return interpolate(logits, tuple(meta['ori_shape']), None, 'bilinear', align_corners)
