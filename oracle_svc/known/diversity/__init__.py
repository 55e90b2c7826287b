"""What each structure of a batch does for the batch's diversity."""
