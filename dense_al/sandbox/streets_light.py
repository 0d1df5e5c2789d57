"""Light, weather and sensor of a generated street: what separates the two domains."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from dense_al.sandbox.streets_layout import Layout
from dense_al.sandbox.streets_surfaces import FAR, Camera, Canvas, sample
from dense_al.sandbox.streets_things import place

WEATHERS = ('clear', 'overcast', 'dusk')
HOOD = np.array([0.09, 0.1, 0.12], np.float32)


@dataclass(frozen=True)
class Light:
    """How a sequence is lit and recorded.

    Attributes:
        night: Whether lamps are the main light.
        gain: Brightness of the sky's light.
        tint: (3,) factor on red, green and blue.
        haze: (3,) colour of what is far away.
        sight: Metres after which 63 % of a colour is haze.
        sun: Direction of shadows, metres across per metre up; 0 is no sun.
        gamma: Exponent on the finished colours.
        blur: Standard deviation of the lens in pixels at a height of 96 pixels.
        noise: Standard deviation of the sensor's noise in 0..1.
        vignette: Loss of light in the corners, 0..1.
    """

    night: bool
    gain: float
    tint: np.ndarray
    haze: np.ndarray
    sight: float
    sun: float
    gamma: float
    blur: float
    noise: float
    vignette: float


def draw_light(rng: np.random.Generator, target: bool, night: bool) -> Light:
    """The light of one sequence; that of the source domain is nearly always the same."""
    if not target:
        gain = rng.uniform(0.95, 1.1)
        white, pale = np.ones(3, np.float32), np.array([0.8, 0.85, 0.9], np.float32)
        return Light(False, gain, white, pale, 400.0, 0.0, 1.0, 0.0, 0.008, 0.0)
    weather = WEATHERS[rng.choice(3, p=(0.45, 0.35, 0.2))]
    tint = rng.normal(0, 0.03, 3) + {'clear': 1.0, 'overcast': 0.95, 'dusk': 0.9}[weather]
    if weather == 'dusk':
        tint = tint * np.array([1.15, 0.92, 0.8])
    haze = np.array([0.72, 0.74, 0.76]) * rng.uniform(0.85, 1.1)
    gain = rng.uniform(0.8, 1.1) * (0.8 if weather == 'dusk' else 1.0)
    if night:
        tint, haze = np.array([0.75, 0.85, 1.1]), np.array([0.25, 0.25, 0.3])
        gain = rng.uniform(0.25, 0.45)
    return Light(
        night=night,
        gain=gain,
        tint=tint.astype(np.float32),
        haze=haze.astype(np.float32),
        sight=rng.uniform(100, 400),
        sun=0.0 if night or weather == 'overcast' else rng.choice((-1, 1)) * rng.uniform(0.3, 1.0),
        gamma=rng.uniform(0.7, 1.0),
        blur=rng.uniform(0.2, 0.5),
        noise=rng.uniform(0.02, 0.04) if night else rng.uniform(0.01, 0.025),
        vignette=rng.uniform(0.1, 0.4),
    )


def expose(
    canvas: Canvas,
    layout: Layout,
    camera: Camera,
    light: Light,
    frame: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Lights the canvas and records it.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    lamps = _lamps(canvas, layout, camera, frame) if light.night else np.float32(0)
    image = canvas.image * (light.gain * light.tint * _shadow(canvas, light)[..., None] + lamps)
    veil = (1 - np.exp(-np.minimum(canvas.depth, 150) / light.sight))[..., None]
    image = image * (1 - veil) + light.haze * light.gain * veil
    if light.night:
        image += canvas.glow
        # Lamps dazzle: bright spots spill over into what is around them.
        spread = 3.0 * canvas.label.shape[0] / 96
        image += 0.5 * gaussian_filter(canvas.glow, (spread, spread, 0))
    return _record(image, light, rng)


def _shadow(canvas: Canvas, light: Light) -> np.ndarray:
    """(H, W) factor: shadows of the houses on one side of the street, soft at the edge."""
    if light.sun == 0:
        return np.ones(canvas.label.shape, np.float32)
    edge = canvas.across * np.sign(light.sun) - 2.0 + 6.0 * abs(light.sun) * 0.3
    lower = edge - canvas.up * abs(light.sun) * 0.6
    return 1.0 - 0.5 / (1 + np.exp(-4 * lower))


def _lamps(canvas: Canvas, layout: Layout, camera: Camera, frame: int) -> np.ndarray:
    """(H, W, 3): light of the own headlights and of street lamps in view."""
    depth, across = canvas.depth, canvas.across - camera.x
    cone = np.exp(-((across / (1.0 + 0.22 * depth)) ** 2) - depth / 14 - canvas.up / 1.5)
    total = 0.75 * cone[..., None] * np.array([1.0, 0.95, 0.85], np.float32)
    for thing in layout.things:
        if thing.kind != 'pole' or thing.variant >= 0.7:
            continue
        x, z = place(thing, camera, frame)
        if 2 < z < FAR:
            away = (across - x * 0.8) ** 2 + (depth - z) ** 2 + (canvas.up - 2) ** 2
            pool = np.exp(-away / 30)[..., None]
            total = total + 0.55 * pool * np.array([1.0, 0.8, 0.5], np.float32)
    return total.astype(np.float32)


def _record(image: np.ndarray, light: Light, rng: np.random.Generator) -> np.ndarray:
    """Lens, sensor and quantisation."""
    height, width = image.shape[:2]
    if light.blur > 0:
        sigma = light.blur * height / 96
        image = gaussian_filter(image, (sigma, sigma, 0))
    rows = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    cols = np.linspace(-1, 1, width, dtype=np.float32)[None]
    image = image * (1 - 0.5 * light.vignette * (rows**2 + cols**2))[..., None]
    image = np.clip(image, 0, 1)
    if light.gamma != 1:
        image = image**light.gamma
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    image = image + noise * light.noise * (0.6 + 0.8 * np.sqrt(image))
    return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)


def sky_at_night(canvas: Canvas, light: Light, layout: Layout) -> None:
    """Darkens the sky, which sends out its own light by day only."""
    if light.night:
        far = canvas.up >= 100
        canvas.image[far] *= 0.35 + 0.1 * sample(layout.clumps, *np.nonzero(far))[:, None]


def paint_hood(canvas: Canvas, label: int) -> None:
    """The bonnet of the own car along the lower edge, of no class."""
    height, width = canvas.label.shape
    rows, cols = np.mgrid[:height, :width]
    curve = height * (0.955 + 0.05 * ((cols + 0.5) / width * 2 - 1) ** 2)
    mask = rows >= curve
    canvas.label[mask] = label
    canvas.image[mask] = HOOD
    canvas.glow[mask] = 0
