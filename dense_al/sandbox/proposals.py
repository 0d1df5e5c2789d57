"""Proposals of a generated world, in place of the downloads that real data sets come with."""

import hashlib
import json
import os
from pathlib import Path

from dense_al.files import write_atomically
from dense_al.proposals import ProposalSpec, list_images, make_proposals
from dense_al.proposals.making import spec_key
from dense_al.sandbox.glyphs import GLYPHS_SPLITS, GlyphsSpec
from dense_al.sandbox.glyphs_files import describe_glyphs

NOTE = 'proposals.json'


def sandbox_proposals(
    root: str | os.PathLike[str],
    spec: GlyphsSpec,
    folder: str | os.PathLike[str] | None = None,
    maker: ProposalSpec | None = None,
) -> dict[str, Path]:
    """Makes `proposals_train.pkl` and `proposals_val.pkl` of a world of glyphs, once.

    A note beside them, `proposals.json`, says what they were made from; another world or maker
    makes them anew. Several processes may do so at once.

    Args:
        root: Folder of the world, which is there.
        spec: The world.
        folder: Where to write; `root` where None, so that mmdet finds them under `data_root`.
        maker: How proposals are made; the default where None.

    Returns:
        Split -> the file, for mmdet's `proposal_file`.
    """
    maker = ProposalSpec() if maker is None else maker
    root, folder = Path(os.path.abspath(root)), Path(os.path.abspath(folder or root))
    files = {split: folder / f'proposals_{split}.pkl' for split in GLYPHS_SPLITS}
    what = json.dumps([describe_glyphs(spec), spec_key(maker)], sort_keys=True)
    note = json.dumps({'key': hashlib.sha256(what.encode()).hexdigest()[:16]}) + '\n'
    if _read(folder / NOTE) == note and all(path.is_file() for path in files.values()):
        return files
    for split, path in files.items():
        source = root / 'annotations' / f'instances_{split}.json'
        images = list_images(source)[split] if spec.count(split) else []
        draft = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
        try:
            os.replace(make_proposals(images, draft, maker), path)
        finally:
            draft.with_name(draft.name + '.part').unlink(missing_ok=True)
    write_atomically(folder / NOTE, note.encode())
    return files


def _read(path: Path) -> str:
    return path.read_text(encoding='utf-8') if path.is_file() else ''
