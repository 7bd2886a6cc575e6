"""`python -m turnwise.cli`, where the command `turnwise` is not on the path."""

from turnwise.cli import main

main()
