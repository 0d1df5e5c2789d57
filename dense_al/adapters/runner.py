"""What a round needs of mmengine's Runner, whatever the framework on top of it."""

import copy
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.logging import MessageHub, MMLogger
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmengine.runner.checkpoint import weights_to_cpu
from mmengine.visualization import Visualizer

from dense_al.adapters.task import TrainJob, TrainResult
from dense_al.files import write_atomically

PARTS = 'parts'  # folder of checkpoints inside a round


class Times(Hook):
    """Keeps the last evaluation's metrics and how long it took."""

    def __init__(self) -> None:
        self.metrics: dict[str, float] = {}
        self.evaluate_seconds = 0.0
        self._begun = 0.0

    def before_val(self, runner: Any) -> None:
        self._begun = time.perf_counter()

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        self.metrics = dict(metrics or {})
        self.evaluate_seconds += time.perf_counter() - self._begun


class CurvePoint(Hook):
    """Adds what is labelled to the tracker, beside the metric.

    Args:
        labelled: Name -> number.
    """

    priority = 'VERY_LOW'

    def __init__(self, labelled: dict[str, float]) -> None:
        self._labelled = labelled

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        runner.visualizer.add_scalars(self._labelled, step=runner.iter)


def round_config(cfg: Any, job: TrainJob, interval: int | None) -> bool:
    """Prepares the parts of a config that every framework's round shares (in place).

    Args:
        cfg: A copy of the user's config, already of the round's length.
        job: The round.
        interval: Iterations between two checkpoints inside the round; None for none.

    Returns:
        Whether training goes on in the middle, from a checkpoint inside the round.
    """
    for key in ('test_dataloader', 'test_evaluator', 'test_cfg', 'train_dataloader'):
        cfg.pop(key, None)
    if cfg.get('launcher', 'none') != 'none' and not torch.cuda.is_available():
        # mmengine names a device for every process, which only GPUs have.
        wrapper = dict(cfg.get('model_wrapper_cfg') or {'type': 'MMDistributedDataParallel'})
        unused = bool(cfg.get('find_unused_parameters', False))
        cfg['model_wrapper_cfg'] = {
            'find_unused_parameters': unused, 'broadcast_buffers': False, **wrapper,
            'device_ids': None,
        }  # fmt: skip
    parts = job.folder / PARTS
    hooks = dict(cfg.get('default_hooks') or {})
    hooks['checkpoint'] = None
    # A round counts iterations, so its metric stands at one.
    hooks['logger'] = {'type': 'LoggerHook', **(hooks.get('logger') or {})}
    hooks['logger']['log_metric_by_epoch'] = False
    if interval is not None:
        hooks['checkpoint'] = {
            'type': 'CheckpointHook',
            'interval': interval,
            'by_epoch': False,
            'max_keep_ckpts': 2,  # one is whole while the next is written
            'save_last': False,
            'out_dir': str(parts),
        }
    cfg['default_hooks'] = hooks
    cfg['work_dir'] = str(job.folder)
    cfg['experiment_name'] = f'{run_folder(job).name}_{job.round_number:03d}'
    last = _last_part(job.folder) if interval is not None else None
    cfg['resume'] = last is not None
    if last is not None:
        cfg['load_from'] = last
    elif job.load_from is not None:
        cfg['load_from'] = str(job.load_from)
    cfg['randomness'] = {**dict(cfg.get('randomness') or {}), 'seed': job.seed}
    return last is not None


def run_folder(job: TrainJob) -> Path:
    """The run's folder."""
    return Path(job.folder).parents[2]


def labelled_totals(job: TrainJob) -> dict[str, float]:
    """What a round trains on, as numbers for the tracker."""
    return {f'labelled/{k}': float(v) for k, v in asdict(job.ledger.totals()).items()}


def _last_part(folder: Path) -> str | None:
    """The newest checkpoint inside a round; mmengine notes its name when it is written whole."""
    note = folder / 'last_checkpoint'
    path = Path(note.read_text(encoding='utf-8').strip()) if note.is_file() else None
    return str(path) if path is not None and path.is_file() else None


def run_round(runner: Runner, job: TrainJob, what: str, per_class: dict[str, str]) -> TrainResult:
    """Trains or only evaluates, saves the weights, and lets go of everything mmengine keeps.

    Args:
        runner: Of this round alone.
        job: The round.
        what: `train` or `val`.
        per_class: Class -> the metric that is its result.
    """
    times = Times()
    runner.register_hook(times)
    try:
        begun = time.perf_counter()
        getattr(runner, what)()
        total = time.perf_counter() - begun
        save_weights(runner, job.checkpoint)
    finally:
        end_workers(runner)
        release(runner.experiment_name)
    shutil.rmtree(job.folder / PARTS, ignore_errors=True)
    metrics = {k: float(v) for k, v in times.metrics.items()}
    return TrainResult(
        per_class={c: metrics.pop(m, float('nan')) for c, m in per_class.items()},
        metrics=metrics,
        train_seconds=total - times.evaluate_seconds,
        evaluate_seconds=times.evaluate_seconds,
    )


def runner_arguments(cfg: Any) -> dict[str, Any]:
    """The Runner's arguments in a config."""
    names = (
        'model work_dir val_dataloader train_cfg val_cfg auto_scale_lr optim_wrapper '
        'param_scheduler val_evaluator default_hooks custom_hooks data_preprocessor load_from '
        'resume launcher env_cfg log_processor log_level visualizer default_scope randomness '
        'experiment_name'
    ).split()
    given = {name: cfg[name] for name in names if cfg.get(name) is not None}
    given.setdefault('env_cfg', {'dist_cfg': {'backend': 'gloo'}})
    return {**given, 'cfg': copy.deepcopy(cfg)}


def save_weights(runner: Runner, path: Path) -> None:
    """Writes the weights alone, whole or not at all; equal runs write equal files."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    checkpoint = {
        'meta': {'dataset_meta': runner.val_loop.evaluator.dataset_meta},
        'state_dict': weights_to_cpu(model.state_dict()),
    }
    runner.call_hook('before_save_checkpoint', checkpoint=checkpoint)  # EMA puts its weights in
    if is_main_process():
        write_atomically(path, lambda file: torch.save(checkpoint, file), alone=True)


def end_workers(runner: Runner) -> None:
    """Ends the data workers at once; the garbage collector would wait five seconds for each."""
    for loop in (runner._train_loop, runner._val_loop):
        loader = getattr(loop, 'dataloader', None)
        endless = getattr(loop, 'dataloader_iterator', None)
        for holder in (loader, endless):
            iterator: Any = getattr(holder, '_iterator', None)
            if hasattr(iterator, '_shutdown_workers'):
                iterator._shutdown_workers()


def release(name: str) -> None:
    """Takes a Runner's entries out of mmengine's global tables and closes its log files."""
    for manager in (MessageHub, Visualizer, MMLogger):
        table = manager._instance_dict
        for key in [k for k in table if str(k).startswith(name)]:
            instance = table.pop(key)
            for handler in getattr(instance, 'handlers', []):
                handler.close()
            if isinstance(instance, Visualizer):
                instance.close()
