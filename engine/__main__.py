"""`candlemaker` and `python -m engine`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from engine.cli.commands import run
from engine.cli.parser import build
from engine.errors import CandlemakerError
from engine.settings import Settings


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """Run one command. What we refuse on purpose is one sentence and status 2, never a traceback."""
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        args = build(words).parse_args(words)
        return run(Settings.read(os.environ if environ is None else environ), args)
    except CandlemakerError as error:
        sys.stderr.write(f"candlemaker: {error}\n")
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
