"""The verbs of the command `digits`: what they take, and what they print."""
