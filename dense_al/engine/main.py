"""The command line of `tools/al_train.py`: from arguments to a running loop."""

import argparse
import contextlib
import logging
import os
import shlex
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import DictAction

from dense_al.engine.build import build
from dense_al.engine.distribution import processes, world
from dense_al.engine.plan import plan
from dense_al.engine.store import RunLockedError
from dense_al.interrupts import interrupts
from dense_al.oracles import WaitingForAnswers
from dense_al.registry import ConfigError

WAITING, INTERRUPTED, MISTAKE = 3, 130, 2
logger = logging.getLogger('dense_al')


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs active learning; returns the exit code.

    Args:
        arguments: Command line, `sys.argv[1:]` by default.

    Returns:
        0 done, 2 a mistake of the user, 3 waiting for answers, 130 interrupted.
    """
    args = parse(arguments)
    logging.basicConfig(level=logging.WARNING, format='%(message)s')
    try:
        with interrupts(), processes(args.launcher):
            logger.setLevel(logging.INFO if world()[0] == 0 else logging.ERROR)
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
        _say('%s\nWhen they are there, go on with: %s', waiting, _resume_command(args))
        return WAITING
    except KeyboardInterrupt:
        _say('\nInterrupted; nothing is lost. Go on with: %s', _resume_command(args))
        return INTERRUPTED
    return 0


def _say(text: str, *values: Any) -> None:
    """Logs what every process knows, once."""
    if int(os.environ.get('RANK', 0)) == 0:
        logger.error(text, *values)


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
    there = os.environ.get('LOCAL_WORLD_SIZE', '1')
    start = {'pytorch': ['torchrun', '--nproc_per_node', there], 'slurm': ['srun', 'python']}
    given = [*start.get(args.launcher, ['python']), 'tools/al_train.py', args.config]
    given += ['--work-dir', str(args.work_dir)]
    given += ['--seed', str(args.seed)] if args.seed else []
    given += ['--sandbox'] if args.sandbox else []
    given += ['--launcher', args.launcher] if args.launcher != 'none' else []
    given += ['--allow-other-environment'] if args.allow_other_environment else []
    given += ['--start-from', str(args.start_from)] if args.start_from is not None else []
    given += ['--stop-at-start'] if args.stop_at_start else []
    options = args.options_as_given
    return shlex.join([*given, *(['--cfg-options', *options] if options else []), '--resume'])


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads a command line, `sys.argv[1:]` for None."""
    parser = argparse.ArgumentParser(description='Run active learning')
    parser.add_argument('config', help='an mmseg, mmdet or scan config with the four dicts')
    parser.add_argument(
        '--work-dir', help='default: work_dirs/NAME of the config, with --sandbox NAME_sandbox'
    )
    parser.add_argument('--resume', action='store_true', help='go on with the run in the work dir')
    parser.add_argument('--sandbox', action='store_true', help='small generated world and model')
    parser.add_argument('--seed', type=_seed, default=0, help='of everything that is drawn')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm'], default='none')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=_Options,
        metavar='KEY=VALUE',
        help='laid over the config, such as budget.per_round=5',
    )
    parser.add_argument(
        '--allow-other-environment',
        action='store_true',
        help='go on although settings or versions differ from when the run began',
    )
    parser.add_argument(
        '--start-from', type=Path, metavar='RUN', help='share its initial labels and round 0'
    )
    parser.add_argument('--stop-at-start', action='store_true', help='end when round 0 is trained')
    parser.add_argument(
        '--dry-run',
        action='store_true',
        help='check and print the plan; also generates the world of a sandbox',
    )
    parser.set_defaults(options_as_given=())
    args = parser.parse_args(arguments)
    name = Path(args.config).stem + '_sandbox' * args.sandbox  # beside the real run
    args.work_dir = args.work_dir or str(Path('work_dirs') / name)
    return args


def _seed(text: str) -> int:
    """The value of `--seed`."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f'expected an integer of at least 0, but got {text!r}')
    return int(text)


class _Options(DictAction):
    """Keeps options as they were given, too, in whatever form."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        for value in values:
            if '=' not in value:
                parser.error(f'expected KEY=VALUE after {option_string}, but got {value!r}')
        super().__call__(parser, namespace, values, option_string)
        namespace.options_as_given = (*namespace.options_as_given, *values)
