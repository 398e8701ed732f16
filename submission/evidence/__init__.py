"""Measurements behind the decoder's claims, each a command over data files: `python -m submission.evidence.NAME`.

`symbols`: the same symbols under every setting; `rate`: coded bytes against information, integers against floats;
`steps`: wavefront against raster; `precision`: what bf16 costs; `efforts`: what refinement brings.
"""
