"""The constructor fields of every class: types, names, validation."""
