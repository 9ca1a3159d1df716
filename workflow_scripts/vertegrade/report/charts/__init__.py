"""The charts of the cohort's page: each a Vega-Lite specification, an SVG of it, and what the page shows of them."""
