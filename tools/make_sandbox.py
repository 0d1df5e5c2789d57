"""Writes a generated world in the on-disk format of real data sets.

Example: `python tools/make_sandbox.py streets data/streets --n-train 60 --contact-sheet sheet.png`
"""

import argparse
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from dense_al.sandbox import (
    GlyphsSpec,
    StreetsSpec,
    TownSpec,
    glyphs_sheet,
    streets_sheet,
    town_sheet,
    write_glyphs,
    write_streets,
    write_town,
)


class World(NamedTuple):
    """What the command line needs to know of a world.

    Attributes:
        spec: A frozen dataclass; every field becomes an option.
        write: Writes a spec to a folder, with the keyword `overwrite`, and returns the folder.
        sheet: Draws a picture of a spec, (H, W, 3) uint8 RGB.
    """

    spec: Any
    write: Callable[..., Path]
    sheet: Callable[[Any], np.ndarray]


WORLDS = {
    'glyphs': World(GlyphsSpec, write_glyphs, glyphs_sheet),
    'streets': World(StreetsSpec, write_streets, streets_sheet),
    'town': World(TownSpec, write_town, town_sheet),
}


def parse(arguments: Sequence[str] | None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """The parser and what it read."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    worlds = parser.add_subparsers(dest='world', required=True)
    for name, world in WORLDS.items():
        sub = worlds.add_parser(
            name,
            help=f'write the world {name}',
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
        sub.add_argument('root', type=Path, help='folder of the world')
        for field in dataclasses.fields(world.spec):
            option = '--' + field.name.replace('_', '-')
            # An explanation is needed for the formatter to show the default.
            sub.add_argument(option, type=type(field.default), default=field.default, help=' ')
        sub.add_argument('--overwrite', action='store_true', help='replace another world at root')
        sub.add_argument('--contact-sheet', type=Path, metavar='FILE.png', help='also draw scenes')
    return parser, parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line, writes the world, says where."""
    parser, options = parse(arguments)
    world = WORLDS[options.world]
    names = [field.name for field in dataclasses.fields(world.spec)]
    try:
        spec = world.spec(**{name: getattr(options, name) for name in names})
        root = world.write(options.root, spec, overwrite=options.overwrite)
        print(f'World {options.world}: {root}')
        if options.contact_sheet is not None:
            options.contact_sheet.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(world.sheet(spec)).save(options.contact_sheet)
            print(f'Contact sheet: {options.contact_sheet}')
    except (ValueError, OSError, ImportError) as error:
        parser.error(str(error))


if __name__ == '__main__':
    main()
