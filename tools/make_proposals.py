"""Makes or converts the box proposals that mmdet reads as `proposal_file`.

Images: an mmdet config, a COCO file, a VOC folder, or a folder of images or of such folders. One
list of images gives the file OUT; several, such as train and val, give OUT_train and OUT_val.
Examples:
  python tools/make_proposals.py data/glyphs/images --out data/glyphs/proposals.pkl
  python tools/make_proposals.py data/VOCdevkit/VOC2007 --sets trainval --out voc07.pkl \\
    --from SS-voc_2007_train-boxes.pkl SS-voc_2007_val-boxes.pkl
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dense_al.interrupts import interrupts
from dense_al.proposals import (
    ListedImage,
    Proposals,
    ProposalSpec,
    list_images,
    make_proposals,
    read_wetectron,
    wetectron_to_mmdet,
    write_mmdet,
)

MISTAKE, INTERRUPTED = 2, 130
Found = dict[int | str, Proposals]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    default = ProposalSpec()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('images', type=Path, help='config, COCO file or folder')
    parser.add_argument('--out', type=Path, required=True, metavar='OUT.pkl')
    parser.add_argument('--sets', nargs='+', default=(), help='VOC image sets: trainval test')
    parser.add_argument('--folder', type=Path, help='where the images of a COCO file lie')
    parser.add_argument('--overwrite', action='store_true', help='replace OUT')
    making = parser.add_argument_group('making')
    making.add_argument(
        '--max-boxes', type=int, default=default.max_boxes, help='per image; default: %(default)s'
    )
    making.add_argument('--scales', type=float, nargs='+', default=default.scales)
    making.add_argument('--grid', type=float, nargs='+', default=(), metavar='SHARE',
                        help='add square windows of these shares of the shorter side')  # fmt: skip
    making.add_argument('--seed', type=int, default=0)
    making.add_argument('--jobs', type=int, help='processes; default: one per core')
    converting = parser.add_argument_group('converting')
    converting.add_argument('--from', dest='given', type=Path, nargs='+', metavar='FILE.pkl',
                            help="files of wetectron or Detectron instead of making")  # fmt: skip
    converting.add_argument('--ends-excluded', action='store_true',
                            help='boxes do not include their last pixel')  # fmt: skip
    converting.add_argument('--whole-if-empty', action='store_true',
                            help='an image without boxes gets one of its own size')  # fmt: skip
    return parser.parse_args(arguments)


def listed(args: argparse.Namespace) -> dict[Path, list[ListedImage]]:
    """File to write -> its images."""
    if args.images.suffix == '.py':
        found = of_config(args.images)
    else:
        found = list_images(args.images, sets=args.sets, folder=args.folder)
    if len(found) == 1:
        return {args.out: next(iter(found.values()))}
    return {
        args.out.with_name(f'{args.out.stem}_{name}{args.out.suffix}'): images
        for name, images in found.items()
    }


def of_config(path: Path) -> dict[str, list[ListedImage]]:
    """The images of a config, whose world is generated first if it has one."""
    # Here, because processes that make proposals read this file and need none of it.
    from dense_al import ops

    ops.install()
    from dense_al.config import read_config
    from dense_al.proposals.configs import config_images
    from dense_al.sandbox import write_world_of

    cfg = read_config(path)
    write_world_of(cfg.get('sandbox'))
    return config_images(cfg)


def write(path: Path, images: list[ListedImage], args: argparse.Namespace, found: Found) -> None:
    """Writes one file."""
    if args.given:
        ends, whole = not args.ends_excluded, args.whole_if_empty
        converted = wetectron_to_mmdet(found, images, inclusive=ends, whole_if_empty=whole)
        write_mmdet(path, converted)
    else:
        spec = ProposalSpec(
            max_boxes=args.max_boxes, scales=args.scales, grid=args.grid, seed=args.seed
        )
        make_proposals(images, path, spec, jobs=args.jobs)
    print(f'{path}: proposals of {len(images)} images')


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the files; returns 0, 2 after a mistake, 130 when interrupted."""
    args = parse(arguments)
    try:
        with interrupts():
            files = listed(args)
            there = [str(path) for path in files if path.exists()]
            if there and not args.overwrite:
                raise ValueError(f'Expected new files, but {", ".join(there)} exist: --overwrite')
            found = read_wetectron(*args.given) if args.given else {}
            for path, images in files.items():
                write(path, images, args, found)
    except (OSError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return MISTAKE
    except KeyboardInterrupt:
        print('stopped; the same command goes on where it was', file=sys.stderr)
        return INTERRUPTED
    return 0


if __name__ == '__main__':
    sys.exit(main())
