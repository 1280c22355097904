"""`csm` and `python -m csm.cli`: runs the commands, or says what the command line needs."""

import sys

_NEEDS = ("typer", "rich", "click")


def main() -> None:
    """Runs the command line; ends with 1 where it was not installed with the package."""
    try:
        from csm.cli.main import main as run
    except ModuleNotFoundError as error:
        if error.name not in _NEEDS:
            raise
        print(
            f"csm: the command line needs the package {error.name!r}; "
            "install csm-server[cli], for instance: pip install 'csm-server[cli]'",
            file=sys.stderr,
        )
        raise SystemExit(1) from None
    run()


if __name__ == "__main__":
    main()
