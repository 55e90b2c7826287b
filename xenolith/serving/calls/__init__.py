"""Everything that happens around a call that a server takes; `interceptors` says in which order."""
