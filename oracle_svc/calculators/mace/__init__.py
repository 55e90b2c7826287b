"""MACE models with an own forward pass: fetching and converting weights, graphs, network, the calculator."""
