"""How a batch is scored: it goes through a row of stages (`stages.STAGES`), and each adds what it measures.

`scorer` says what can be measured and against what; `resources` holds what all batches share; `batch` is one
batch with what is known of it so far. A stage finds what earlier ones left in the batch.
"""
