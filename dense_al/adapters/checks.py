"""What a config must hold so that training does not fail hours later: checked before it begins."""

import copy
import logging
import re
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mmengine.registry
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.optim import OptimWrapperDict, build_optim_wrapper
from mmengine.registry import (
    DATASETS,
    HOOKS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    TRANSFORMS,
    WEIGHT_INITIALIZERS,
    Registry,
)
from mmengine.runner import Runner
from mmengine.runner.checkpoint import _load_checkpoint

from dense_al.adapters import surgery
from dense_al.adapters.classes import check_evaluated, check_names
from dense_al.registry import ConfigError, check_keys, nearest

UNKNOWN_NAME = re.compile(r'(\S+?) is not in the (?:\w+::)?([\w ]+?) registry')
LONGEST = 400  # characters of a framework's message


@contextmanager
def naming(field: str) -> Iterator[None]:
    """Says where in the config the cause of an exception stands.

    Args:
        field: What of the config is read inside.

    Raises:
        ConfigError: Anything was raised inside.
    """
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:  # frameworks raise what they like
        raise ConfigError(f'Could not build `{field}`: {_said(error)}') from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what is logged when it is built again for a round."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _said(error: Exception) -> str:
    """One line of what an exception says, with the names that come close to an unknown one."""
    plain = error.args[0] if isinstance(error, KeyError) and error.args else error
    text = ' '.join(str(plain).split()) or type(error).__name__
    unknown = UNKNOWN_NAME.search(text)
    if unknown:
        name = unknown[1].strip('\'"`')
        return f'Unknown {unknown[2]} `{name}`. {nearest(name, _registered(unknown[2]))}'
    if isinstance(error, KeyError) and ' ' not in text:
        text = f'the key `{text}` is missing'
    return text if len(text) <= LONGEST else text[:LONGEST] + ' ...'


def _registered(kind: str) -> set[str]:
    """Names of a kind in all frameworks that are loaded."""
    names: set[str] = set()
    for registry in vars(mmengine.registry).values():
        if isinstance(registry, Registry) and registry.name == kind:
            for part in (registry, *registry.children.values()):
                names |= set(part.module_dict)
    return names


def check_parts(cfg: Config, prefix: str = '') -> None:
    """Checks that a config has the parts that every task reads.

    Args:
        cfg: The config.
        prefix: Before the keys in messages.

    Raises:
        ConfigError: One is missing or of a wrong type.
    """
    for key in ('model', 'train_cfg', 'optim_wrapper', 'train_dataloader', 'val_dataloader'):
        if not isinstance(cfg.get(key), dict):
            raise ConfigError(f'Expected the dict `{prefix}{key}`, but got {cfg.get(key)!r}')
    _check_dicts(cfg.get('val_evaluator'), 'val_evaluator')
    for key in ('param_scheduler', 'custom_hooks'):
        if cfg.get(key) is not None:
            _check_dicts(cfg[key], f'{prefix}{key}')
    for key in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if key != 'test_dataloader' or cfg.get(key) is not None:
            _check_loader(cfg.get(key), key)
    for key in ('roi_head', 'mask_head'):
        if cfg['model'].get(key) is not None:
            _check_dicts(cfg['model'][key], f'model.{key}')


def _check_dicts(value: Any, field: str) -> None:
    if not _are_dicts(value):
        raise ConfigError(f'Expected `{field}` to be a dict or dicts, but got {value!r}')


def _are_dicts(value: Any) -> bool:
    listed = value if isinstance(value, (list, tuple)) else [value]
    return all(isinstance(one, dict) for one in listed)


def _check_loader(loader: Any, field: str) -> None:
    if not isinstance(loader, dict):
        raise ConfigError(f'Expected `{field}` to be a dict, but got {loader!r}')
    for name, least in (('batch_size', 1), ('num_workers', 0)):
        value = loader.get(name, least)
        if type(value) is not int or value < least:
            raise ConfigError(
                f'Expected `{field}.{name}` to be an integer of at least {least}, but got {value!r}'
            )
    for name in ('dataset', 'sampler'):
        value = loader.get(name)
        if not isinstance(value, dict) and (name == 'dataset' or value is not None):
            raise ConfigError(f'Expected `{field}.{name}` to be a dict, but got {value!r}')
    parts = [loader['dataset']]
    if field == 'train_dataloader':
        parts = list(surgery.unwrapped(loader['dataset'], f'{field}.dataset'))
    for part in parts:
        check_steps(part.get('pipeline', []), f'{field}.dataset.pipeline')


