"""Mutants of the strongest places, of what they read, and of the map of one activation."""

from mutant_groups.modules import CENTRES, ENDINGS, FIELDS, SEARCH, STREAMS, UNITS
from mutant_groups.mutant import group

ORDER = 'order = np.argsort(sources, axis=1, kind="stable")'
MERGED = "[np.hstack(pair) for pair in zip(self.kept, new, strict=True)] if self.kept else new"
LOW = "low, high = max(begin, 0), min(begin + size, side)"

GROUPS = {
    "strongest": group(
        "test_search.py", "strongest",
        (SEARCH, "return flat.argmax(axis=1)[:, None]", "return flat.argmin(axis=1)[:, None]"),
        (SEARCH, 'np.argsort(-flat, axis=1, kind="stable")', 'np.argsort(flat, axis=1, kind="stable")'),
        (SEARCH, '[:, : self.per_source]', '[:, : self.per_source - 1]'),
        (SEARCH, "items = np.broadcast_to(start + np.arange", "items = np.broadcast_to(np.arange"),
        (SEARCH, MERGED, "new"),
        (SEARCH, MERGED, MERGED.replace("zip(self.kept, new,", "zip(new, self.kept,")),
        (SEARCH, "np.where(_among_first(self.numbers[places[0]], self.per_source), values, -np.inf)", "values"),
        (SEARCH, "self.numbers[places[0]]", "places[0]"),
        (SEARCH, "rank < most, axis=1)", "rank <= most, axis=1)"),
        (SEARCH, "grouped[:, 1:] != grouped[:, :-1]", "grouped[:, 1:] == grouped[:, :-1]"),
        (SEARCH, "return [each[:, : self.k] for", "return [each[:, -self.k :] for"),
        (SEARCH, "np.unravel_index(places, self.sides)", "np.unravel_index(places, self.sides[::-1])"),
        (SEARCH, "if filled < self.k:", "if False:"),
        (SEARCH, "if k > groups * per_source:", "if k > groups:"),
        (SEARCH, "    check_sources(numbers, count)\n    return", "    return"),
        (STREAMS, "start += len(query.inputs)", "start += 1"),
        (STREAMS, "yield first + start, place,", "yield start, place,"),
        (STREAMS, "slice(start, start + self.batch_size)", "slice(start, start + self.batch_size - 1)"),
        (STREAMS, "bool(inputs) and np.ndim(inputs[0]) == rank", "bool(inputs)"),
        (STREAMS, "if before and before.inputs.shape[1:] != query.inputs.shape[1:]:", "if False:"),
    ),
    "patches": group(
        "test_search.py", "patch or field",
        (FIELDS, "moved = positions[..., axis - 1] * field.apart", "moved = positions[..., axis - 1]"),
        (FIELDS, "moved = positions[..., axis - 1] * field.apart", "moved = positions[..., 2 - axis] * field.apart"),
        (FIELDS, "np.floor(field.first + moved + 1e-6)", "np.floor(field.first + moved + 1)"),
        (FIELDS, "np.ceil(field.last + moved - 1e-6)", "np.ceil(field.last + moved - 1)"),
        (FIELDS, "np.ceil(field.last + moved - 1e-6)", "np.ceil(field.last + moved + 1)"),
        (FIELDS, LOW, LOW.replace("max(begin, 0)", "begin")),
        (FIELDS, "inner.append(slice(low - begin, max(low, high) - begin))", "inner.append(slice(0, max(low, high) - low))"),
        (FIELDS, "float(np.mean(query.input_range))", "float(np.min(query.input_range))"),
        (FIELDS, "query.inputs[items[at] - start]", "query.inputs[items[at]]"),
        (FIELDS, "if items.min() < 0 or items.max() >= count:", "if items.min() < 0 or items.max() > count:"),
        (FIELDS, "if any(field.gated for field in grid.fields):", "if False:"),
        (CENTRES, "return replace(self.through(side / parts, middle, middle), told=False)",
         "return self.through(side / parts, middle, middle)"),
        (CENTRES, "gated=field.gated or gated)", "gated=gated)"),
        (CENTRES, "any(source.shape[axis] == 1 != side for source in sources)", "any(False for source in sources)"),
    ),
    "unit_map": group(
        "test_unit_map.py", "",
        (UNITS, 'rule=None if rule == "gradient" else rule,', "rule=None,"),
        (UNITS, "ending=Positions.at(call.layer, channel)", "ending=Positions.at(call.layer, 0)"),
        (UNITS, "np.ravel_multi_index(tuple(np.moveaxis(array, -1, 0)), sides)",
         "np.ravel_multi_index(tuple(np.moveaxis(array, -1, 0))[::-1], sides[::-1])"),
        (UNITS, "places = None if position is None else", "places = 0 if position is None else"),
        (UNITS, "if (array < 0).any() or (array >= sides).any():", "if (array < 0).any() or (array > sides).any():"),
        (UNITS, "if None in sides:", "if False:"),
        (ENDINGS, "A = as_float(output)[..., self.channel]\n        return tf.reshape(A",
         "A = as_float(output)[..., self.channel]\n        return tf.reshape(-A"),
        (ENDINGS, "A = as_float(output)[..., self.channel]\n        return tf.reshape(A",
         "A = as_float(output)[..., 0]\n        return tf.reshape(A"),
    ),
}  # fmt: skip
