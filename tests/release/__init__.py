"""``make release``: what goes to PyPI is built of a commit, checked, and left in ``dist/`` to be uploaded."""
