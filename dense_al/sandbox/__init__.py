"""Generated worlds in the on-disk formats of real data sets."""

from dense_al.sandbox.streets import (
    STREETS_CLASSES,
    STREETS_PALETTE,
    STREETS_SPLITS,
    StreetsSpec,
    describe_streets,
    render_scene,
    scene_name,
    streets_sheet,
    write_streets,
)
from dense_al.sandbox.worlds import write_world_of

__all__ = [
    'STREETS_CLASSES',
    'STREETS_PALETTE',
    'STREETS_SPLITS',
    'StreetsSpec',
    'describe_streets',
    'render_scene',
    'scene_name',
    'streets_sheet',
    'write_streets',
    'write_world_of',
]
