"""Why a library's answer to a case by hand is another, by the library and the key of the case."""

REASONS: dict[tuple[str, str], str] = {}
