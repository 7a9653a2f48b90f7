"""The bench of dissection and search: its concepts and crops, its arithmetic, and the way through fresh processes."""

import numpy as np

from benchmarks import inside

KEPT = {
    "load": 0.1,
    "dissection": {"passes": 10.0, "without_draws": 14.0, "with_draws": 61.0, "pictures": 1000},
    "strongest": {"raw": 9.0, "search": 10.5, "crops": 5000},
    "memory": {"fewer": 1000, "all": 1030, "crops": [1000, 5000]},
}


def test_the_page_judges_what_was_measured():
    """4 s beyond 10 s are 0.4 of the passes; 9 / 10.5 is 0.86; 1,030 MB are 3 % more than 1,000."""
    text = inside.section({"inside": KEPT})
    lines = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")][1:]
    cells = [(cell[2], cell[3].strip(" |")) for cell in lines]
    assert cells == [
        ("10.0", ""),
        ("14.0", "met"),
        ("61.0", "**missed**"),
        ("0.40", "met"),
        ("0.86", "**missed**"),
        ("0.030", "met"),
    ]
    assert "over 1000 pictures" in text and inside.section({}) == ""


def test_concepts_are_fifty_squares_of_five_categories_and_crops_the_same_in_each_pass():
    images = np.zeros((4, 150, 150, 3), np.float32)
    made = inside.concepts(images)
    assert len(made.names) == 50 and len(set(made.categories)) == 5 and made.areas.min() > 0
    assert all(len(set(made.maps[category][made.maps[category] > 0])) == 10 for category in made.maps)
    crops = inside.Crops(70)
    first, second = list(crops), list(crops)
    assert [len(batch) for batch in first] == [32, 32, 6]
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
    assert first[0].shape[1:] == (150, 150, 3) and np.ptp(first[0], axis=0).max() > 0.2


def test_every_part_measures_in_a_process_of_its_own():
    found = inside.measure(quick=True)
    assert set(found) == {"load", *inside.WHAT}
    assert found["dissection"]["with_draws"] > found["dissection"]["passes"] > 0
    assert found["strongest"]["search"] > 0 and found["memory"]["all"] >= found["memory"]["fewer"] > 100
    assert "## Inside a network" in inside.section({"inside": found})
