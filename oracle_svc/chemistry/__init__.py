"""Elements and compositions: names, masses, charges, and how far one composition is from another."""
