"""Files of the folder that the rule `charts` writes, beside NAME.svg and NAME.vl.json of each figure."""

INDEX, SCRIPT = "charts.json", "vega.js"
