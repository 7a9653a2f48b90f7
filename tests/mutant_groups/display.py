"""Mutants of what is drawn over a panel, and of what the command line makes of a problem and an option."""

from mutant_groups.modules import COMMAND, COMMAND_WORDS, LINES, PARSING, SAVING, SCALES
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
    "tables": group(
        "test_report.py", "table or numbers",
        (SAVING, "any(letter.isalpha() for letter in text)", "False"),
        (SAVING, "return written or pd.api", "return pd.api"),
        (SAVING, "row[1:] for row in", "row for row in"),
        (SAVING, 'if "$" in "".join(cells) or ', "if "),
        (SAVING, "len({len(row) for row in known}) != 1", "False"),
        (SAVING, "any(sign for sign, _ in place)", "False"),
        (SAVING, "max(len(digits) for _, digits in place)", "min(len(digits) for _, digits in place)"),
        (SAVING, "(signed and not found[1])", "signed"),
        (SAVING, "digits - len(found[2])", "digits"),
        (SAVING, "iter([(False, 0), *widths])", "iter([*widths, (False, 0)])"),
        (SAVING, r"(?<!\\)\$.*?(?<!\\)\$|", ""),
        (SAVING, 'lambda found: "$-$" if found[0] == "-" else found[0]', 'lambda found: "$-$"'),
    ),
    "statement": group(
        "test_plots.py", "columns_continue or scale",
        (SCALES, 'f"Limit of each {one}:', 'f"Limit of each row:'),
    ),
    "command": group(
        "test_command.py", "option or cure or line or help or listed",
        (COMMAND_WORDS, 'f"--option {problem.argument}"', "problem.argument"),
        (COMMAND_WORDS, "if name in OPTIONS:", "if False:"),
        (COMMAND_WORDS, "if name == argument else assigned[0]", "if True else assigned[0]"),
        (COMMAND, "if not sign or name not in known:", "if not sign:"),
        (COMMAND, "if name in options:", "if False:"),
        (COMMAND, "options[name] = ast.literal_eval(value)", "options[name] = value"),
        (COMMAND, 'name.strip().replace("-", "_")', "name.strip()"),
        (COMMAND, "row.function(network, inputs, target, **options)", "row.function(network, inputs, target)"),
        (PARSING, 'one.kind is one.KEYWORD_ONLY and one.name != "layer"', "one.kind is one.KEYWORD_ONLY"),
        (PARSING, 'add("--out", required=True', 'add("--out", required=False'),
    ),
}  # fmt: skip
