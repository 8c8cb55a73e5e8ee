"""`python -m entrance.cli`, the same as `entrance`."""

from entrance.cli import main

main()
