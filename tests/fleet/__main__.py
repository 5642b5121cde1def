"""``python -m tests.fleet``."""

from tests.fleet.command import main

if __name__ == "__main__":
    raise SystemExit(main())
