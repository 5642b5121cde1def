"""The commands of ``airflow dotypos …``.

A command is a module with ``options()``, which ``cli`` reads at every ``airflow`` call, and ``run(args)``, which
returns the exit code. So a command's module imports nothing heavy before it runs.
"""
