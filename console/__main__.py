"""``python -m console`` and ``mlconsole``. Kill, the line for prompts and the interface start before the parser."""

import sys


def main() -> None:
    """Run one verb, or the interface without one, and exit with its code."""
    argv = sys.argv[1:]
    if "kill" in argv:
        from console.kill import run_kill  # noqa: PLC0415

        code = run_kill(argv)
    elif "--short" in argv:
        from console.prompt import run_short  # noqa: PLC0415

        code = run_short(argv)
    else:
        from console.bare import run_bare  # noqa: PLC0415

        code = run_bare(argv)
    if code is not None:
        sys.exit(code)
    from console.verbs import run  # noqa: PLC0415

    sys.exit(run(argv))


if __name__ == "__main__":
    main()
