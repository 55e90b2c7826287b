"""Science of a crystal: cells, neighbours, canonical forms, AMD vectors, elements, compositions, validity."""
