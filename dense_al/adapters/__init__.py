"""The only files that know a framework's models."""

from typing import Any

from dense_al.registry import ConfigError, nearest

SCOPES = ('mmseg', 'mmdet', 'dense_al')


def build_task(cfg: Any, rounds: Any, partial: bool) -> Any:
    """The task of a config, by its `default_scope`; frameworks are imported when needed.

    Args:
        cfg: A stock config of the framework.
        rounds: How long a round trains.
        partial: Whether samples may be labelled in part.

    Raises:
        ConfigError: A framework without an adapter.
    """
    scope = cfg.get('default_scope', 'mmseg')
    if scope not in SCOPES:
        raise ConfigError(f'Unknown `default_scope` {scope!r}. {nearest(str(scope), SCOPES)}')
    from dense_al.adapters.checks import check_parts

    check_parts(cfg)
    if scope == 'mmdet':
        from dense_al.adapters.mmdet import MMDetTask

        return MMDetTask(cfg, rounds)
    if scope == 'dense_al':
        from dense_al.adapters.lidar import ScanTask

        return ScanTask(cfg, rounds)
    from dense_al.adapters.mmseg import MMSegTask

    try:
        return MMSegTask(cfg, rounds, partial)
    except ConfigError as error:
        if cfg.get('default_scope') is not None:
            raise
        raise ConfigError(
            f'{error} (`default_scope` is not given, so this is taken for a config of mmseg)'
        ) from error
