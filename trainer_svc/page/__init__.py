"""The live page: the runs of a trainer in a browser, as they grow.

`server` listens, on an event loop of its own; `app` says which address gives what; `gate` lets callers in;
`runs`, `structures` and `pareto` put into numbers what the files in ``static/`` draw.
"""
