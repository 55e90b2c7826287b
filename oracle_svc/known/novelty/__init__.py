"""What is known, and whether a crystal is: the index of known crystals, and the judges that compare two."""
