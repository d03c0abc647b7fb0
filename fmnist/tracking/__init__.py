"""Dashboards: what they are told of a run while it trains and at its end."""
