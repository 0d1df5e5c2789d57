"""Exports what is labelled so far: `al_export.py WORK_DIR --out FOLDER`.

PNG masks for labels of pixels, COCO for boxes and `tags.json` for tags, with the images, linked or
copied; for labels of points `scans`, the layout of SemanticKITTI, with poses and `label_map.yaml`.
"""

import argparse
import sys
from pathlib import Path

from dense_al.engine.export import FORMATS, export


def main(argv: list[str] | None = None) -> int:
    """Parses the command line and writes the files; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('work_dir', type=Path, metavar='WORK_DIR')
    parser.add_argument('--format', choices=FORMATS, help='default: what suits the labels')
    parser.add_argument('--out', type=Path, help='default: export in WORK_DIR')
    parser.add_argument('--copy-images', action='store_true', help='instead of links')
    args = parser.parse_args(argv)
    out = args.out or args.work_dir / 'export'
    try:
        count = export(args.work_dir, out, args.format, args.copy_images)
    except (OSError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    print(f'{count} samples in {out}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
