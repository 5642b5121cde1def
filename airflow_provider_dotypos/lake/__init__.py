"""A destination that has grown: its many sets read as one table, compacted, pruned, erased from, and looked over."""
