"""``python -m tests.release``."""

from tests.release.command import main

if __name__ == "__main__":
    raise SystemExit(main())
