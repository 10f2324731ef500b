"""`python -m rodna.cli`: the same as `rodna`."""

from rodna.cli.main import main

main()
