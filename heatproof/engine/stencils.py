"""Which part of an input is shown: masks made of tiny codes, by operations of the graph in which the network runs.

A stencil takes the `space` of an input, the constants of the input and the codes of n masks, and gives masks
(n, *space): of bools, or of floats in [0, 1]. Whole numbers are int64: TensorFlow computes those of 32 bits on the
host.
"""

import tensorflow as tf


def random_cells(space, tables, codes):
    """Grids of `cells`, enlarged and cut out from `starts` on; `tables`: for each axis `neighbours` of all places."""
    mask, starts = tf.cast(codes[0], tf.float32), codes[1]
    for axis in range(len(space)):
        places = starts[:, axis, None] + tf.range(space[axis])
        before, share = (tf.gather(table, places) for table in tables[2 * axis : 2 * axis + 2])
        mask = between(mask, axis + 1, before, share)
    return mask


def enlarged_maps(_, constants, codes):
    """Those of the maps (K, ...) whose `numbers` are asked for; after the maps come `neighbours` for each axis."""
    maps, *tables = constants
    mask = tf.gather(maps, codes[0])
    for axis in range(len(tables) // 2):
        mask = between(mask, axis + 1, *tables[2 * axis : 2 * axis + 2])
    return mask


def unit_maps(_, constants, codes):
    """The same, each then scaled to [0, 1]; 0 where it is constant."""
    mask = enlarged_maps(_, constants, codes)
    axes = list(range(1, mask.shape.rank))
    low, high = (find(mask, axes, keepdims=True) for find in (tf.reduce_min, tf.reduce_max))
    return tf.math.divide_no_nan(mask - low, high - low)


def between(maps, axis, before, share):
    """Maps (n, ...) enlarged along an axis, to places between two neighbours: (side,) for all of them, or (n, side)."""
    rows = before.shape.rank - 1
    after = tf.minimum(before + 1, tf.shape(maps, tf.int64)[axis] - 1)
    low, high = (tf.gather(maps, each, axis=axis, batch_dims=rows) for each in (before, after))
    for _ in range(maps.shape.rank - axis - 1):
        share = share[..., None]
    for _ in range((axis - 1) * rows):
        share = share[:, None]
    return low * (1 - share) + high * share


def shown_segments(_, constants, codes):
    """The positions whose segment, told by the `labels`, is shown in a row (n, segments) of bools."""
    return tf.gather(codes[0], constants[0], axis=1)


def within_windows(space, constants, codes):
    """The positions in windows of one size, which begin at `corners` (n, axes)."""
    sizes, corners = constants[0], codes[0]
    inside = tf.ones(tf.shape(corners)[:1], tf.bool)
    for axis in range(len(space)):
        apart = tf.range(space[axis]) - corners[:, axis, None]
        within = (apart >= 0) & (apart < sizes[axis])
        inside = inside[..., None] & tf.reshape(within, (-1, *[1] * axis, space[axis]))
    return inside


def first_ranks(_, constants, codes):
    """The positions that are among the first `counts` in the order of their ranks."""
    ranks, counts = constants[0], codes[0]
    return ranks < tf.reshape(counts, (-1, *[1] * ranks.shape.rank))
