"""Semantic segmentation of LiDAR scans as a model of mmengine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmengine.model import BaseDataPreprocessor, BaseModel
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

# The default configs name it; a model that is built finds it registered.
from dense_al.models import sparse_unet as _sparse_unet  # noqa: F401
from dense_al.registry import nearest
from dense_al.structures import IGNORE

VOXEL_KEYS = ('coords', 'feats', 'inverse', 'labels')


@dataclass(frozen=True, eq=False)
class ScanBatch:
    """The voxels of B scans, one behind the other, M together.

    Attributes:
        features: (M, F) float32.
        indices: (M, 4) int32: number of the scan in the batch, x, y, z, all >= 0.
        counts: Voxels of each scan.
        labels: (M,) int64 or None; `IGNORE` for the voxels of a scan without labels.
        inverse: Of each scan the (N,) int64 voxel of its points, counted within the scan; empty
            in training, which needs none.
    """

    features: Tensor
    indices: Tensor
    counts: tuple[int, ...]
    labels: Tensor | None = None
    inverse: tuple[Tensor, ...] = ()


@MODELS.register_module()
class ScanPreprocessor(BaseDataPreprocessor):
    """Makes a `ScanBatch` on the model's device of the scans that a data loader gives.

    A scan is a dict of arrays or tensors, as `dense_al.datasets.voxels.Voxelize` makes them:
        coords: (M, 3) int32, >= 0, each once.
        feats: (M, F) float32.
        inverse: (N,) int64 voxel of each point; not needed in training.
        labels: (M,) integers, or None, or absent.
    All else, such as `sample` or `point_labels`, goes along to the predictions.
    """

    def forward(self, data: Any, training: bool = False) -> dict[str, Any]:
        """The arguments of `ScanSegmentor.forward`.

        Args:
            data: A list of scans, or what mmengine's `pseudo_collate` makes of one: a dict of
                lists.
            training: Whether the way back to the points can be left out.

        Raises:
            ValueError: No scan, a scan without voxels' coordinates and features, or arrays that do
                not fit.
        """
        scans = _scans(data)
        for number, scan in enumerate(scans):
            _check_scan(number, scan, training)
        counts = tuple(len(scan['coords']) for scan in scans)
        grids = [
            pad(torch.as_tensor(scan['coords'], dtype=torch.int32), (1, 0), value=number)
            for number, scan in enumerate(scans)
        ]
        inverse = () if training else tuple(self._moved(s['inverse'], torch.int64) for s in scans)
        batch = ScanBatch(
            features=self._joined([scan['feats'] for scan in scans], torch.float32),
            indices=self._joined(grids, torch.int32),
            counts=counts,
            labels=self._labels(scans),
            inverse=inverse,
        )
        others = [{k: v for k, v in scan.items() if k not in VOXEL_KEYS} for scan in scans]
        return {'inputs': batch, 'data_samples': others}

    def _moved(self, values: Any, dtype: torch.dtype) -> Tensor:
        return torch.as_tensor(values).to(self.device, dtype, non_blocking=True)

    def _joined(self, parts: Sequence[Any], dtype: torch.dtype) -> Tensor:
        return self._moved(torch.cat([torch.as_tensor(part, dtype=dtype) for part in parts]), dtype)

    def _labels(self, scans: Sequence[Mapping[str, Any]]) -> Tensor | None:
        if all(scan.get('labels') is None for scan in scans):
            return None
        parts = [
            np.full(len(scan['coords']), IGNORE) if scan.get('labels') is None else scan['labels']
            for scan in scans
        ]
        return self._joined(parts, torch.int64)


@MODELS.register_module()
class ScanSegmentor(BaseModel):
    """A class for each point of a scan, from the voxel it lies in.

    Args:
        backbone: Config of what gives features of voxels, such as `SparseUNet`.
        num_classes: Classes, > 0.
        data_preprocessor: Config of what makes the batches.
        class_weight: Weight of each class in the loss, >= 0; None for 1 everywhere.
        dropout_ratio: Of the features in front of the last layer, in training.
        init_cfg: Of mmengine.

    Attributes:
        classifier: The last layer, (num_classes, D).

    Raises:
        ValueError: Other than `num_classes` weights.
    """

    def __init__(
        self,
        backbone: Mapping[str, Any],
        num_classes: int,
        data_preprocessor: Any = None,
        class_weight: Sequence[float] | None = None,
        dropout_ratio: float = 0.0,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(data_preprocessor or {'type': 'ScanPreprocessor'}, init_cfg)
        if class_weight is not None and len(class_weight) != num_classes:
            raise ValueError(f'Expected {num_classes} class weights, but got {len(class_weight)}')
        self.backbone = MODELS.build(backbone)
        self.dropout = nn.Dropout(dropout_ratio)
        self.classifier = nn.Linear(self.backbone.out_channels, num_classes)
        weight = None if class_weight is None else torch.tensor(class_weight, dtype=torch.float32)
        self.register_buffer('class_weight', weight, persistent=False)
        self.num_classes = num_classes

    def forward(
        self,
        inputs: ScanBatch,
        data_samples: Sequence[Mapping[str, Any]] | None = None,
        mode: str = 'tensor',
    ) -> Any:
        """One of the ways mmengine calls a model.

        Args:
            inputs: The batch.
            data_samples: What else is known of each scan; it goes along to the predictions.
            mode: `loss`, `predict` or `tensor`.

        Returns:
            `loss`: a dict of losses; `predict`: see `predict`; `tensor`: (M, C) logits of voxels.

        Raises:
            ValueError: Another mode.
        """
        if mode == 'loss':
            return self.loss(inputs)
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        if mode == 'tensor':
            return self.logits(self.extract(inputs))
        raise ValueError(f'Unknown `mode` {mode!r}. {nearest(mode, ("loss", "predict", "tensor"))}')

    def extract(self, inputs: ScanBatch) -> Tensor:
        """(M, D) features of the voxels in front of the last layer."""
        return self.backbone(inputs.features, inputs.indices, len(inputs.counts))

    def logits(self, features: Tensor) -> Tensor:
        """(M, C) logits from (M, D) features."""
        return self.classifier(self.dropout(features))

    def loss(self, inputs: ScanBatch) -> dict[str, Tensor]:
        """The cross-entropy over the labelled voxels of a batch.

        Raises:
            ValueError: A batch in which no scan has labels at all.
        """
        if inputs.labels is None:
            raise ValueError('Expected `labels` in a batch to train on, but got none')
        logits = self.logits(self.extract(inputs))
        return {'loss_ce': voxel_loss(logits, inputs.labels, self.class_weight)}

    @torch.no_grad()
    def predict(
        self,
        inputs: ScanBatch,
        data_samples: Sequence[Mapping[str, Any]] | None = None,
        features: bool = False,
    ) -> list[dict[str, Any]]:
        """Probabilities of the points of each scan.

        Args:
            inputs: A batch with the way back to the points.
            data_samples: What else is known of each scan.
            features: Whether to add the features in front of the last layer.

        Returns:
            Of each scan what else is known of it, `probs` (N, C) float32, and `features` (N, D)
            float32 if asked for; all on the model's device.

        Raises:
            ValueError: A batch without the way back.
        """
        if len(inputs.inverse) != len(inputs.counts):
            raise ValueError(
                f'Expected `inverse` of {len(inputs.counts)} scans, but got {len(inputs.inverse)}'
            )
        extracted = self.extract(inputs)
        probs = self.logits(extracted).float().softmax(dim=1)
        others = data_samples or [{} for _ in inputs.counts]
        results = []
        for other, back, own_probs, own_features in zip(
            others, inputs.inverse, probs.split(inputs.counts), extracted.split(inputs.counts)
        ):
            result = {**other, 'probs': own_probs.index_select(0, back)}
            if features:
                result['features'] = own_features.float().index_select(0, back)
            results.append(result)
        return results


def voxel_loss(logits: Tensor, labels: Tensor, class_weight: Tensor | None = None) -> Tensor:
    """Cross-entropy of voxels, averaged over those with a label.

    Class weights make it a weighted mean, as in torch.

    Args:
        logits: (M, C) float.
        labels: (M,) int64 in [0, C), or `IGNORE`.
        class_weight: (C,) float >= 0.

    Returns:
        Scalar float32 in nats; 0 with a gradient of zeros where no voxel has a label.

    >>> voxel_loss(torch.zeros(2, 2), torch.tensor([1, 255])).item()
    0.6931471824645996
    >>> voxel_loss(torch.zeros(2, 2), torch.tensor([255, 255])).item()
    0.0
    """
    losses = cross_entropy(
        logits.float(), labels, weight=class_weight, ignore_index=IGNORE, reduction='none'
    )
    known = labels != IGNORE
    if class_weight is None:
        total = known.sum()
    else:
        total = (class_weight[labels.where(known, 0)] * known).sum()
    return losses.sum() / total.to(losses).clamp(min=torch.finfo(losses.dtype).tiny)


def _scans(data: Any) -> list[Mapping[str, Any]]:
    """The scans of a batch, from a list of them or a dict of lists."""
    if isinstance(data, Mapping):
        sizes = {key: len(values) for key, values in data.items()}
        if len(set(sizes.values())) > 1:
            raise ValueError(f'Expected lists over the same scans, but got the lengths {sizes}')
        data = [dict(zip(data, values)) for values in zip(*data.values())]
    if not len(data):
        raise ValueError('Expected at least one scan, but got none')
    return list(data)


def _check_scan(number: int, scan: Mapping[str, Any], training: bool) -> None:
    missing = {'coords', 'feats', *(() if training else ('inverse',))} - set(scan)
    if missing:
        raise ValueError(
            f'Expected the keys {sorted(missing)} in scan {number}, but got {sorted(scan)}'
        )
    rows, shape = len(scan['coords']), tuple(scan['coords'].shape)
    if len(shape) != 2 or shape[1] != 3 or scan['feats'].ndim != 2:
        raise ValueError(
            f'Expected `coords` (M, 3) and `feats` (M, F) in scan {number}, but got {shape} and '
            f'{tuple(scan["feats"].shape)}'
        )
    for key in ('feats', 'labels'):
        if scan.get(key) is not None and len(scan[key]) != rows:
            raise ValueError(
                f'Expected `{key}` of the {rows} voxels of scan {number}, but got {len(scan[key])}'
            )
