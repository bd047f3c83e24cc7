"""What a command line may say: its keys and values, the jobs of a sweep, errors in one line."""
