"""Mutants of what is drawn over a panel, and of what the command line makes of a problem and an option."""

from mutant_groups.modules import COMMAND, LINES, PARSING, WORDS
from mutant_groups.mutant import group

GROUPS = {
    "lines": group(
        "test_plots.py", "outline or contour",
        (LINES, "np.pad(mask, 1)", "np.pad(mask, 1, constant_values=True)"),
        (LINES, "np.percentile(smooth, LEVELS)", "np.percentile(smooth, (20, 50, 80))"),
        (LINES, "image.mean(axis=-1)", "image[..., 0]"),
        (LINES, "(levels > smooth.min()) & ", ""),
        (LINES, 'mode="nearest"', 'mode="constant"'),
    ),
    "command": group(
        "test_command.py", "option or cure or line or help or listed",
        (WORDS, 'f"--option {problem.argument}"', "problem.argument"),
        (WORDS, "if name in OPTIONS:", "if False:"),
        (WORDS, "if name == argument else assigned[0]", "if True else assigned[0]"),
        (COMMAND, "if not sign or name not in known:", "if not sign:"),
        (COMMAND, "if name in options:", "if False:"),
        (COMMAND, "options[name] = ast.literal_eval(value)", "options[name] = value"),
        (COMMAND, 'name.strip().replace("-", "_")', "name.strip()"),
        (COMMAND, "row.function(network, inputs, target, **options)", "row.function(network, inputs, target)"),
        (PARSING, 'one.kind is one.KEYWORD_ONLY and one.name != "layer"', "one.kind is one.KEYWORD_ONLY"),
        (PARSING, 'add("--out", required=True', 'add("--out", required=False'),
    ),
}  # fmt: skip
