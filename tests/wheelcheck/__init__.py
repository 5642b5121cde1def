"""``make wheelcheck``: the wheel, installed into an empty environment on each Airflow, and what it does there.

An environment holds what the package asks for, and nothing that only the tests have. The last trial adds one extra.
"""
