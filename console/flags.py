"""Parser of the global flags for the commands that start without the full command-line parser."""

from collections.abc import Iterable, Mapping

VALUED = {"--repo": "repo", "--config": "config"}
SWITCHES = {
    "--read-only": "read_only",
    "--no-kill": "no_kill",
    "--ascii": "ascii_only",
    "--json": "as_json",
    "--debug": "debug",
}


def split_flags(
    argv: Iterable[str], valued: Mapping[str, str], switches: Mapping[str, str]
) -> tuple[list[str], dict[str, str | bool]] | None:
    """Split arguments into words and options by name; ``None`` when a value is missing."""
    words: list[str] = []
    options: dict[str, str | bool] = {}
    rest = iter(argv)
    for word in rest:
        option, equals, value = word.partition("=")
        if option in valued:
            text = value if equals else next(rest, None)
            if text is None:
                return None
            options[valued[option]] = text
        elif word in switches:
            options[switches[word]] = True
        else:
            words.append(word)
    return words, options
