"""Between the command line and the training: names of runs, checks, errors in one line."""
