"""Mutants of the distance of a picture from a network's own."""

from mutant_groups.modules import FAMILIAR
from mutant_groups.mutant import group

GROUPS = {
    "familiar": group(
        "test_familiar.py", "not command",
        (FAMILIAR, "apart = found - familiar.mean", "apart = found"),
        (FAMILIAR, 'np.einsum("nk,kl,nl->n", apart, familiar.precision, apart)', "(apart**2).sum(axis=1)"),
        (FAMILIAR, "return np.sqrt(np.einsum", "return (np.einsum"),
        (FAMILIAR, "/ familiar.limit).astype", "* familiar.limit).astype"),
        (FAMILIAR, "np.linalg.inv(covariance + ridge)", "covariance + ridge"),
        (FAMILIAR, "np.quantile(apart, share)", "np.quantile(apart, 1 - share)"),
        (FAMILIAR, "np.cov(found.T)", "np.cov(found)"),
        (FAMILIAR, "axis=tuple(range(1, len(output.shape) - 1))", "axis=1"),
        (FAMILIAR, "inputs[start : start + batch_size]", "inputs[:batch_size]"),
        (FAMILIAR, "fits = shapes == ((), (), 2 * mean.shape)", "fits = True"),
        (FAMILIAR, "np.linalg.eigvalsh(precision).min() <= 0", "False"),
        (FAMILIAR, "if sizes.get(found.layer) != len(found.mean):", "if False:"),
    ),
}  # fmt: skip
