"""The command line of `tools/al_train.py`: from arguments to a running loop."""

import argparse
import contextlib
import logging
import os
import shlex
import signal
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config, DictAction

from dense_al.acquisition import Acquisition
from dense_al.adapters import build_task
from dense_al.adapters.task import Rounds, Task
from dense_al.config import apply_sandbox, load_config
from dense_al.engine.distribution import on_main, processes
from dense_al.engine.environment import environment, plain, record, share_start
from dense_al.engine.initial import named_samples
from dense_al.engine.learner import Learner
from dense_al.engine.plan import plan
from dense_al.engine.store import RunLockedError, RunStore, write_text
from dense_al.oracles import Oracle, WaitingForAnswers
from dense_al.regions import RegionMaps, build_regions
from dense_al.registry import ACQUISITIONS, ORACLES, UNITS, ConfigError, construct
from dense_al.sandbox import prepare_sandbox
from dense_al.structures import WHOLE, Budget

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
WAITING, INTERRUPTED, MISTAKE = 3, 130, 2
logger = logging.getLogger('dense_al')


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs active learning; returns the exit code.

    Args:
        arguments: Command line, `sys.argv[1:]` by default.

    Returns:
        0 done, 2 a mistake of the user, 3 waiting for answers, 130 interrupted.
    """
    args = _parse(arguments)
    logging.basicConfig(level=logging.WARNING, format='%(message)s')
    logger.setLevel(logging.INFO if int(os.environ.get('RANK', 0)) == 0 else logging.ERROR)
    signal.signal(signal.SIGTERM, partial(_interrupt, os.getpid()))
    try:
        with processes(args.launcher):
            learner = build(args)
            if args.dry_run:
                print(plan(learner))
                return 0
            plan(learner, exact=True)
            with _traceback_kept(learner.store.work_dir):
                learner.run(stop_after=(0, 'train') if args.stop_at_start else None)
    except (ConfigError, RunLockedError, FileNotFoundError, ValueError) as error:
        if os.environ.get('DENSE_AL_TRACEBACK'):
            raise
        logger.error('%s: %s', type(error).__name__, error)
        return MISTAKE
    except WaitingForAnswers as waiting:
        logger.error('%s\nWhen they are there, go on with: %s', waiting, _resume_command(args))
        return WAITING
    except KeyboardInterrupt:
        logger.error('\nInterrupted; nothing is lost. Go on with: %s', _resume_command(args))
        return INTERRUPTED
    return 0


@contextlib.contextmanager
def _traceback_kept(work_dir: Path) -> Iterator[None]:
    """Adds the traceback of an error that ends a run to `error.log` in its folder.

    Before the run most errors are a mistake of the user, whom a line tells more; after that they
    come from anywhere.
    """
    try:
        yield
    except WaitingForAnswers:
        raise
    except Exception:
        head = f'{time.strftime("%Y-%m-%d %H:%M:%S")} process {os.environ.get("RANK", 0)}'
        with contextlib.suppress(OSError), open(work_dir / 'error.log', 'a') as file:
            file.write(f'{head}\n{traceback.format_exc()}\n')
            logger.error('The traceback is in %s', work_dir / 'error.log')
        raise


def _resume_command(args: argparse.Namespace) -> str:
    """The command line that goes on with this run."""
    given = ['python', 'tools/al_train.py', args.config, '--work-dir', str(args.work_dir)]
    given += ['--seed', str(args.seed)] if args.seed else []
    given += ['--sandbox'] if args.sandbox else []
    given += ['--launcher', args.launcher] if args.launcher != 'none' else []
    given += ['--allow-other-environment'] if args.allow_other_environment else []
    given += ['--start-from', str(args.start_from)] if args.start_from is not None else []
    given += ['--stop-at-start'] if args.stop_at_start else []
    options = args.options_as_given
    return shlex.join([*given, *(['--cfg-options', *options] if options else []), '--resume'])


def build(args: argparse.Namespace) -> Learner:
    """Builds everything and checks it; nothing is trained.

    Args:
        args: The parsed command line.
    """
    cfg = load_config(args.config, args.cfg_options)
    if args.sandbox:
        cfg = apply_sandbox(cfg, CONFIGS)
    cfg['launcher'] = args.launcher
    work_dir = Path(args.work_dir)
    store = RunStore(work_dir)
    if not args.resume and (work_dir / 'manifest.parquet').exists() and not args.dry_run:
        raise ConfigError(f'Expected an empty folder, but {work_dir} holds a run; add --resume')
    rounds = construct(Rounds, cfg['rounds'], 'rounds')
    budget = construct(Budget, cfg['budget'], 'budget')
    given = rounds.initial or {}
    first = given.get('budget')
    acquisition: Acquisition = ACQUISITIONS.build(cfg['acquisition'], 'acquisition')
    UNITS.build(acquisition.unit, 'acquisition.unit')
    oracle: Oracle = ORACLES.build(cfg['oracle'], 'oracle')
    on_main(lambda: prepare_sandbox(cfg))
    task = build_task(cfg, rounds, partial=acquisition.kind != 'image')
    initial = _initial(acquisition, rounds, task)
    initial_budget = construct(Budget, first, 'rounds.initial.budget') if first else budget
    _check_pixels(task, oracle, [a for a in (acquisition, initial) if isinstance(a, Acquisition)])
    _check_points(task, oracle, acquisition)
    _check_samples(task, acquisition, initial)
    _check_budgets(task, acquisition, {'budget': budget, 'rounds.initial.budget': initial_budget})
    _check_source(task, rounds, acquisition)
    task.check_config(acquisition.needs)
    if args.dry_run and oracle.reads_labels:
        task.check_labels([0])
    folder = work_dir.parent / 'regions'
    units = build_regions(acquisition.unit, task.manifest, folder, task.scans)
    learner = Learner(
        task=task,
        units=units,
        acquisition=acquisition,
        initial=initial,
        oracle=oracle,
        budget=budget,
        initial_budget=initial_budget,
        rounds=rounds,
        store=store,
        seed=args.seed,
        describe=plain(cfg['acquisition']),
    )
    if not args.dry_run:
        on_main(lambda: _begin(args, cfg, units, learner))
    return learner


def _begin(args: argparse.Namespace, cfg: Config, units: RegionMaps, learner: Learner) -> None:
    """Locks the folder, prepares the units, records what the run is begun with."""
    store, task = learner.store, learner.task
    store.lock()
    if learner.oracle.reads_labels and not (store.work_dir / 'environment.json').exists():
        task.check_labels()
    seen = task.manifest.pool
    if 'source' in learner.acquisition.observes:
        seen = np.arange(len(task.manifest))
    units.prepare(seen, workers=0 if len(seen) < 500 else None)
    given = {
        'acquisition': learner.acquisition.at_random,
        **(cfg['rounds'].get('initial') or {}),
    }
    start = [plain(given), asdict(learner.initial_budget)]
    now = environment(args, cfg, task, plain(learner.acquisition.unit), units.key, start)
    record(store, now, args.allow_other_environment)
    store.phase('config')
    write_text(store.work_dir / 'config.py', cfg.pretty_text)
    if args.start_from is not None and share_start(store, args.start_from, now['start_key']):
        logger.info('initial labels and round 0 are those of %s', args.start_from)


def _initial(acquisition: Acquisition, rounds: Rounds, task: Task) -> Acquisition | np.ndarray:
    """What gives the initial labels."""
    given = rounds.initial or {}
    if given.get('source'):
        return np.zeros(0, np.int64)
    if 'labelled' in given:
        return named_samples(given['labelled'], task.manifest)
    field = 'rounds.initial.acquisition'
    initial: Acquisition = ACQUISITIONS.build(
        given.get('acquisition', acquisition.at_random), field
    )
    if initial.needs:
        raise ConfigError(
            f'Expected `{field}` to need no model, but it needs {sorted(initial.needs)}'
        )
    if initial.kind == 'tags' and not task.learns_tags:
        raise ConfigError(
            f'Expected a model that learns from tags, as `{field}` asks for nothing else, but got '
            'one that does not; `model.roi_head` of type WeakRoIHead does'
        )
    # Regions alone are those of some unit; pixels and points have the same numbers everywhere.
    if initial.kind == 'region' and initial.unit != acquisition.unit:
        UNITS.build(initial.unit, f'{field}.unit')
        raise ConfigError(
            f'Expected `{field}.unit` to be Image or the units of `acquisition`, '
            f'but got {initial.unit}'
        )
    return initial


def _check_source(task: Task, rounds: Rounds, acquisition: Acquisition) -> None:
    """Refuses what needs a source domain where there is none."""
    if len(task.manifest.source):
        return
    if (rounds.initial or {}).get('source') or 'source' in acquisition.observes:
        field = '`acquisition`' if 'source' in acquisition.observes else '`rounds.initial.source`'
        raise ConfigError(
            f'Expected the dict `source`, a labelled data set of another domain, as {field} needs '
            'it, but got none'
        )


def _check_points(task: Task, oracle: Oracle, acquisition: Acquisition) -> None:
    """Refuses points where the model cannot learn from them."""
    if oracle.points is not None and not task.learns_points:
        raise ConfigError(
            'Expected a model that learns masks from points, as `oracle.points` is '
            f'{oracle.points}, but got one that does not; set `type` of its mask head to '
            'PointSupMaskHead or PointSupCondInstMaskHead'
        )
    if acquisition.kind in ('point', 'instance') and task.form == 'boxes':
        raise ConfigError(
            f'Expected a model with masks, as `acquisition` asks about a {acquisition.kind} of an '
            'object, but got a detector of boxes'
        )


def _check_samples(task: Task, acquisition: Acquisition, initial: Any) -> None:
    """Refuses regions of objects, and what reads tags without any."""
    name = type(acquisition).__name__
    if acquisition.kind == 'region' and task.form != 'pixels':
        raise ConfigError(
            f'Expected `acquisition.unit` to be Image, as a model that learns {task.form} cannot '
            f'learn from parts of an image, but got {acquisition.unit}'
        )
    asks_tags = isinstance(initial, Acquisition) and initial.kind == 'tags'
    if acquisition.reads_tags and not asks_tags:
        raise ConfigError(
            f'Expected `rounds.initial.acquisition` of type ImageTags, as {name} chooses by the '
            'tags of all images, but they are not asked'
        )


def _check_pixels(task: Task, oracle: Oracle, acquisitions: Sequence[Acquisition]) -> None:
    """Refuses what is of pixels where labels are not, and acquisitions for other labels."""
    if oracle.dominant and task.form != 'pixels':
        raise ConfigError(
            'Expected a model for semantic segmentation, as `oracle.dominant` asks for one class '
            f'of all pixels, but got one that learns {task.form}'
        )
    if task.scans is not None and not oracle.reads_labels:
        raise ConfigError(
            f'Expected the oracle GroundTruth for scans, but got {type(oracle).__name__}, which '
            'asks with pictures'
        )
    for acquisition in acquisitions:
        if acquisition.form not in (None, task.form):
            raise ConfigError(
                f'Expected a model that learns {acquisition.form}, as '
                f'{type(acquisition).__name__} asks about them, but got one that learns {task.form}'
            )


def _check_budgets(task: Task, acquisition: Acquisition, budgets: Mapping[str, Budget]) -> None:
    """Refuses budgets for each object where there are none, or where images are asked."""
    if budgets['budget'].unit == 'per_object' and acquisition.kind in WHOLE:
        raise ConfigError(
            "Expected `budget.unit` other than 'per_object', as `acquisition` asks about whole "
            "images, but got 'per_object'"
        )
    for field, budget in budgets.items():
        if budget.unit == 'per_object' and task.form == 'pixels':
            raise ConfigError(
                f"Expected `{field}.unit` other than 'per_object', as labels of pixels have no "
                "objects, but got 'per_object'"
            )


def _interrupt(owner: int, number: int, frame: Any) -> None:
    """Ends the run cleanly; a process forked by a framework ends as if there were no handler."""
    if os.getpid() != owner:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        return
    raise KeyboardInterrupt


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Run active learning')
    parser.add_argument('config', help='an mmseg config with the four dicts')
    parser.add_argument('--work-dir', help='default: work_dirs/<name of the config>')
    parser.add_argument('--resume', action='store_true', help='go on with the run in the work dir')
    parser.add_argument('--sandbox', action='store_true', help='small generated world and model')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm'], default='none')
    parser.add_argument('--cfg-options', nargs='+', action=_Options, metavar='KEY=VALUE')
    parser.add_argument('--allow-other-environment', action='store_true')
    parser.add_argument(
        '--start-from', type=Path, metavar='RUN', help='share its initial labels and round 0'
    )
    parser.add_argument('--stop-at-start', action='store_true', help='end when round 0 is trained')
    parser.add_argument('--dry-run', action='store_true', help='check and print the plan')
    parser.set_defaults(options_as_given=())
    args = parser.parse_args(arguments)
    args.work_dir = args.work_dir or str(Path('work_dirs') / Path(args.config).stem)
    return args


class _Options(DictAction):
    """Keeps options as they were given, too, in whatever form."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        super().__call__(parser, namespace, values, option_string)
        namespace.options_as_given = (*namespace.options_as_given, *values)
