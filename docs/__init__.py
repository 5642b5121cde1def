"""The site: ``make docs`` builds it of the Markdown pages here, and of the package's docstrings."""
