"""Mutants of the artefacts of phantoms and of their detection."""

from mutant_groups.modules import ARTEFACTS, DETECTION
from mutant_groups.mutant import group

GROUPS = {
    "artefacts": group(
        "test_phantoms.py", "local or of_old or border or blur_is or cast_is or no_item",
        (ARTEFACTS, "sigma = strength * _BLUR * side * (code + 1) / classes", "sigma = _BLUR * side * (code + 1) / classes"),
        (ARTEFACTS, "sigma = strength * _BLUR * side * (code + 1) / classes", "sigma = strength * _BLUR * side * code / classes"),
        (ARTEFACTS, "(sigma, sigma, 0)", "(sigma, sigma, sigma)"),
        (ARTEFACTS, 'mode="nearest"', 'mode="wrap"'),
        (ARTEFACTS, "1 - strength * _CAST * (1 - _hue(code, classes))", "1 - _CAST * (1 - _hue(code, classes))"),
        (ARTEFACTS, "1 - strength * _CAST * (1 - _hue(code, classes))", "1 - strength * _CAST * _hue(code, classes)"),
        (ARTEFACTS, "inner = round(_WIDTH * side)", "inner = 1 + round(_WIDTH * side)"),
        (ARTEFACTS, " & ~evidence", ""),
        (ARTEFACTS, "code / (classes - 1) if", "code / classes if"),
        (ARTEFACTS, "0.9 * _hue(code, classes)", "_hue(code, classes)"),
        (ARTEFACTS, "code / classes, 1.0, 1.0", "code / (classes - 1), 1.0, 1.0"),
        (ARTEFACTS, "np.where(mask[..., None], tone, image)", "np.where(mask[..., None], tone, 0 * image)"),
        (ARTEFACTS, "image + strength * (full - image)", "image + strength * full"),
        (ARTEFACTS, "image + strength * (full - image)", "full"),
    ),
    "detection": group(
        "test_detection.py", "",
        (DETECTION, "np.divide(mass, area,", "np.divide(mass, 1,"),
        (DETECTION, ".mean(axis=1)\n    return np.divide", ".sum(axis=1)\n    return np.divide"),
        (DETECTION, "flat = flat[flat.any(axis=1)]", "pass"),
        (DETECTION, "flat / flat.sum(axis=1, keepdims=True)", "flat / flat.sum()"),
        (DETECTION, "1 + (q * np.log", "-(q * np.log"),
        (DETECTION, "/ np.log(q.size)", ""),
        (DETECTION, "1 - false_alarms, method", "false_alarms, method"),
        (DETECTION, 'method="higher"', 'method="lower"'),
        (DETECTION, "statistic(validation[group])", "statistic(clean[group])"),
        (DETECTION, "statistic(each[group])", "np.mean(each[group])"),
        (DETECTION, "for group in groups]) for each in", "for group in _groups(len(suspect), k, generator)]) for each in"),
        (DETECTION, "values > threshold", "values >= threshold"),
        (DETECTION, "values > threshold", "values < threshold"),
        (DETECTION, "count * (count + 1) / 2", "count * (count - 1) / 2"),
        (DETECTION, "rankdata(np.concatenate([suspect, clean]", "rankdata(np.concatenate([clean, suspect]"),
        (DETECTION, "_auc(suspect[draws], clean[draws])", "_auc(suspect, clean)"),
        (DETECTION, "min(len(suspect), len(validation))", "len(validation)"),
        (DETECTION, "[: count // k * k]", "[: k]"),
    ),
}  # fmt: skip
