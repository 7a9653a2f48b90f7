"""How one schematic face is drawn; `heatproof.data.phantoms.schematic_faces` is the door.

Face coordinates: x to the right, y down, the unit is a pixel at scale 1, the origin is the middle of the head.
A layer is a pair (signed distance in these units, tone in [0, 1]): negative inside, so `max` intersects two
shapes and `min` joins them.
"""

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_dilation

CLASS_NAMES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
SHAPE = (48, 48, 1)
ARTEFACTS = ("digit", "border", "blur")  # the first is drawn here
PARTS = ("brow", "eye", "mouth", "nose", "glasses", "hair")

# name: (low, high, meaning); whole numbers draw one of a kind
NUISANCES = {
    "shift_x": (-2.5, 2.5, "head to the right, pixels"),
    "shift_y": (-2.0, 2.0, "head down, pixels"),
    "rotation": (-12.0, 12.0, "head turned clockwise, degrees"),
    "scale": (0.92, 1.08, "size of the head"),
    "head_width": (0.92, 1.05, "width of the head against its height"),
    "skin": (0.50, 0.84, "tone of the skin"),
    "hair": (0, 4, "0 bald, 1 short, 2 parted, 3 long, 4 curly"),
    "hair_tone": (0.08, 0.45, "tone of the hair"),
    "glasses": (0, 2, "0 and 1 none, 2 round"),
    "clothes": (0.15, 0.85, "tone of the shoulders"),
    "backdrop": (0.25, 0.90, "tone of the background"),
    "pattern": (0, 2, "background: 0 plain, 1 soft discs, 2 stripes"),
    "gaze": (-0.8, 0.8, "pupils to the right, pixels"),
    "strength": (0.65, 1.0, "strength of the expression: 0 would be neutral, 1 is the table's row"),
    "light": (0.0, 0.28, "strength of the light gradient"),
    "light_from": (0.0, 360.0, "direction of the light gradient, degrees"),
    "noise": (0.0, 0.02, "standard deviation of the pixel noise"),
}

# In pixels at scale 1, upwards positive: ends and arch of the brow; opening of the eye as a factor; half width,
# height of the corners, upper and lower opening, S-shaped wave and teeth of the mouth.  Beside each row: the
# action units (AU) of the Facial Action Coding System that it follows.
SHAPE_NAMES = "brow_inner brow_outer brow_arch eye width corners upper lower wave teeth".split()
EXPRESSIONS = {
    "angry": (-2.4, 1.6, 0.2, 0.72, 4.8, -1.7, 0.0, 0.0, 0.0, 0.0),  # AU 4, 7, 23
    "disgust": (-1.2, -0.4, 0.2, 0.42, 6.0, -0.6, 1.0, 0.6, 1.9, 0.0),  # AU 9, 10
    "fear": (2.8, -0.2, 0.2, 1.35, 6.2, -1.6, 1.2, 2.4, 0.0, 1.6),  # AU 1, 2, 4, 5, 20, 26
    "happy": (0.6, 0.4, 1.5, 0.72, 7.4, 3.4, 0.0, 4.4, 0.0, 2.0),  # AU 6, 12
    "sad": (2.4, -1.8, 0.2, 0.68, 4.8, -2.8, 0.0, 0.0, 0.0, 0.0),  # AU 1, 4, 15
    "surprise": (2.6, 2.0, 1.8, 1.42, 3.4, 0.0, 3.0, 4.2, 0.0, 0.0),  # AU 1, 2, 5, 26
    "neutral": (0.0, 0.0, 1.0, 1.0, 5.2, 0.0, 0.0, 0.0, 0.0, 0.0),
}

MOVING = {"brow": SHAPE_NAMES[:3], "eye": SHAPE_NAMES[3:4], "mouth": SHAPE_NAMES[4:]}  # what each part moves by
_AT_REST = dict(zip(SHAPE_NAMES, EXPRESSIONS["neutral"], strict=True))

_ROWS, _COLUMNS = np.mgrid[0:48, 0:48].astype(float)
_DARK, _WHITE = 0.06, 0.97


def draw(
    label: int,
    nuisance: dict,
    background: np.random.Generator,
    evidence: np.random.Generator,
    neutral: tuple[str, ...] = (),
) -> tuple[np.ndarray, np.ndarray]:
    """Return one face (48, 48, 1) and its mask (48, 48); `background` and `evidence` are generators.

    neutral: the parts of the expression that look as in a neutral face
    """
    shape = _expression(label, nuisance["strength"])
    shape |= {name: _AT_REST[name] for part in neutral for name in MOVING[part]}
    image, touched = draw_shape(shape, nuisance, background)
    return image, np.any(list(touched.values()), axis=0)


