"""Acquisitions: what to ask next. One file per family; the mathematics is in `functional`."""

from dense_al.acquisition.base import Acquisition, NothingLeftError, Selection, rng_for, take
from dense_al.acquisition.composed import Composed

__all__ = ['Acquisition', 'Composed', 'NothingLeftError', 'Selection', 'rng_for', 'take']
