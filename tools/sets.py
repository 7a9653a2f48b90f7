"""The inputs of the committed tables, and their evidence where it is known: test parts, in their loaders' order.

And those on which methods are tuned: as many items of each validation part, spread over it; their evidence is unread.
"""

import functools

import numpy as np


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


TUNED_ON = 64  # items of each validation part


def validation(network: str):
    """The inputs on which the methods are tuned for a network; none of them is in its test part."""
    import mnist1d_utils as m1
    import xai_utils as xu

    read = {
        "mnist1d": lambda: m1.split(m1.make_dataset(), "validation")[0],
        "schematic_faces": lambda: xu.schematic_faces(420, seed=2).images,
        "tissue_phantom": lambda: xu.tissue_phantom(240, seed=2).images,
        "hmt": lambda: xu.load_hmt("validation").images,
    }
    inputs = read[network]()
    return inputs[np.linspace(0, len(inputs) - 1, TUNED_ON).round().astype(int)].astype(np.float32)
