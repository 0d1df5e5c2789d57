"""Ground, facades and sky of a generated street, by casting one ray per pixel."""

from dataclasses import dataclass

import numpy as np

from dense_al.sandbox.streets_layout import CLASS, IGNORE, PERIOD, TILE, Blocks, Layout

EYE = 1.5  # height of the camera, metres
FAR = 45.0  # where the street ends, metres ahead
BACK = 1.9  # distance of the back row, in distances of the front row


@dataclass(frozen=True)
class Camera:
    """Where the camera stands and looks.

    Attributes:
        focal: Pixels.
        centre: Column and row of the vanishing point, pixels.
        x: Metres to the right of the middle of the road.
        z: Metres along the street.
    """

    focal: float
    centre: tuple[float, float]
    x: float
    z: float


@dataclass
class Canvas:
    """An image while it is drawn.

    Attributes:
        image: (H, W, 3) float32, colour without light, 0..1.
        label: (H, W) uint8.
        depth: (H, W) float32, metres ahead of the camera.
        across: (H, W) float32, metres to the right of the middle of the road.
        up: (H, W) float32, metres above the ground.
        glow: (H, W, 3) float32, light that a pixel sends out by itself at night.
    """

    image: np.ndarray
    label: np.ndarray
    depth: np.ndarray
    across: np.ndarray
    up: np.ndarray
    glow: np.ndarray

    @classmethod
    def empty(cls, height: int, width: int) -> 'Canvas':
        """A canvas full of sky at infinity."""
        flat = (height, width)
        return cls(
            image=np.zeros((*flat, 3), np.float32),
            label=np.full(flat, CLASS['sky'], np.uint8),
            depth=np.full(flat, 10 * FAR, np.float32),
            across=np.zeros(flat, np.float32),
            up=np.full(flat, 100.0, np.float32),
            glow=np.zeros((*flat, 3), np.float32),
        )

    def part(self, rows: slice, cols: slice) -> 'Canvas':
        """A canvas that draws into a part of this one."""
        arrays = (self.image, self.label, self.depth, self.across, self.up, self.glow)
        return Canvas(*(array[rows, cols] for array in arrays))

    def put(
        self,
        mask: np.ndarray,
        label: int | np.ndarray,
        colour: np.ndarray,
        depth: np.ndarray,
        across: np.ndarray,
        up: np.ndarray,
    ) -> None:
        """Draws (P,) values into the P pixels of a mask; `colour` is (P, 3)."""
        self.label[mask] = label
        self.image[mask] = colour
        self.depth[mask] = depth
        self.across[mask] = across
        self.up[mask] = up
        self.glow[mask] = 0


