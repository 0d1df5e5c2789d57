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
from dense_al.sandbox.town import (
    TOWN_CLASSES,
    TOWN_PALETTE,
    TOWN_SPLITS,
    TownSpec,
    describe_town,
    town_class_of,
)
from dense_al.sandbox.town_files import write_town
from dense_al.sandbox.town_scan import TownScan, scan_town, town_poses
from dense_al.sandbox.town_sheet import town_sheet
from dense_al.sandbox.worlds import prepare_sandbox, write_world_of

__all__ = [
    'GLYPHS_SPLITS',
    'GlyphScene',
    'GlyphsSpec',
    'STREETS_CLASSES',
    'STREETS_PALETTE',
    'STREETS_SPLITS',
    'StreetsSpec',
    'TOWN_CLASSES',
    'TOWN_PALETTE',
    'TOWN_SPLITS',
    'TownScan',
    'TownSpec',
    'describe_glyphs',
    'describe_streets',
    'describe_town',
    'glyph_parts',
    'glyphs_name',
    'glyphs_sheet',
    'render_glyphs',
    'prepare_sandbox',
    'render_scene',
    'scan_town',
    'scene_name',
    'streets_sheet',
    'town_class_of',
    'town_poses',
    'town_sheet',
    'write_glyphs',
    'write_streets',
    'write_town',
    'write_world_of',
]
