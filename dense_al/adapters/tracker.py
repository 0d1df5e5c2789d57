"""One tracker run (TensorBoard, W&B, MLflow ...) for a whole curve, by mmengine's back ends."""

import copy
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import VISBACKENDS
from mmengine.visualization import Visualizer
from mmengine.visualization.vis_backend import BaseVisBackend


class CurveBackend(BaseVisBackend):
    """Passes everything on to another back end; steps go on over the rounds.

    Args:
        inner: The back end the user configured.
    """

    def __init__(self, inner: BaseVisBackend) -> None:
        super().__init__(str(inner._save_dir))
        self.inner = inner
        self.offset = 0
        self._configured = False

    @property
    def experiment(self) -> Any:
        """What the back end writes with."""
        return self.inner.experiment

    def _init_env(self) -> None:
        """The inner one prepares itself."""

    def add_config(self, config: Config, **kwargs: Any) -> None:
        """Records the first round's config; most trackers refuse a second one."""
        if not self._configured:
            self._configured = True
            self.inner.add_config(config, **kwargs)

    def add_graph(self, model: Any, data_batch: Any, **kwargs: Any) -> None:
        """Passes the model on."""
        self.inner.add_graph(model, data_batch, **kwargs)

    def add_image(self, name: str, image: Any, step: int = 0, **kwargs: Any) -> None:
        """Passes an image on."""
        self.inner.add_image(name, image, step + self.offset, **kwargs)

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Passes a number on."""
        self.inner.add_scalar(name, value, step + self.offset, **kwargs)

    def add_scalars(
        self, scalar_dict: Any, step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Passes numbers on; mmengine counts the step inside the round."""
        shifted = dict(scalar_dict)
        if 'step' in shifted:
            shifted['step'] = int(shifted['step']) + self.offset
        self.inner.add_scalars(shifted, step + self.offset, file_path, **kwargs)

    def close(self) -> None:
        """Closes the back end."""
        self.inner.close()


def curve_visualizer(cfg: Mapping[str, Any], work_dir: Path) -> Visualizer:
    """The visualizer of a whole run.

    Args:
        cfg: `visualizer` of the user's config.
        work_dir: The run; the same run continues the same curve where the tracker allows it.
    """
    identity = hashlib.sha256(str(work_dir.resolve()).encode()).hexdigest()[:12]
    given = dict(copy.deepcopy(cfg))
    folder = work_dir / 'tracker'
    backends = []
    for backend in given.pop('vis_backends', None) or [{'type': 'LocalVisBackend'}]:
        backend = dict(backend)
        backend.setdefault('save_dir', str(folder / 'vis_data'))
        if str(backend['type']).endswith('WandbVisBackend'):
            kwargs = dict(backend.get('init_kwargs') or {})
            backend['init_kwargs'] = {'id': identity, 'resume': 'allow', **kwargs}
        backends.append(CurveBackend(VISBACKENDS.build(backend)))
    given.setdefault('type', 'mmengine.Visualizer')  # a config need not have one
    given['name'] = f'curve_{identity}'
    from mmengine.registry import VISUALIZERS

    visualizer: Visualizer = VISUALIZERS.build({**given, 'save_dir': str(folder)})
    visualizer._vis_backends = {type(b.inner).__name__: b for b in backends}
    return visualizer


def begin_round(visualizer: Visualizer, offset: int) -> None:
    """Steps of the coming round count from `offset`."""
    for backend in visualizer._vis_backends.values():
        backend.offset = offset  # type: ignore[attr-defined]
