"""What stands between the command line and the training: names of runs, checks, and errors in one line."""
