"""The sandbox's API: routes, answers, the rules of writes, and the state behind them."""
