"""``python -m tests.wheelcheck``."""

from tests.wheelcheck.command import main

if __name__ == "__main__":
    raise SystemExit(main())
