"""Convolutions over the occupied cells of a grid, from spconv or in plain torch."""

from dense_al.ops.sparse.backends import NAMES, Backend, available, load
from dense_al.ops.sparse.tensor import SparseTensor, padded_shape

__all__ = ['NAMES', 'Backend', 'SparseTensor', 'available', 'load', 'padded_shape']
