"""`python -m plgg`, the same as `plgg`."""

from plgg.cli import main

main()
