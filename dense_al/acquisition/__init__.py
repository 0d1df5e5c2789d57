"""Acquisitions: what to ask next. One file per family; the mathematics is in `functional`."""

from dense_al.acquisition.base import Acquisition, NothingLeftError, Selection, rng_for, take
from dense_al.acquisition.composed import Composed
from dense_al.acquisition.detection import BoxUncertainty, ImageCoreSet
from dense_al.acquisition.samplers import KCenter, KMeansPlusPlus, RandomOrder, TopK

__all__ = [
    'Acquisition',
    'BoxUncertainty',
    'Composed',
    'ImageCoreSet',
    'KCenter',
    'KMeansPlusPlus',
    'NothingLeftError',
    'RandomOrder',
    'Selection',
    'TopK',
    'rng_for',
    'take',
]
