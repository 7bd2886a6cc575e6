"""`python -m chaos`: see `chaos.program`."""

import sys

if __name__ == "__main__":
    from chaos.program import main

    sys.exit(main())
