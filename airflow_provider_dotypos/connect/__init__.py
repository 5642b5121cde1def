"""Connect a cloud: a refresh token from Dotypos, by the page in Airflow's UI or by the command in a terminal.

Both share a ``journey``. The rooms ``page`` and ``terminal`` don't know each other.
"""
