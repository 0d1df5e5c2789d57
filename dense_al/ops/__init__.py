"""What mmcv needs when its compiled operators are absent: plain torch in their place."""

from dense_al.ops.stand_in import BUILD_COMMAND, install

__all__ = ['BUILD_COMMAND', 'install']
