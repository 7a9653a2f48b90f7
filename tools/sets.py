"""The inputs of the committed tables, and their evidence where it is known: test parts, in their loaders' order."""

import functools


def hmt():
    """The 496 test tiles; nobody has outlined their evidence."""
    import xai_utils as xu

    return xu.load_hmt("test").images, None


@functools.cache
def tissue_phantom(count=100):
    """The first items of the phantom's test part, with their evidence."""
    import xai_utils as xu

    phantom = xu.tissue_phantom(count, seed=3)
    return phantom.images, phantom.masks


def schematic_faces():
    """The first 500 items of the drawn faces' test part, with their evidence."""
    import xai_utils as xu

    phantom = xu.schematic_faces(500, seed=3)
    return phantom.images, phantom.masks


def mnist1d():
    """The 1000 test signals, with their evidence."""
    import mnist1d_utils as m1

    data = m1.make_dataset()
    return m1.split(data, "test")[0], m1.evidence_masks(data)[1]