def sample(tile: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Looks a tile up at real coordinates, nearest cell, wrapping around."""
    row = np.floor(u).astype(np.int64) & (TILE - 1)
    col = np.floor(v).astype(np.int64) & (TILE - 1)
    return tile[row, col]


def paint_surfaces(canvas: Canvas, layout: Layout, camera: Camera) -> None:
    """Draws from far to near: sky, end of the street, back rows, front rows, ground."""
    height, width = canvas.label.shape
    rows, cols = np.mgrid[:height, :width].astype(np.float32)
    down = (rows - camera.centre[1]) / camera.focal
    right = (cols - camera.centre[0]) / camera.focal
    _paint_sky(canvas, layout, down, right)
    _paint_end(canvas, layout, camera, down, right)
    shown = np.full(down.shape, FAR, np.float32)
    split = int(np.clip(np.ceil(camera.centre[0]), 0, width))
    for row in (2, 3, 0, 1):
        wall = layout.front[row % 2] * (BACK if row > 1 else 1.0)
        offset = -wall - camera.x if row % 2 == 0 else wall - camera.x
        half = (slice(None), slice(None, split) if row % 2 == 0 else slice(split, None))
        angle = right[half]
        depth = offset / np.where(angle == 0, 1e-6, angle)
        blocks = layout.blocks[row]
        hit = _paint_row(canvas.part(*half), layout, blocks, camera, down[half], angle, depth)
        shown[half] = np.where(hit, depth, shown[half])
    with np.errstate(divide='ignore'):
        ground = np.where(down > 0, EYE / np.maximum(down, 1e-9), np.inf)
    _paint_ground(canvas, layout, camera, right, ground, (down > 0) & (ground < shown))


def _paint_sky(canvas: Canvas, layout: Layout, down: np.ndarray, right: np.ndarray) -> None:
    """A gradient with clouds."""
    fade = np.clip(1.0 + down * 1.2, 0, 1)[..., None]
    cloud = sample(layout.clumps, down * 25 + 7, right * 9)
    sky = layout.colours['sky'] * (0.85 + 0.15 * fade)
    canvas.image[:] = np.clip(sky + 0.05 * np.clip(cloud, 0, 1)[..., None], 0, 1)


def _paint_end(
    canvas: Canvas, layout: Layout, camera: Camera, down: np.ndarray, right: np.ndarray
) -> None:
    """What closes the street: houses or trees far away."""
    across = right * FAR + camera.x
    up = EYE - down * FAR
    bumps = sample(layout.clumps, across * 0.25 + 31, np.full_like(across, 5.0))
    mask = (up >= 0) & (up < layout.end[0] + 2.5 * bumps)
    leaves = layout.end[1] == 2
    base = layout.colours['leaves' if leaves else 'wall']
    grain = sample(layout.noise, across[mask] * 2, up[mask] * 2)
    colour = base * (1 + 0.15 * grain)[:, None]
    label = CLASS['vegetation' if leaves else 'building']
    depth = np.full(mask.sum(), FAR, np.float32)
    canvas.put(mask, label, colour, depth, across[mask], up[mask])


def _paint_row(
    canvas: Canvas,
    layout: Layout,
    blocks: Blocks,
    camera: Camera,
    down: np.ndarray,
    right: np.ndarray,
    depth: np.ndarray,
) -> np.ndarray:
    """Draws one row of facades and returns (H, W) bool: where it is hit."""
    near = depth < FAR
    along = np.where(near, (np.where(near, depth, 0) + camera.z) % PERIOD, 0)
    index = np.minimum(np.searchsorted(blocks.ends, along, side='right'), len(blocks.ends) - 1)
    up = EYE - down * np.where(near, depth, 0)
    kind = blocks.kind[index]
    ragged = np.where(kind == 2, sample(layout.clumps, along * 1.1, up * 0 + 3), 0)
    mask = near & (up >= 0) & (up < blocks.height[index] * (1 + 0.25 * ragged))
    kind, index, along, up = kind[mask], index[mask], along[mask], up[mask]
    z = depth[mask].astype(np.float32)
    across = right[mask] * z + camera.x
    smear = z / np.maximum(np.abs(right[mask]) * camera.focal, 1)  # metres along one pixel
    colour, glow = _facade(layout, blocks, index, kind, along, up, smear)
    label = np.array([CLASS['building'], CLASS['fence'], CLASS['vegetation'], IGNORE])[kind]
    canvas.put(mask, label, colour, z, across, up)
    canvas.glow[mask] = glow
    return mask


def _facade(
    layout: Layout,
    blocks: Blocks,
    index: np.ndarray,
    kind: np.ndarray,
    along: np.ndarray,
    up: np.ndarray,
    smear: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """(P, 3) colour and (P, 3) glow of facade pixels; patterns fade where a pixel outgrows them."""
    storey = blocks.storey[index]
    u, v = along / storey, up / storey
    house, fence = kind == 0, kind == 1
    cell = sample(layout.noise, np.floor(u) + 17 * index, np.floor(v))
    inside = (np.abs(u % 1 - 0.5) < 0.26) & (np.abs(v % 1 - 0.55) < 0.25) & house
    grain = sample(layout.noise, along * 6, up * 6)
    fine = np.clip(1.4 - smear / 0.3, 0, 1)
    shade = 1 + 0.07 * grain
    slats = np.where((along / 0.35) % 1 < 0.35, -0.4, 0.08) * np.clip(1.3 - smear / 0.35, 0.15, 1)
    shade = np.where(fence, 1 + slats + 0.05 * grain, shade)
    bricks = np.where((up / 0.5) % 1 < 0.2, -0.1, 0.02) * fine
    shade = np.where(house, shade + bricks, shade)
    colour = blocks.colour[index] * shade[:, None]
    pane = 0.2 + 0.22 * (cell + 1)[:, None] * layout.colours['sky']
    colour = np.where(inside[:, None], pane, colour)
    # Shops and billboards: bright rectangles that are still building.
    shop = house & (v < 1) & (v > 0.72) & (cell > 0.6)
    paint = np.stack([0.5 + 0.4 * np.sin(cell * k) for k in (9.0, 17.0, 31.0)], axis=1)
    colour = np.where(shop[:, None], paint, colour)
    colour = np.where((kind == 2)[:, None], leaves(layout, along, up), colour)
    lit = inside & (cell > 0.55)
    glow = lit[:, None] * np.array([0.75, 0.6, 0.3], np.float32) + 0.35 * shop[:, None] * paint
    return colour.astype(np.float32), glow.astype(np.float32)


def leaves(layout: Layout, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """(P, 3) colour of leaves at surface coordinates in metres: clumps with dark holes."""
    clump = sample(layout.clumps, u * 5, v * 5) + 0.4 * sample(layout.noise, u * 14, v * 14)
    return layout.colours['leaves'] * np.clip(1 + 0.4 * clump, 0.35, 1.7)[:, None]


def _paint_ground(
    canvas: Canvas,
    layout: Layout,
    camera: Camera,
    right: np.ndarray,
    depth: np.ndarray,
    mask: np.ndarray,
) -> None:
    """Road, sidewalks and grass; road and sidewalk differ in pattern more than in colour."""
    z = depth[mask].astype(np.float32)
    x = right[mask] * z + camera.x
    along = (z + camera.z) % PERIOD
    side = (x > 0).astype(np.int64)
    outer = np.asarray(layout.walk)[side]
    on_road = np.abs(x) < layout.road
    on_walk = ~on_road & (np.abs(x) < outer)
    smear = z * z / (EYE * camera.focal)
    grain = sample(layout.noise, x * 9, along * 9)
    patch = sample(layout.clumps, x * 1.3 + 40, along * 0.5)
    road = layout.colours['road'] * (1 + 0.08 * grain - 0.12 * (patch > 0.5))[:, None]
    line = (np.abs(x) < 0.09) & (along % 6 < 3)
    line |= np.abs(np.abs(x) - layout.road + 0.35) < 0.06
    road = np.where(line[:, None], 0.78, road)
    tile = sample(layout.noise, np.floor(x / 0.7), np.floor(along / 0.7))
    joint = ((x / 0.7) % 1 < 0.16) | ((along / 0.7) % 1 < 0.16)
    fine = np.clip(1.4 - smear / 0.7, 0.1, 1)
    shade = 1 + 0.04 * grain + fine * (0.1 * tile - 0.25 * joint)
    walk = layout.colours['sidewalk'] * shade[:, None]
    kerb = (np.abs(x) < layout.road + 0.2)[:, None]
    walk = np.where(kerb, layout.colours['sidewalk'] * 1.2, walk)
    streak = sample(layout.noise, x * 12, along * 3) + 0.5 * patch
    grass = layout.colours['grass'] * (1 + 0.18 * streak)[:, None]
    colour = np.where(on_road[:, None], road, np.where(on_walk[:, None], walk, grass))
    label = np.where(on_road, CLASS['road'], np.where(on_walk, CLASS['sidewalk'], CLASS['terrain']))
    canvas.put(mask, label, colour, z, x, np.zeros_like(z))
