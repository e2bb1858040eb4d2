"""The facts behind the metric, folded from entries and proved."""