def check_steps(steps: Any, field: str) -> None:
    """Checks that a pipeline is a list of dicts.

    Raises:
        ConfigError: It is not.
    """
    if not isinstance(steps, (list, tuple)) or not _are_dicts(steps):
        raise ConfigError(f'Expected `{field}` to be a list of dicts, but got {steps!r}')


def check_pipeline(steps: Sequence[Any], field: str) -> None:
    """Builds each step of a framework's pipeline.

    Raises:
        ConfigError: One cannot be built.
    """
    check_steps(steps, field)
    for i, step in enumerate(steps):
        with naming(f'{field}[{i}]'):
            TRANSFORMS.build(copy.deepcopy(step))


def check_weights(cfg: Config) -> None:
    """Checks how weights are initialised; files to download are not asked for.

    Raises:
        ConfigError: An unknown way, or a file is missing.
    """
    for node in surgery.dicts(cfg['model']):
        for given in surgery.listed(node.get('init_cfg')):
            if isinstance(given, dict) and 'type' not in given:
                # Some backbones read a checkpoint from it themselves.
                check_keys(given, ('type', 'checkpoint', 'prefix', 'map_location'), 'init_cfg')
                continue
            name = given.get('type') if isinstance(given, dict) else given
            _check_name(name, WEIGHT_INITIALIZERS, 'init_cfg.type')
    for field, path in _weights(cfg):
        if not isinstance(path, str) or ('://' not in path and not Path(path).is_file()):
            raise ConfigError(f'Expected `{field}` to be a file of weights, but got {path!r}')


def check_checkpoint(model: Any, path: str | None) -> None:
    """Refuses weights of another model: frameworks go on with random ones in their place.

    Args:
        model: Of the config; it gets the weights.
        path: `rounds.initial.checkpoint`, if there is one.

    Raises:
        ConfigError: Parameters are missing or of other sizes; buffers may be missing.
    """
    if path is None:
        return
    with naming('rounds.initial.checkpoint'):
        content = _load_checkpoint(path, map_location='cpu', logger='silent')
        state = content.get('state_dict', content)
        named = OrderedDict((key.removeprefix('module.'), value) for key, value in state.items())
        # Versions of layers, by which some of them rename what they load.
        vars(named)['_metadata'] = getattr(state, '_metadata', OrderedDict())
        missing = set(model.load_state_dict(named, strict=False).missing_keys)
    lost = [name for name, _ in model.named_parameters() if name in missing]
    if lost:
        raise ConfigError(
            f'Expected the weights of this model in `rounds.initial.checkpoint` {path}, but '
            f'{len(lost)} are not there, such as `{lost[0]}`'
        )


def fetch_weights(cfg: Config) -> None:
    """Downloads the weights that training begins with to where frameworks keep them.

    Raises:
        ConfigError: Some cannot be had.
    """
    for field, path in _weights(cfg):
        if '://' not in path:
            continue
        try:
            _load_checkpoint(path, map_location='cpu', logger='silent')
        except Exception as error:  # networks, disks and missing packages fail in many ways
            raise ConfigError(
                f'Expected to fetch the weights `{field}` {path}, but: {_said(error)}; fetch them '
                'where there is a network, or give the path of a file'
            ) from error


def _weights(cfg: Config) -> list[tuple[str, Any]]:
    """Fields of a config that name weights, and what they name."""
    named = [] if cfg.get('load_from') is None else [('load_from', cfg['load_from'])]
    for node in surgery.dicts(cfg['model']):
        if node.get('type') == 'Pretrained':
            named.append(('init_cfg.checkpoint', node.get('checkpoint')))
        given = node.get('init_cfg')
        if isinstance(given, dict) and 'type' not in given and 'checkpoint' in given:
            named.append(('init_cfg.checkpoint', given['checkpoint']))
        if isinstance(node.get('pretrained'), str):
            named.append(('pretrained', node['pretrained']))
    return named


