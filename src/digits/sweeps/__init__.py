"""Many runs at once: which is best, and what went wrong."""
