"""The `entrance` command: start the service, submit jobs, follow and control them, read results."""


def main() -> None:
    """Runs the command line; the entry point of `entrance`."""
    from entrance.cli.app import run

    run()
