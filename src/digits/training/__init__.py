"""Everything around the network while it trains: checkpoints, curves, progress, the run itself."""
