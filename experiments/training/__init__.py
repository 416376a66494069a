"""Studies of how training starts and proceeds."""
