"""CHGNet with an own forward pass: graphs, network, the calculator, and its r2SCAN weights."""
