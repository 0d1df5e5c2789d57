"""Toy inputs and the contract test every acquisition inherits."""

from dense_al.testing.contract import AcquisitionContract

__all__ = ['AcquisitionContract']