def _check_name(name: Any, registry: Registry, field: str) -> None:
    """Refuses what a framework's registry does not have."""
    try:
        known = isinstance(name, str) and registry.get(name) is not None
    except (RuntimeError, TypeError):  # what mmengine makes of '' and '.'
        known = False
    if not known:
        near = nearest(str(name), _registered(registry.name))
        raise ConfigError(f'Unknown `{field}` {name!r}. {near}')


def check_training(
    cfg: Config, model: Any, iterations: int | None, epochs: int | None, prefix: str = ''
) -> None:
    """Builds what trains a model.

    Args:
        cfg: The config as it is for a round; left as it is.
        model: Its model.
        iterations: Iterations of the round, or
        epochs: passes over the labelled samples.
        prefix: Before the keys in messages.

    Raises:
        ConfigError: Something cannot be built.
    """
    cfg = copy.deepcopy(cfg)
    schedulers = f'{prefix}param_scheduler'
    _check_dicts(cfg.get('param_scheduler') or [], schedulers)
    with naming(schedulers):
        surgery.set_length(cfg, iterations, epochs, per_epoch=1, old_per_epoch=1)
    for i, hook in enumerate(surgery.listed(cfg.get('custom_hooks'))):
        with naming(f'custom_hooks[{i}]'):
            HOOKS.build({k: v for k, v in hook.items() if k != 'priority'})  # the runner takes it
    if 'Amp' in str(cfg['optim_wrapper'].get('type')):
        return  # it can be built on a GPU only
    optimizer = cfg['optim_wrapper'].get('optimizer')
    if isinstance(optimizer, dict):
        _check_name(optimizer.get('type'), OPTIMIZERS, f'{prefix}optim_wrapper.optimizer.type')
    with naming(f'{prefix}optim_wrapper'), _quiet():
        optimizer = build_optim_wrapper(model, copy.deepcopy(cfg['optim_wrapper']))
    if isinstance(optimizer, OptimWrapperDict):
        return
    for i, scheduler in enumerate(surgery.listed(cfg.get('param_scheduler'))):
        with naming(f'{schedulers}[{i}]'):
            PARAM_SCHEDULERS.build(dict(scheduler), default_args={'optimizer': optimizer})


def check_evaluation(cfg: Config, pool_classes: Sequence[str]) -> None:
    """Builds what evaluates a model, and looks for the files of its first sample.

    Args:
        cfg: The config; left as it is.
        pool_classes: Classes of the pool.

    Raises:
        ConfigError: Something cannot be built, or a file is missing.
    """
    given = copy.deepcopy(cfg['val_dataloader']['dataset'])
    if 'dataset' not in given and 'datasets' not in given:  # wrappers do not know it
        given['serialize_data'] = False  # which takes longer than everything else
    with naming('val_dataloader.dataset'):
        dataset = DATASETS.build(given)
    if len(dataset) == 0:
        raise ConfigError('Expected images in `val_dataloader.dataset`, but it is empty')
    if 'dataset' not in given and 'datasets' not in given:  # wrappers have no names of their own
        check_names([dataset], 'val_dataloader.dataset')
    check_evaluated(pool_classes, dataset)
    check_files(dataset.get_data_info(0), 'val_dataloader.dataset')
    check_evaluator(cfg, dataset)


def check_files(record: dict[str, Any], field: str) -> None:
    """Looks for the files of a labelled sample.

    Args:
        record: What the framework knows of it.
        field: Where its data set stands, for messages.

    Raises:
        ConfigError: One is missing.
    """
    for key in ('img_path', 'seg_map_path'):
        if record.get(key) is not None and not Path(record[key]).is_file():
            raise ConfigError(
                f'Expected a file for each `{key}` of `{field}`, but {record[key]} does not exist'
            )


def check_evaluator(cfg: Config, dataset: Any) -> None:
    """Builds the evaluator and the loader of a data set that is built.

    Raises:
        ConfigError: One of them cannot be built.
    """
    if not isinstance(cfg['val_dataloader'].get('sampler'), dict):
        raise ConfigError('Expected `val_dataloader.sampler`, which mmengine needs, but got none')
    with naming('val_dataloader'):
        Runner.build_dataloader({**copy.deepcopy(cfg['val_dataloader']), 'dataset': dataset})
    with naming('val_evaluator'), _quiet():
        Evaluator(copy.deepcopy(surgery.listed(cfg['val_evaluator'])))
