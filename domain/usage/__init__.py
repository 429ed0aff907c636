"""How usage summaries are made: the question, the rows under each basis, coverage, and the sessions behind them."""
