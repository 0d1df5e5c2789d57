"""Every config that the installed mmdet and mmseg ship, with the four dicts added: which are taken?

Each is dry-run as `tools/al_train.py CONFIG --dry-run` would, in one process, with its data sets
replaced by tiny ones and everything else kept. With `--forward` one config of each family that
passes also has its initial labels drawn, loads them through its training pipeline, builds a round,
computes its losses and observes an image, with weights of no meaning and smaller images; keep its
table apart (`--out`). Rows that a table has are kept: run again to go on.
"""

import argparse
import contextlib
import csv
import fnmatch
import gc
import importlib.util
import logging
import shutil
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import stock_reasons as why
import torch
from mmengine.evaluator import Evaluator
from stock_data import NoStandIn, overrides
from stock_table import FIELDS, read_rows, summary

from dense_al.adapters import surgery
from dense_al.adapters.framework import FrameworkTask
from dense_al.adapters.runner import release
from dense_al.adapters.task import TrainJob
from dense_al.config import read_config
from dense_al.engine.build import build
from dense_al.engine.main import parse
from dense_al.engine.plan import plan
from dense_al.registry import ConfigError

PACKAGES = ('mmdet', 'mmseg')
RANDOM = {'type': 'Composed', 'unit': {'type': 'Image'}, 'score': {'type': 'Random'}}
ENTROPY = {'type': 'Composed', 'score': {'type': 'Entropy'}}
# The first that is not refused counts.
ACQUISITIONS = {
    'mmseg': {
        'regions': {**ENTROPY, 'unit': {'type': 'Grid', 'size': 32}},
        'images': {**ENTROPY, 'unit': {'type': 'Image'}},
        'random': RANDOM,
    },
    'mmdet': {
        'boxes': {'type': 'BoxUncertainty', 'score_thr': 0.0},
        'random': RANDOM,
    },
}
LARGEST = 400  # million parameters


