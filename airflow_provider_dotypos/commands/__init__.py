"""The commands of ``airflow dotypos …``, one module each; ``cli`` lists them.

A command's module has ``options()``, which ``cli`` reads at every ``airflow`` call, and ``run(args)``, which returns
the exit code. So it imports nothing heavy before it runs.
"""
