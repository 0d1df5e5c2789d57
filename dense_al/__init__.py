"""Active learning for dense prediction on the OpenMMLab stack."""

__version__ = '0.1.0'
