"""Pictures, drawn by matplotlib without its global state."""
