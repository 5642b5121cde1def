"""What takes longer than ``make test``: the promises under storms, seed after seed. ``make storms`` runs them.

A scenario is a function of a seed. To add one, register it in ``scenarios.SCENARIOS``.
"""
