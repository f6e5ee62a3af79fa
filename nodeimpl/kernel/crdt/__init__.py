"""What parties share without a leader: values that merge, and the signed operations behind them."""
