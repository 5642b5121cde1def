"""The sandbox's API: routes, answers, and the rules of writes."""
