"""The real-space network that finishes decoded crystals: it knows the elements and sees distances."""
