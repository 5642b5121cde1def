"""A fleet: what large users run, on this machine, with accidents (``make fleet``).

PostgreSQL, Redis, an S3 server, and Airflow with two API servers' processes, two Celery workers, a scheduler, a DAG
processor and a triggerer. All are plain processes on loopback, and end with their starter. Everything that they write
lies in one folder.
"""
