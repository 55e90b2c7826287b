"""Properties: one number per crystal, by predictors that ship, are installed, or lie in a file of the user's.

`density`, `volume_per_atom` and `band_gap` ship. An installed package adds its own through the entry point
group `xenolith.properties`; a single Python file, or a folder with a trained predictor, is named in the
oracle's `--properties`. docs/properties.md shows how.
"""

from oracle_svc.properties.base import FunctionProperty, Property, crystal_property

__all__ = ["FunctionProperty", "Property", "crystal_property"]
