"""What a crystal is: cells, neighbours, canonical forms, AMD vectors, elements and compositions, validity."""
