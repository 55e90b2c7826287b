"""Whether a calculator keeps the rules that every calculator has to keep."""
