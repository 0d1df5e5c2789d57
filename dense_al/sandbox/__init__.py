"""Generated worlds in the on-disk formats of real data sets."""

from dense_al.sandbox.glyphs import (
    GLYPHS_SPLITS,
    GlyphScene,
    GlyphsSpec,
    glyph_parts,
    glyphs_name,
    render_glyphs,
)
from dense_al.sandbox.glyphs_files import describe_glyphs, glyphs_sheet, write_glyphs
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
from dense_al.sandbox.worlds import prepare_sandbox, write_world_of

__all__ = [
    'GLYPHS_SPLITS',
    'GlyphScene',
    'GlyphsSpec',
    'STREETS_CLASSES',
    'STREETS_PALETTE',
    'STREETS_SPLITS',
    'StreetsSpec',
    'describe_glyphs',
    'describe_streets',
    'glyph_parts',
    'glyphs_name',
    'glyphs_sheet',
    'render_glyphs',
    'prepare_sandbox',
    'render_scene',
    'scene_name',
    'streets_sheet',
    'write_glyphs',
    'write_streets',
    'write_world_of',
]
