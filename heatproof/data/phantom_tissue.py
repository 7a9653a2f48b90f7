"""How one tissue tile is drawn; `heatproof.data.phantoms.tissue_phantom` is the door.

A tile is two maps of stain, haematoxylin H (blue, nuclei) and eosin E (pink, the rest), turned into colour by
the law of Beer and Lambert.  Neutral tissue fills the tile; in the patch the row of the class replaces it.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree
from skimage.color import hsv2rgb

CLASS_NAMES = ("tumor", "stroma", "complex", "lympho", "debris", "mucosa", "adipose", "empty")
SHAPE = (150, 150, 3)
ARTEFACTS = ("ink", "border", "blur", "cast")  # the first is drawn here

# name: (low, high, meaning); whole numbers draw one of a kind
NUISANCES = {
    "patch_x": (26.0, 123.0, "column of the patch's centre, pixels"),
    "patch_y": (26.0, 123.0, "row of the patch's centre, pixels"),
    "patch_radius": (31.0, 41.0, "mean radius of the patch, pixels"),
    "patch_waviness": (0.04, 0.13, "waves of the patch's outline, as a share of the radius"),
    "rotation": (0.0, 360.0, "direction of fibres and grids in the patch, degrees"),
    "haematoxylin": (0.80, 1.25, "strength of the blue stain"),
    "eosin": (0.75, 1.25, "strength of the pink stain"),
    "hue": (-0.08, 0.08, "red in the blue stain and blue in the pink one"),
    "brightness": (0.88, 1.0, "white of the lamp"),
    "density": (0.0, 1.0, "how many of its possible nuclei the neutral tissue has"),
    "cloudiness": (0.03, 0.09, "unevenness of the neutral tissue"),
    "noise": (0.0, 0.02, "standard deviation of the pixel noise"),
}


Depth = Callable[[np.ndarray, np.ndarray], np.ndarray]  # of points (columns, rows)


class Tissue(NamedTuple):
    """One row of the table: stain of the ground, and what lies on it (lengths in pixels, 0 for none)."""

    haematoxylin: float | np.ndarray  # ground
    eosin: float | np.ndarray  # ground
    clouds: float = 0.0  # unevenness of the ground
    fibres: float = 0.0  # wavy bundles, amplitude in eosin
    fat: float = 0.0  # distance between fat cells
    glands: float = 0.0  # distance between glands
    spacing: float = 0.0  # distance between nuclei
    radius: float = 0.0  # of a nucleus
    spread: float = 0.0  # of that radius, relative
    length: float = 1.0  # long axis of a nucleus against its short axis
    stain: float = 0.0  # haematoxylin of a nucleus
    pale: float = 0.0  # how much paler its middle is


TISSUES = {
    "tumor": Tissue(0.42, 0.50, clouds=0.08, spacing=10, radius=4.0, spread=0.2, length=1.35, stain=1.5, pale=0.4),
    "stroma": Tissue(0.02, 0.85, clouds=0.05, fibres=0.30, spacing=19, radius=1.9, spread=0.1, length=4.0, stain=1.4),
    "complex": Tissue(0.05, 0.75, clouds=0.05, fibres=0.18, spacing=10, radius=2.5, spread=0.35, length=1.3, stain=1.6),
    "lympho": Tissue(0.20, 0.25, clouds=0.05, spacing=6.4, radius=2.5, spread=0.08, length=1.0, stain=1.9),
    "debris": Tissue(0.20, 0.50, clouds=0.35, spacing=6.0, radius=1.0, spread=0.5, length=1.2, stain=1.8),
    "mucosa": Tissue(0.08, 0.60, clouds=0.06, glands=26, spacing=3.3, radius=1.8, spread=0.1, length=1.8, stain=1.5),
    "adipose": Tissue(0.03, 0.85, fat=19, spacing=38, radius=1.4, spread=0.1, length=2.2, stain=1.5),
    "empty": Tissue(0.0, 0.0),
}
_NEUTRAL = Tissue(0.07, 0.42, spacing=21, radius=2.4, spread=0.15, length=1.5, stain=0.8)

# Optical densities (natural logarithm) of red, green and blue per unit of stain: unit vectors close to those
# that the method of Macenko et al. (ISBI 2009, p. 1107) finds on slides
_HAEMATOXYLIN, _EOSIN = np.array((0.56, 0.72, 0.41)), np.array((0.22, 0.80, 0.56))
_ROWS, _COLUMNS = np.mgrid[0:150, 0:150].astype(float)


def draw(
    label: int, nuisance: dict, background: np.random.Generator, evidence: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return one tile (150, 150, 3) and its mask (150, 150); `background` and `evidence` are generators."""
    return draw_row(TISSUES[CLASS_NAMES[label]], nuisance, background, evidence)


