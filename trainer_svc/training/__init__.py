"""A run from start to end: the manager of runs, the set-up, the loop and the learner."""
