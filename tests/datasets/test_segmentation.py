"""What trainers and predictors are shown."""

import numpy as np
import pytest
import torch

from dense_al.datasets.images import UnreadableSampleError
from dense_al.datasets.pipelines import without_annotations
from dense_al.datasets.segmentation import (
    AnsweredCrop,
    PoolSegDataset,
    with_answered_crops,
)
from dense_al.structures import IGNORE


def test_crops_hold_a_labelled_pixel():
    label = np.full((64, 96), IGNORE, np.uint8)
    label[60, 90] = 3
    crop = AnsweredCrop(crop_size=(16, 16))
    torch.manual_seed(0)
    seen = set()
    for _ in range(50):
        y1, y2, x1, x2 = crop.crop_bbox(dict(img=np.zeros((64, 96, 3), np.uint8), gt_seg_map=label))
        assert (y2 - y1, x2 - x1) == (16, 16) and 0 <= y1 and y2 <= 64 and 0 <= x1 and x2 <= 96
        assert (label[y1:y2, x1:x2] == 3).any()
        seen.add((y1, x1))
    assert len(seen) > 10


def test_a_crop_larger_than_the_image_and_one_without_labels():
    crop = AnsweredCrop(crop_size=(128, 128))
    label = np.full((64, 96), IGNORE, np.uint8)
    image = np.zeros((64, 96, 3), np.uint8)
    assert crop.crop_bbox(dict(img=image, gt_seg_map=label))[0] == 0
    label[5, 5] = 1
    y1, y2, x1, x2 = crop.crop_bbox(dict(img=image, gt_seg_map=label))
    assert (label[y1:y2, x1:x2] == 1).any()


def test_pipelines_open_no_label_file():
    stock = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations'),
        dict(type='RandomCrop', crop_size=(8, 8)),
    ]
    kept = with_answered_crops(without_annotations(stock))
    assert [step['type'] for step in kept] == ['LoadImageFromFile', 'AnsweredCrop']
    assert stock[2]['type'] == 'RandomCrop'


def test_a_broken_image_is_named_and_not_replaced(world):
    paths = sorted(str(p) for p in (world / 'leftImg8bit/train').rglob('*.png'))
    records = [dict(img_path=paths[0]), dict(img_path=paths[1] + '.lost')]
    dataset = PoolSegDataset(records, [0, 1], None, {}, [dict(type='LoadImageFromFile')])
    assert dataset[0]['img'].shape == (48, 96, 3)
    assert 'seg_map_path' not in dataset[0] and 'gt_seg_map' not in dataset[0]
    with pytest.raises(UnreadableSampleError, match=r'\.lost'):
        dataset[1]
