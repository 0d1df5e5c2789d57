"""What mmcv needs when its compiled operators are absent: plain torch in their place."""

from dense_al.ops.build import BUILD_COMMAND
from dense_al.ops.stand_in import install

__all__ = ['BUILD_COMMAND', 'install']
