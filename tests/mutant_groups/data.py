"""Mutants of the phantoms."""

from mutant_groups.modules import PHANTOM_FACES, PHANTOM_TISSUE, PHANTOMS
from mutant_groups.mutant import group

GROUPS = {
    "confounded phantoms": group(
        "test_phantoms.py", "artefact or confounded_item",
        (PHANTOMS, "return label if agrees else (label + other) % classes", "return label if agrees else other"),
        (PHANTOMS, "random.uniform() < agreement", "random.uniform() > agreement"),
        (PHANTOMS, "random.integers(1, classes)", "random.integers(0, classes)"),
        (PHANTOMS, "random.integers(1, classes)", "random.integers(1, classes - 1)"),
        (PHANTOM_FACES, "return stamped[..., None], plate < 0.5", "return stamped[..., None], plate < -0.5"),
        (PHANTOM_FACES, "abs(_COLUMNS - 43) - 3.5", "abs(_COLUMNS - 33) - 3.5"),
        (PHANTOM_FACES, '"afgedc", "abc")[code]', '"afgedc", "abc")[0]'),
        (PHANTOM_TISSUE, "cover[..., 0] > 0", "cover[..., 0] > 0.5"),
        (PHANTOM_TISSUE, '149 - 22 if nuisance["patch_y"] < 74.5', '149 - 22 if nuisance["patch_y"] > 74.5'),
        (PHANTOM_TISSUE, "np.array([code / len(CLASS_NAMES), 1.0, 0.9])", "np.array([0.0, 1.0, 0.9])"),
    ),
    "parts at rest": group(
        "test_phantoms.py", "as_in_a_neutral",
        (PHANTOM_FACES, "for part in neutral for name", "for part in MOVING if neutral for name"),
        (PHANTOM_FACES, "{name: _AT_REST[name] for part", "{name: 0.0 for part"),
        (PHANTOMS, 'random["evidence"], **drawing', 'random["evidence"]'),
    ),
}  # fmt: skip