def configs_of(package: str) -> list[tuple[str, Path]]:
    """(Name, file) of every config a package ships, sorted; those of `_base_` left out."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.origin is not None
    root = Path(spec.origin).parent / '.mim' / 'configs'
    found = (path for path in root.rglob('*.py') if '_base_' not in path.parts)
    return sorted((str(path.relative_to(root)), path) for path in found)


def family_of(name: str) -> str:
    """The folder of a config."""
    return name.split('/')[0]


def in_turns(listed: Sequence[tuple[str, str, Path]]) -> list[tuple[str, str, Path]]:
    """(Package, name, file) so that the first of every family come before the second of any.

    The first ones are then a sample.
    """
    seen: Counter[tuple[str, str]] = Counter()
    turns = []
    for package, name, _ in listed:
        seen[package, family_of(name)] += 1
        turns.append(seen[package, family_of(name)])
    return [listed[i] for i in sorted(range(len(listed)), key=turns.__getitem__)]


@contextlib.contextmanager
def without_initialising() -> Iterator[None]:
    """Leaves new parameters as the memory is; filling them takes most of the time of building."""
    names = [n for n in dir(torch.nn.init) if n.endswith('_') and not n.startswith('_')]
    kept = {name: getattr(torch.nn.init, name) for name in names}
    try:
        for name in names:
            setattr(torch.nn.init, name, lambda tensor, *args, **kwargs: tensor)
        yield
    finally:
        for name, function in kept.items():
            setattr(torch.nn.init, name, function)


def leaf_text(package: str, name: str, acquisition: dict[str, Any], more: dict[str, Any]) -> str:
    """A config that adds the four dicts, and whatever else, to a stock one."""
    added = {
        'acquisition': acquisition,
        'oracle': {'type': 'GroundTruth'},
        'budget': {'per_round': 1, 'unit': 'units'},
        **more,
    }
    lines = [f'_base_ = [{f"{package}::{name}"!r}]']
    return '\n'.join([*lines, *(f'{key} = {value!r}' for key, value in added.items())]) + '\n'


def metric_of(evaluator: Any) -> str:
    """A metric that an evaluator reports."""
    first = evaluator[0] if isinstance(evaluator, (list, tuple)) else evaluator
    kind = first.get('metric', 'bbox')
    kind = kind[-1] if isinstance(kind, (list, tuple)) else kind
    named = {
        'CocoMetric': f'coco/{kind}_mAP',
        'VOCMetric': 'pascal_voc/mAP',
        'IoUMetric': (first.get('iou_metrics') or ['mIoU'])[0],
    }
    return named.get(first.get('type'), 'any')


@contextlib.contextmanager
def counting() -> Iterator[list[int]]:
    """Notes the parameters of every model that a task builds."""
    build_model = FrameworkTask._model
    found: list[int] = []

    def counted(task: Any) -> Any:
        model = build_model(task)
        found.append(sum(p.numel() for p in model.parameters()))
        return model

    FrameworkTask._model = counted  # type: ignore[method-assign]
    try:
        yield found
    finally:
        FrameworkTask._model = build_model  # type: ignore[method-assign]


class Trial:
    """Tries configs one by one.

    Args:
        folder: Where data sets and configs are written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._parameters = 0

    def row(self, package: str, name: str, path: Path, forward: bool) -> dict[str, Any]:
        """What became of one config."""
        begun = time.perf_counter()
        self._parameters = 0
        reason, detail, extra = self._outcome(package, name, path, forward)
        return {
            'package': package,
            'family': family_of(name),
            'config': name,
            'reason': reason,
            'detail': detail,
            'acquisition': extra.get('acquisition', ''),
            'forward': extra.get('forward', ''),
            'parameters': round(self._parameters / 1e6, 1),
            'seconds': round(time.perf_counter() - begun, 1),
        }

    def _outcome(
        self, package: str, name: str, path: Path, forward: bool
    ) -> tuple[str, str, dict[str, str]]:
        try:
            cfg = read_config(path)
        except Exception as error:
            kind = why.cause(error)
            return why.BROKEN if kind == why.UNBUILDABLE else kind, why.brief(error), {}
        task = why.other_task(cfg)
        if task is not None:
            return why.OTHER_TASK, task, {}
        from mmengine.registry import init_default_scope

        init_default_scope(package)
        try:
            more = overrides(cfg, self.folder / 'data', small=forward)
        except NoStandIn as error:
            return why.DATA, str(error), {}
        more['rounds'] = {'count': 2, 'metric': metric_of(cfg['val_evaluator'])}
        return self._tried(package, name, cfg, more, forward)

    def _tried(
        self, package: str, name: str, cfg: Any, more: dict[str, Any], forward: bool
    ) -> tuple[str, str, dict[str, str]]:
        """The first acquisition with which a config passes, or why none does."""
        refusals = []
        for label, acquisition in ACQUISITIONS[package].items():
            leaf = self.folder / 'leaf.py'
            leaf.write_text(leaf_text(package, name, acquisition, more), encoding='utf-8')
            work_dir = self.folder / 'work' / 'run'
            shutil.rmtree(work_dir.parent, ignore_errors=True)
            try:
                with without_initialising(), counting() as found:
                    args = parse([str(leaf), '--dry-run', '--work-dir', str(work_dir)])
                    learner = build(args)
                    plan(learner)
                self._parameters = found[-1]
            except ConfigError as error:
                refusals.append(error)
                continue
            except Exception as error:
                return self._blamed(cfg, error)
            text = why.brief(refusals[-1]) if refusals else ''
            extra = {'acquisition': label}
            if forward:
                extra['forward'] = self._forward(learner)
            return why.PASSES, text, extra
        return self._blamed(cfg, refusals[-1])

    def _blamed(self, cfg: Any, error: Exception) -> tuple[str, str, dict[str, str]]:
        """Whether an error is the framework's own, which cannot build model or metric either."""
        from mmengine.registry import MODELS

        try:
            with without_initialising():
                surgery.local_norms(cfg.model)
                model = MODELS.build(cfg.model)
            self._parameters = sum(p.numel() for p in model.parameters())
            for metric in surgery.listed(cfg.val_evaluator):  # whose data are not on this machine
                Evaluator([{k: v for k, v in metric.items() if k != 'ann_file'}])
        except Exception as own:
            return why.cause(own), why.brief(own), {}
        if (kind := why.cause(error)) in (why.PACKAGES, why.WEIGHTS):
            return kind, why.brief(error), {}
        refused = isinstance(error, ConfigError) and not str(error).startswith('Could not build')
        return why.REFUSED if refused else why.BUG, why.brief(error), {}

    def _forward(self, learner: Any) -> str:
        """What goes wrong beyond the dry run, step by step; `works` if nothing does."""
        if self._parameters > LARGEST * 1e6:
            return why.LARGE
        step = 'ask'
        try:
            learner.label_initially()
            ledger, here = learner.store.ledger(before=0), self.folder / 'work/run/000/train'
            job = TrainJob(0, ledger, learner.units, here, self.folder / 'none.pth', None, 0)
            step = 'round'
            with without_initialising():
                runner, _ = learner.task._runner(job, 'train')
                runner.build_optim_wrapper(runner.optim_wrapper)
                runner.build_val_loop(runner._val_loop)
            step = 'training data'
            shown = runner._train_dataloader.dataset
            batch = [shown[0], shown[0]]
            release(runner.experiment_name)
            del runner
            step = 'losses'
            model = learner.task._model()
            model.train()
            self._losses(model, batch)
            step = 'observe'
            self._observed(learner, model.eval())
        except Exception as error:
            return f'{step}: {why.brief(error)}'
        return 'works'

    def _losses(self, model: Any, batch: Sequence[Any]) -> None:
        from mmengine.dataset import pseudo_collate
        from mmengine.logging import MessageHub

        MessageHub.get_current_instance().update_info('iter', 0)  # as a Runner does
        data = model.data_preprocessor(pseudo_collate(batch), True)
        with torch.no_grad():
            losses = model(**data, mode='loss')
        if not any('loss' in key for key in losses):
            raise ValueError(f'Expected losses, but got {sorted(losses)}')

    @torch.no_grad()
    def _observed(self, learner: Any, model: Any) -> None:
        """Observes one image."""
        if not learner.acquisition.needs:
            return
        samples = learner.task.manifest.pool[:1]
        loader = learner.task._image_loader(samples, None)
        found = learner.task._predictions(
            model, loader, learner.acquisition.needs, learner.acquisition.options
        )
        rows = learner.acquisition.observe(next(iter(found)), int(samples[0]), learner.units)
        if len(rows) == 0:
            raise ValueError('Expected rows of an image, but got none')


