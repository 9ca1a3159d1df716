"""benchmarks/scale.py as a module: how it makes a finished run of empty files."""

import importlib.util

from workflow.runs import ROOT

spec = importlib.util.spec_from_file_location("scale", ROOT / "benchmarks/scale.py")
assert spec
assert spec.loader
scale = importlib.util.module_from_spec(spec)
spec.loader.exec_module(scale)
