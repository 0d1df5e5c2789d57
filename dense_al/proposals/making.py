"""Proposals of many images: computed in parallel, resumable, the same whatever the processes."""

import fcntl
import hashlib
import json
import os
import pickle
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

import numpy as np

from dense_al.machine import cores
from dense_al.progress import bar
from dense_al.proposals.formats import PathLike, Proposals, write_mmdet
from dense_al.proposals.listing import ListedImage
from dense_al.proposals.safe_pickle import ProposalFileError, load_arrays
from dense_al.proposals.selective import ProposalSpec, propose_boxes
from dense_al.regions.images import read_image
from dense_al.regions.parallel import run_all

VERSION = 1  # raise it whenever the same spec gives other boxes
_WORTH_A_PROCESS = 100  # images


def make_proposals(
    images: Sequence[ListedImage],
    path: PathLike,
    spec: ProposalSpec | None = None,
    *,
    jobs: int | None = None,
    progress: bool = True,
) -> Path:
    """Makes proposals of images and writes them for mmdet.

    What is done is kept in `<path>.part` until all is, so that a run that was stopped goes on
    where it was when called again with the same spec. Processes are spawned, so a script that
    calls this needs the usual ``if __name__ == '__main__'``.

    Args:
        images: From `list_images`; their keys differ.
        path: File to write; it appears when all images are done.
        spec: How proposals are made; the default one where None.
        jobs: Processes of one thread each; None for one per available core, fewer for few images.
        progress: Whether to show a bar with the time that is left.

    Returns:
        The absolute path.

    Raises:
        FileNotFoundError: An image is missing.
        ImageError: An image is damaged.
        ProposalFileError: Another process makes the same file.
    """
    spec = ProposalSpec() if spec is None else spec
    path = Path(os.path.abspath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + '.part')
    with open(part, 'a+b') as journal:
        _lock(journal, part)
        done = _resumed(journal, part, spec_key(spec))
        tasks = [(str(i.path), spec) for i in images if _name(i.path) not in done]
        if jobs is None:
            jobs = min(cores(), 1 + len(tasks) // _WORTH_A_PROCESS)
        finished = run_all(_propose, tasks, jobs)
        for (image, _), boxes in bar(finished, 'Proposals of images', len(tasks), progress):
            done[_name(Path(image))] = boxes
            pickle.dump((_name(Path(image)), boxes), journal, 4)
            journal.flush()
        write_mmdet(path, {i.key: _ranked(done[_name(i.path)]) for i in images})
        part.unlink(missing_ok=True)
    return path


def spec_key(spec: ProposalSpec) -> str:
    """Hash of all that boxes depend on besides the image; 16 hexadecimal digits."""
    what = [VERSION, asdict(spec), version('scikit-image')]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]


def _propose(path: str, spec: ProposalSpec) -> np.ndarray:
    return propose_boxes(read_image(path), spec)


def _name(path: Path) -> str:
    """The image's file and its size in bytes, so that another file is another image."""
    return f'{path}:{path.stat().st_size if path.is_file() else -1}'


def _ranked(boxes: np.ndarray) -> Proposals:
    """Boxes with scores that fall from 1 in their order, as mmdet takes the first ones."""
    scores = 1 - np.arange(len(boxes), dtype=np.float32) / np.float32(max(len(boxes), 1))
    return Proposals(boxes, scores)


def _lock(journal: BinaryIO, part: Path) -> None:
    try:
        fcntl.lockf(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise ProposalFileError(f'Expected no other process at work on {part}') from error


def _resumed(journal: BinaryIO, part: Path, key: str) -> dict[str, np.ndarray]:
    """What an earlier run of the same key left; the journal stands after its last whole entry."""
    done: dict[str, np.ndarray] = {}
    journal.seek(0)
    whole = 0
    try:
        if load_arrays(journal, str(part)) == key:
            whole = journal.tell()
            while True:
                name, boxes = load_arrays(journal, str(part))
                done[name] = boxes
                whole = journal.tell()
    except (EOFError, ProposalFileError, ValueError):
        pass  # the end, or where a run was killed while it wrote
    journal.seek(whole)
    journal.truncate()
    if not whole:
        pickle.dump(key, journal, 4)
        journal.flush()
    return done
