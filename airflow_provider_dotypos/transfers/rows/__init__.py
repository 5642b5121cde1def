"""An entity's rows: their columns, their values, their nested lists."""
