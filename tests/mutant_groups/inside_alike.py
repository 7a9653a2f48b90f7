"""Mutants of neighbours among the features of a layer, and of the map of them."""

from mutant_groups.modules import NEIGHBOURS, WAYS
from mutant_groups.mutant import group

GROUPS = {
    "neighbours": group(
        "test_neighbours.py", "neighbours or features or default or directions",
        (NEIGHBOURS, "head = ways.operations[ways.last_heavy]", "head = ways.operations[ways.first_heavy]"),
        (NEIGHBOURS, "return Place(query, find_layer(query.recipe, layer).layer)",
         "return Place(query, find_layer(query.recipe, None).layer)"),
        (NEIGHBOURS, "if _is_pixels(stream.layer):", "if stream.layer is None:"),
        (NEIGHBOURS, "asked, among = _rows(asking), _rows(known)", "among, asked = _rows(asking), _rows(known)"),
        (NEIGHBOURS, "n_neighbors=k, metric=metric,", 'n_neighbors=k, metric="cosine",'),
        (NEIGHBOURS, "if k > size:", "if k >= size:"),
        (NEIGHBOURS, "return np.concatenate(rows).astype", "return np.concatenate(rows[::-1]).astype"),
        (NEIGHBOURS, "    _check_k(k, len(among))\n", ""),
        (WAYS, "len(self._heavy) - 1 - self._heavy[::-1].index(True)", "self._heavy[::-1].index(True)"),
    ),
    "layer_map": group(
        "test_neighbours.py", "map or knn or measures or pca or tsne",
        (NEIGHBOURS, "codes[_search(points, k, \"euclidean\").kneighbors(return_distance=False)]",
         "codes[_search(points, k, \"euclidean\").kneighbors(points, return_distance=False)]"),
        (NEIGHBOURS, "votes.argmax(axis=1) == codes", "votes.argmin(axis=1) == codes"),
        (NEIGHBOURS, "for code in range(codes.max() + 1)]", "for code in range(codes.max() + 1)[::-1]]"),
        (NEIGHBOURS, "PCA(2, svd_solver=\"full\").fit_transform(points)", "points[:, :2]"),
        (NEIGHBOURS, "TSNE(init=start,", 'TSNE(init="random",'),
        (NEIGHBOURS, "TSNE(init=start,", 'TSNE(init="pca",'),
        (NEIGHBOURS, "random_state=seed, method", "random_state=seed + 1, method"),
        (NEIGHBOURS, "if count <= EXACT else", "if count > EXACT else"),
        (NEIGHBOURS, "min(30.0, count / 4)", "min(30.0, count / 5)"),
        (NEIGHBOURS, "perplexity, 1, count / 3, \"high\")", "perplexity, 1, count / 3)"),
        (NEIGHBOURS, "for each in (plane, points))", "for each in (points, plane))"),
        (NEIGHBOURS, "(codes[near] == codes[:, None]).mean()", "(codes[before] == codes[:, None]).mean()"),
        (NEIGHBOURS, "trustworthiness(points, plane, n_neighbors=k)", "trustworthiness(plane, points, n_neighbors=k)"),
        (NEIGHBOURS, "k, 1, (count - 1) // 2)", "k, 1, count // 2)"),
    ),
}  # fmt: skip
