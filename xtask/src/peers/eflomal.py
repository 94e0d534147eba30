"""Aligns a text with eflomal in both directions, and prints how long it took as JSON.

Arguments: left and right file, model (1 or 3), and where the links of both directions go.
"""

import json, os, resource, sys, time
from importlib.metadata import version

import eflomal

left, right, model, forward, backward = sys.argv[1:]
begun = time.time()
with open(left) as source, open(right) as target:
    # Standard output is for the answer.
    kept = os.dup(1)
    os.dup2(2, 1)
    eflomal.Aligner(model=int(model)).align(
        source, target, links_filename_fwd=forward, links_filename_rev=backward, quiet=True
    )
    os.dup2(kept, 1)
seconds = time.time() - begun
memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
print(json.dumps({"version": version("eflomal"), "seconds": seconds, "peak_memory_bytes": memory}))
