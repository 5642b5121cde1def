"""Writing back: what a plan holds, how it is made of rows, and how it is applied once.

Nothing here knows Airflow but sources, whose files and databases are those of its connections. What decides is pure, or
a flow that asks for its calls (see ``api.steps``).
"""
