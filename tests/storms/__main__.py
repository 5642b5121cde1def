"""``python -m tests.storms``. Its processes import the command by its name, which the main module hasn't."""

from tests.storms.command import main

if __name__ == "__main__":
    raise SystemExit(main())