def draw_row(
    row: Tissue, nuisance: dict, background: np.random.Generator, evidence: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return a tile whose patch holds any tissue, and its mask, as `draw` does."""
    blue, pink, inside = _stains(row, _NEUTRAL, nuisance, background, evidence)
    image = _stain(blue, pink, nuisance)
    image += nuisance["noise"] * background.standard_normal(image.shape, np.float32)
    return np.clip(image, 0, 1), inside


def parts(label: int, nuisance: dict, generators: Callable) -> dict[str, np.ndarray]:
    """{name: mask (150, 150)} of the nuclei, glands, lumina and fat cells of the tile that `draw` makes.

    `generators()` gives the two generators of `draw`, new ones each time. A structure is found by what it hides: the
    tile is drawn again with more of one stain in its nuclei, then with more in its ground. The difference is that much
    times the cover of the nuclei, or times what no gland and no fat cell takes away.
    """
    more, row = 5.0, TISSUES[CLASS_NAMES[label]]
    dyed = row._replace(stain=row.stain + more), _NEUTRAL._replace(stain=_NEUTRAL.stain + more)
    ground = row._replace(eosin=row.eosin + more), _NEUTRAL._replace(eosin=_NEUTRAL.eosin + more)
    blue, pink, inside = _stains(row, _NEUTRAL, nuisance, *generators())
    nuclei = _stains(*dyed, nuisance, *generators())[0] - blue > 0.3 * more
    bare = inside & (_stains(*ground, nuisance, *generators())[1] - pink < 0.2 * more)
    found = {"nucleus": nuclei, "fat cell": bare & (row.fat > 0), "gland": bare & (row.glands > 0)}
    return found | {"lumen": found["gland"] & (pink < 0.1)}


def _stains(
    row: Tissue, neutral: Tissue, nuisance: dict, background: np.random.Generator, evidence: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Haematoxylin and eosin of a tile, and its patch, all (150, 150)."""
    depth = _patch_depth(nuisance, background)
    blue, pink = _neutral_tissue(neutral, nuisance, background)
    depths = depth(_COLUMNS, _ROWS)
    inside = depths > 0
    columns, rows = _COLUMNS[inside], _ROWS[inside]
    edge = np.clip(depths[inside] / 3, 0, 1)
    patch_blue, patch_pink = _class_tissue(row, columns, rows, depth, nuisance, evidence)
    blue[inside] += edge * (patch_blue - blue[inside])
    pink[inside] += edge * (patch_pink - pink[inside])
    return blue, pink, inside


def add_artefact(image: np.ndarray, code: int, nuisance: dict) -> tuple[np.ndarray, np.ndarray]:
    """Spill clear ink of hue code / 8 into the corner farthest from the patch; the mask is the spill.

    The patch reaches at most 52.9 pixels from its centre, and the spill comes no nearer to it: they never overlap.
    """
    centre_x = 149 - 22 if nuisance["patch_x"] < 74.5 else 22
    centre_y = 149 - 22 if nuisance["patch_y"] < 74.5 else 22
    angle = np.arctan2(_ROWS - centre_y, _COLUMNS - centre_x)
    radius = 18 + 18 / 11 * (1.2 * np.sin(3 * angle) + 0.8 * np.cos(5 * angle))
    cover = np.clip(0.5 + radius - np.hypot(_ROWS - centre_y, _COLUMNS - centre_x), 0, 1)[..., None]
    ink = hsv2rgb(np.array([code / len(CLASS_NAMES), 1.0, 0.9]))
    return image * (1 - cover * (1 - ink)), cover[..., 0] > 0


def _stain(blue: np.ndarray, pink: np.ndarray, nuisance: dict) -> np.ndarray:
    """Beer and Lambert: I = I_0 exp(-(H v_H + E v_E))."""
    haematoxylin = nuisance["haematoxylin"] * (_HAEMATOXYLIN + nuisance["hue"] * np.array((1, 0, 0)))
    eosin = nuisance["eosin"] * (_EOSIN + nuisance["hue"] * np.array((0, 0, 1)))
    return nuisance["brightness"] * np.exp(-(blue[..., None] * haematoxylin + pink[..., None] * eosin))


def _patch_depth(nuisance: dict, random: np.random.Generator) -> Depth:
    """A function that tells how deep a point lies in the patch, pixels along the radius; negative outside."""
    orders = np.arange(2, 6)
    phases = random.uniform(0, 2 * np.pi, orders.size)
    weights = nuisance["patch_waviness"] * random.uniform(0.3, 1, orders.size) / orders**0.5

    def depth(columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
        dx, dy = columns - nuisance["patch_x"], rows - nuisance["patch_y"]
        angle = np.arctan2(dy, dx)
        waves = sum(w * np.cos(k * angle + p) for w, k, p in zip(weights, orders, phases, strict=True))
        return nuisance["patch_radius"] * (1 + waves) - np.hypot(dx, dy)

    return depth


def _neutral_tissue(row: Tissue, nuisance: dict, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Pale, cloudy tissue with a few nuclei; it fills the whole tile and looks the same for every class."""
    clouds = nuisance["cloudiness"] * (_smooth_noise(random, 9) + 0.5 * _smooth_noise(random, 2.5))
    row = row._replace(haematoxylin=row.haematoxylin + 0.3 * clouds, eosin=row.eosin + clouds)
    centres = _jittered_grid(row.spacing, 110, random) + 74.5
    centres = centres[random.uniform(size=len(centres)) < nuisance["density"]]
    angles = random.uniform(0, np.pi, len(centres))
    blue, pink = _add_nuclei(
        np.ravel(row.haematoxylin),
        np.ravel(row.eosin),
        _COLUMNS.ravel(),
        _ROWS.ravel(),
        row,
        centres,
        angles,
        random,
    )
    return blue.reshape(150, 150), pink.reshape(150, 150)


def _class_tissue(
    row: Tissue, columns: np.ndarray, rows: np.ndarray, depth: Depth, nuisance: dict, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The stain of one class at the given points of the patch."""
    turn = np.radians(nuisance["rotation"])
    middle = np.array((nuisance["patch_x"], nuisance["patch_y"]))
    rotate = np.array(((np.cos(turn), np.sin(turn)), (-np.sin(turn), np.cos(turn))))
    index = rows.astype(int), columns.astype(int)
    clouds = row.clouds * (_smooth_noise(random, 6) + _smooth_noise(random, 1.5))[index]
    blue, pink = row.haematoxylin * (1 + clouds), row.eosin * (1 + clouds)
    centres = np.empty((0, 2))
    angles = turn
    if row.spacing:
        centres = _jittered_grid(row.spacing, 50, random) @ rotate + middle
        angles = turn + (0.15 if row.fibres else np.pi) * random.standard_normal(len(centres))
    if row.fibres:
        pink = pink + row.fibres * _fibres(columns, rows, middle, turn, random)
    if row.fat:
        blue, pink = _add_fat(
            blue, pink, columns, rows, row, _jittered_grid(row.fat, 60, random) @ rotate + middle, depth
        )
    if row.glands:
        glands = _jittered_grid(row.glands, 60, random, jitter=0.05) @ rotate + middle
        glands = glands[depth(*glands.T) > 8]
        blue, pink, centres, angles = _add_glands(blue, pink, columns, rows, row, glands)
    deep = depth(*centres.T) > row.radius * row.length**0.5
    angles = np.broadcast_to(angles, len(centres))[deep]
    return _add_nuclei(blue, pink, columns, rows, row, centres[deep], angles, random)


def _smooth_noise(random: np.random.Generator, sigma: float) -> np.ndarray:
    """White noise through a Gaussian of that sigma, with standard deviation 1."""
    noise = gaussian_filter(random.standard_normal((150, 150), np.float32), sigma, mode="wrap", truncate=3)
    return noise / noise.std()


def _jittered_grid(spacing: float, reach: float, random: np.random.Generator, jitter: float = 0.25) -> np.ndarray:
    """Points (x, y) of a hexagonal grid around the origin, each moved by up to `jitter` spacings."""
    steps = np.arange(-(reach // spacing) - 1, reach // spacing + 2)
    x, y = np.meshgrid(steps, steps)
    grid = spacing * np.stack((x + 0.5 * (y % 2), 0.87 * y), -1).reshape(-1, 2)
    return grid + spacing * random.uniform(-jitter, jitter, grid.shape)


def _add_nuclei(
    blue: np.ndarray,
    pink: np.ndarray,
    columns: np.ndarray,
    rows: np.ndarray,
    row: Tissue,
    centres: np.ndarray,
    angles: np.ndarray,
    random: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Ellipses of haematoxylin; of its three nearest nuclei a pixel takes the one it is deepest in."""
    radii = row.radius * np.exp(row.spread * random.standard_normal(len(centres)))
    # the last entry stands for "no nucleus in reach"
    centres, radii, angles = np.vstack((centres, (1e6, 1e6))), np.append(radii, 1), np.append(angles, 0)
    reach = radii.max() * row.length**0.5 + 1
    points = np.stack((columns, rows), -1)
    distances, nearest = cKDTree(centres[:-1]).query(points, k=3, distance_upper_bound=reach)
    near = np.isfinite(distances[:, 0])
    nearest = nearest[near]
    dx, dy = np.moveaxis(points[near, None] - centres[nearest], -1, 0)
    cos, sin, radius = np.cos(angles)[nearest], np.sin(angles)[nearest], radii[nearest]
    scaled = np.hypot((cos * dx + sin * dy) / row.length**0.5, (cos * dy - sin * dx) * row.length**0.5) / radius
    best = np.argmin((scaled - 1) * radius, axis=1)[:, None]
    scaled, radius = np.take_along_axis(scaled, best, 1)[:, 0], np.take_along_axis(radius, best, 1)[:, 0]
    cover, stain = np.zeros(len(blue)), np.zeros(len(blue))
    cover[near] = np.clip(0.5 - (scaled - 1) * radius, 0, 1)
    stain[near] = row.stain * (1 - row.pale * np.clip(1 - scaled**2, 0, 1))
    return blue + cover * (stain - blue), pink * (1 - 0.5 * cover)


def _fibres(
    columns: np.ndarray, rows: np.ndarray, middle: np.ndarray, turn: float, random: np.random.Generator
) -> np.ndarray:
    """Collagen: noise that is smooth along the direction `turn` and rough across it, bent into waves."""
    field = random.standard_normal((150, 150), np.float32)
    field = gaussian_filter(field, (1.3, 11), mode="wrap", truncate=3)
    dx, dy = columns - middle[0], rows - middle[1]
    along, across = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
    waves = 2.5 * np.sin(2 * np.pi * along / 34 + random.uniform(0, 2 * np.pi))
    return map_coordinates(field / field.std(), (across + waves, along), order=1, mode="grid-wrap")


def _add_fat(
    blue: np.ndarray,
    pink: np.ndarray,
    columns: np.ndarray,
    rows: np.ndarray,
    row: Tissue,
    centres: np.ndarray,
    depth: Depth,
) -> tuple[np.ndarray, np.ndarray]:
    """Empty cells of a Voronoi diagram; stain stays in the walls between them and around the patch."""
    distances, _ = cKDTree(centres).query(np.stack((columns, rows), -1), k=2)
    wall = np.minimum((distances[:, 1] - distances[:, 0]) / 2, depth(columns, rows) - 1.5)
    remains = np.clip(1.6 - wall, 0, 1)
    return blue * remains, pink * remains


def _add_glands(
    blue: np.ndarray, pink: np.ndarray, columns: np.ndarray, rows: np.ndarray, row: Tissue, glands: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Crypts: a pale lumen, a ring of light mucus, and nuclei that stand radially on the outer rim."""
    outer, lumen = 0.44 * row.glands, 0.12 * row.glands
    distance, _ = cKDTree(glands).query(np.stack((columns, rows), -1))
    ring, hole = np.clip(0.5 + outer - distance, 0, 1), np.clip(0.5 + lumen - distance, 0, 1)
    blue = (blue + ring * (0.12 - blue)) * (1 - hole)
    pink = (pink + ring * (0.28 - pink)) * (1 - hole)
    around = np.arange(0, 2 * np.pi, row.spacing / (outer - 2))
    rim = np.stack((np.cos(around), np.sin(around)), -1) * (outer - 2)
    centres = (glands[:, None] + rim).reshape(-1, 2)
    return blue, pink, centres, np.tile(around, len(glands))