def _try_all(args: argparse.Namespace, listed: Sequence[tuple[str, str, Path]]) -> None:
    """Adds a row for every config that the table has none of."""
    known = read_rows(args.out)
    done = {(row['package'], row['config']) for row in known}
    ran = {(row['package'], row['family']) for row in known if row['forward']}
    tried = 0
    with tempfile.TemporaryDirectory() as folder, args.out.open('a', newline='') as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator='\n')
        if not file.tell():
            writer.writeheader()
        trial = Trial(Path(folder))
        for package, name, path in listed:
            family = (package, family_of(name))
            if (package, name) in done or (args.forward and family in ran):
                continue
            if tried == args.limit:
                break
            tried += 1
            row = trial.row(package, name, path, args.forward)
            if row['forward']:
                ran.add(family)
            writer.writerow(row)
            file.flush()
            gc.collect()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--packages', nargs='+', default=PACKAGES, choices=PACKAGES)
    parser.add_argument('--match', nargs='+', default=['*'], help='globs, one of which names fit')
    parser.add_argument('--limit', type=int, help='configs tried at most')
    parser.add_argument(
        '--forward', action='store_true', help='one of each family, with what follows a dry run'
    )
    parser.add_argument('--out', type=Path, default=Path('docs/results/stock_configs.csv'))
    args = parser.parse_args(arguments)
    logging.disable(logging.WARNING)
    warnings.simplefilter('ignore')
    shipped = {package: configs_of(package) for package in args.packages}
    listed = in_turns([(p, name, path) for p in shipped for name, path in shipped[p]])
    try:
        fits = [item for item in listed if any(fnmatch.fnmatch(item[1], g) for g in args.match)]
        _try_all(args, fits)
    finally:
        logging.disable(logging.NOTSET)
    command = 'python benchmarks/stock_configs.py' + (' --forward' if args.forward else '')
    counts = {package: len(names) for package, names in shipped.items()}
    text = summary(read_rows(args.out), counts, command)
    args.out.with_suffix('.md').write_text(text + '\n', encoding='utf-8')
    print(text)


if __name__ == '__main__':
    main()
