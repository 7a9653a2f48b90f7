"""Tables of the page."""

import re

NUMBER = re.compile(r"(-|[\d.e+-]+ ?%?( \[.*\])?)$")


def table(head, rows):
    """Markdown; columns of numbers to the right."""
    rows = list(rows)
    columns = zip(*rows, strict=True)
    marks = ["---:" if all(NUMBER.match(str(cell)) for cell in column) else "---" for column in columns]
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(marks) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)]) + "\n"
