"""What experiment files say that they reach: read, trained again, and judged."""
