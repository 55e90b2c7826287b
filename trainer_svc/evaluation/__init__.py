"""How good a policy is: fresh samples, headline metrics with intervals, second opinions."""