def draw_shape(
    shape: dict[str, float], nuisance: dict, background: np.random.Generator
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return one face (48, 48, 1) of any shape (a row of `EXPRESSIONS` by the names of its columns), and its masks.

    {part: mask (48, 48)} of brow, eye and mouth: what their strokes may touch, dilated by one pixel.
    """
    x, y = _face_coordinates(nuisance)
    scale = nuisance["scale"]
    expression = _expression_layers(x, y, shape, nuisance)
    layers = _body_layers(x, y, nuisance) + [layer for _, layer in expression] + _glasses_layers(x, y, nuisance)
    image = _paint(_backdrop(nuisance, background), layers, scale)
    image = image * _light(nuisance) + nuisance["noise"] * background.standard_normal(image.shape)
    touched = {name: np.zeros(x.shape, bool) for name in ("brow", "eye", "mouth")}
    for name, (distance, _) in expression:
        touched[name] |= distance * scale < 0.5
    grown = {name: binary_dilation(mask, np.ones((3, 3))) for name, mask in touched.items()}
    return np.clip(image, 0, 1)[..., None], grown


def parts(label: int, nuisance: dict) -> dict[str, np.ndarray]:
    """{name: mask (48, 48)} of the parts of the face that `draw` makes, each where it lies on top of all others.

    A pixel is a part's where its paint may reach: d < 1/2 pixel.
    """
    x, y = _face_coordinates(nuisance)
    shape, body = _expression(label, nuisance["strength"]), _body_layers(x, y, nuisance)
    behind, below = ["hair"] * (nuisance["hair"] == 3), ["", "", "", "", ""]  # shoulders, neck, ears, head, its skin
    names = [*behind, *below, *["hair"] * (len(body) - len(behind) - len(below) - 2), "nose", "nose"]
    layers = list(zip(names, body, strict=True))
    layers += _expression_layers(x, y, shape, nuisance)
    layers += [("glasses", layer) for layer in _glasses_layers(x, y, nuisance)]
    top = np.full(x.shape, "", dtype="<U7")
    for name, (distance, _) in layers:
        top[distance * nuisance["scale"] < 0.5] = name
    return {name: top == name for name in PARTS}


def add_artefact(image: np.ndarray, code: int, nuisance: dict) -> tuple[np.ndarray, np.ndarray]:
    """Write the digit code + 1, in seven segments, into the lower right corner; the mask is its plate."""
    left, right, top, middle, bottom = 41.5, 44.5, 37.5, 41.0, 44.5
    segments = {
        "a": ((left, right), (top, top)),
        "b": ((right, right), (top, middle)),
        "c": ((right, right), (middle, bottom)),
        "d": ((left, right), (bottom, bottom)),
        "e": ((left, left), (middle, bottom)),
        "f": ((left, left), (top, middle)),
        "g": ((left, right), (middle, middle)),
    }
    lit = ("bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc")[code]
    plate = np.maximum(abs(_COLUMNS - 43) - 3.5, abs(_ROWS - 41) - 5.5)
    paths = [[np.linspace(*ends, 9) for ends in segments[s]] for s in lit]
    strokes = [_stroke(_COLUMNS, _ROWS, path_x, path_y, 0.6) for path_x, path_y in paths]
    stamped = _paint(image[..., 0], [(plate, 0.15)] + [(stroke, _WHITE) for stroke in strokes], 1.0)
    return stamped[..., None], plate < 0.5


def _expression(label: int, strength: float) -> dict[str, float]:
    """neutral + strength (class - neutral), by the names of the columns."""
    neutral, full = np.array(EXPRESSIONS["neutral"]), np.array(EXPRESSIONS[CLASS_NAMES[label]])
    return dict(zip(SHAPE_NAMES, neutral + strength * (full - neutral), strict=True))


def _face_coordinates(nuisance: dict) -> tuple[np.ndarray, np.ndarray]:
    """Undo shift, rotation and scale of the head."""
    angle = np.radians(nuisance["rotation"])
    dx, dy = _COLUMNS - 23.5 - nuisance["shift_x"], _ROWS - 24.5 - nuisance["shift_y"]
    x = (np.cos(angle) * dx + np.sin(angle) * dy) / nuisance["scale"]
    y = (np.cos(angle) * dy - np.sin(angle) * dx) / nuisance["scale"]
    return x, y


def _paint(image: np.ndarray, layers: list, scale: float) -> np.ndarray:
    """Paint from back to front with coverage clip(1/2 - d, 0, 1), d in pixels."""
    for distance, tone in layers:
        image = image + np.clip(0.5 - distance * scale, 0, 1) * (tone - image)
    return image


def _ellipse(
    x: np.ndarray, y: np.ndarray, centre_x: float, centre_y: float, radius_x: float, radius_y: float
) -> np.ndarray:
    """First-order distance to an ellipse: f (f - 1) / |grad|, f the scaled radius."""
    u, v = (x - centre_x) / radius_x, (y - centre_y) / radius_y
    scaled = np.hypot(u, v)
    return scaled * (scaled - 1) / np.maximum(np.hypot(u / radius_x, v / radius_y), 1e-6)


def _stroke(
    x: np.ndarray, y: np.ndarray, path_x: npt.ArrayLike, path_y: npt.ArrayLike, radius: npt.ArrayLike
) -> np.ndarray:
    """Distance to a brush drawn along a path of points, `radius` wide there; 9 where no paint can reach."""
    reach = np.max(radius) + 1
    near = (x > np.min(path_x) - reach) & (x < np.max(path_x) + reach)
    near &= (y > np.min(path_y) - reach) & (y < np.max(path_y) + reach)
    distance = np.full(x.shape, 9.0)
    distance[near] = np.min(np.hypot(x[near, None] - path_x, y[near, None] - path_y) - radius, axis=-1)
    return distance


def _backdrop(nuisance: dict, random: np.random.Generator) -> np.ndarray:
    """A plain, dotted or striped wall."""
    centres, radii = random.uniform(0, 48, (2, 6)), random.uniform(5, 11, 6)
    angle, wave = random.uniform(0, np.pi), random.uniform(7, 12)
    discs = sum(
        np.clip(0.5 - (np.hypot(_COLUMNS - cx, _ROWS - cy) - r) / 3, 0, 1)
        for cx, cy, r in zip(*centres, radii, strict=True)
    )
    stripes = np.sin(2 * np.pi * (_COLUMNS * np.cos(angle) + _ROWS * np.sin(angle)) / wave)
    return nuisance["backdrop"] + (0 * stripes, 0.06 * discs, 0.05 * stripes)[nuisance["pattern"]]


def _light(nuisance: dict) -> np.ndarray:
    """A linear gradient, 1 in the middle of the picture."""
    angle = np.radians(nuisance["light_from"])
    return 1 + nuisance["light"] * ((_COLUMNS - 23.5) * np.cos(angle) + (_ROWS - 23.5) * np.sin(angle)) / 24


def _body_layers(x: np.ndarray, y: np.ndarray, nuisance: dict) -> list:
    """Shoulders, neck, ears, head, hair and nose: the same for every expression."""
    skin, tone, style = nuisance["skin"], nuisance["hair_tone"], nuisance["hair"]
    shade, line = 0.82 * skin, 0.55 * skin
    wide = x / nuisance["head_width"]
    jaw = wide * (1 + 0.010 * np.maximum(y, 0))
    head = _ellipse(jaw, y, 0, 0, 15, 18.5)
    neck = np.maximum(abs(x) - 5.5, 12 - y)
    nose = _stroke(x, y, np.linspace(0.4, 1.6, 9), 4.6 - 5.2 * np.linspace(1, 0, 9) ** 1.5, 0.45)
    nostril = _stroke(x, y, np.linspace(-1.2, 1.6, 9), 4.8 + 0.5 * np.sin(np.linspace(0, np.pi, 9)), 0.5)
    layers = [(_ellipse(x, y, 0, 32, 23, 12), nuisance["clothes"]), (neck, shade)]
    if style == 3:
        layers.insert(0, (_ellipse(wide, y, 0, 3, 18.5, 23), tone))
    ears = np.minimum(_ellipse(wide, y, -15, 0, 2.4, 3.8), _ellipse(wide, y, 15, 0, 2.4, 3.8))
    layers += [(ears, shade), (head - 0.5, line), (head + 0.5, skin)]
    layers += _hair_layers(wide, y, head, style, tone)
    return layers + [(nose, shade), (nostril, line)]


def _hair_layers(x: np.ndarray, y: np.ndarray, head: np.ndarray, style: int, tone: float) -> list:
    """The hair that lies over the head; all styles end above the highest brow."""
    cap = head - 1.6
    if style == 0:
        return []
    if style == 1:
        return [(np.maximum(cap, y + 12.8 - 0.010 * x**2), tone)]
    if style == 2:
        return [(np.maximum(cap - 0.5, y + 13.2 - 0.022 * (x - 5) ** 2), tone)]
    if style == 3:
        return [(np.maximum(cap - 0.8, y + 15.5 - 0.075 * x**2 + 0.004 * abs(x) ** 2.5), tone)]
    angles = np.radians(np.linspace(190, 350, 9))
    curls = np.min([_ellipse(x, y, 15 * np.cos(a), -2 + 16.5 * np.sin(a), 4, 4) for a in angles], axis=0)
    return [(curls, tone)]


def _glasses_layers(x: np.ndarray, y: np.ndarray, nuisance: dict) -> list:
    if nuisance["glasses"] < 2:
        return []
    rims = [abs(_ellipse(x, y, side * 6.4, -2.2, 5.0, 4.6)) - 0.45 for side in (-1, 1)]
    bridge = _stroke(x, y, np.linspace(-1.6, 1.6, 7), np.full(7, -2.8), 0.45)
    arms = [_stroke(x, y, side * np.linspace(11.4, 15, 7), np.full(7, -3.2), 0.45) for side in (-1, 1)]
    return [(np.min([*rims, bridge, *arms], axis=0), 0.1)]


def _expression_layers(x: np.ndarray, y: np.ndarray, shape: dict, nuisance: dict) -> list:
    """Brows, eyes and mouth, each layer with the name of its part: all that depends on the class."""
    layers = []
    for side in (-1, 1):
        layers += [("eye", layer) for layer in _eye_layers(side * x, y, shape, side * nuisance["gaze"])]
        layers.append(("brow", _brow_layer(side * x, y, shape)))
    return layers + [("mouth", layer) for layer in _mouth_layers(x, y, shape)]


def _brow_layer(x: np.ndarray, y: np.ndarray, shape: dict) -> tuple:
    along = np.linspace(0, 1, 15)
    height = (
        shape["brow_inner"] * (1 - along) + shape["brow_outer"] * along + shape["brow_arch"] * 4 * along * (1 - along)
    )
    return _stroke(x, y, 2.6 + 7.4 * along, -7.2 - height, 1.15 - 0.5 * along), _DARK


def _eye_layers(x: np.ndarray, y: np.ndarray, shape: dict, gaze: float) -> list:
    """White, pupil, its highlight and the upper lid."""
    height = 2.5 * shape["eye"]
    white = _ellipse(x, y, 6.4, -2.2, 3.4, height)
    pupil = np.maximum(np.hypot(x - 6.4 - gaze, y + 2.2) - 1.55, white)
    around = np.linspace(np.pi, 2 * np.pi, 17)
    lid = _stroke(x, y, 6.4 + 3.5 * np.cos(around), -2.2 + height * np.sin(around), 0.55)
    return [(white - 0.35, 0.35), (white, _WHITE), (pupil, _DARK), (lid, _DARK)]


def _mouth_layers(x: np.ndarray, y: np.ndarray, shape: dict) -> list:
    """Two lips over t in [-1, 1], the opening between them, and the teeth below the upper lip."""

    def lips(t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        middle = 10.4 + shape["corners"] * (0.4 - t**2) + shape["wave"] * np.sin(np.pi * t)
        opening = np.sqrt(np.maximum(1 - t**2, 0))
        return middle - shape["upper"] * opening, middle + shape["lower"] * opening

    width = shape["width"]
    upper, lower = lips(np.clip(x / width, -1, 1))
    inside = np.max([upper - y, y - lower, abs(x) - width], axis=0)
    teeth = np.maximum(inside, y - upper - shape["teeth"])
    along = np.sin(np.linspace(-np.pi / 2, np.pi / 2, 33))
    outline = np.minimum(*(_stroke(x, y, width * along, lip, 0.6) for lip in lips(along)))
    layers = [(inside, 0.18)]
    if shape["teeth"] > 0:
        layers.append((teeth, _WHITE))
    return layers + [(outline, _DARK)]
