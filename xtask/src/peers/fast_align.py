"""Aligns a text with fast_align, as the package systran-align has it, and prints how long it took
as JSON.

Arguments: left and right file, model (1 or diagonal), where the links go, and a folder for the
probabilities.
"""

import json, os, sys, time
from importlib.metadata import version

import systran_align

left, right, model, links, folder = sys.argv[1:]
is_diagonal = model == "diagonal"
both, forward, backward = (
    os.path.join(folder, f"fast-align.{name}") for name in ("text", "forward", "backward")
)
begun = time.time()
with open(left) as source, open(right) as target:
    pairs = [(a.split(), b.split()) for a, b in zip(source, target)]
with open(both, "w") as file:
    for a, b in pairs:
        # Pairs with an empty side are no pairs to it.
        if a and b:
            print(" ".join(a), "|||", " ".join(b), file=file)
systran_align.generate_alignment_probabilities(
    both,
    forward,
    backward,
    favor_diagonal=is_diagonal,
    optimize_tension=is_diagonal,
    variational_bayes=True,
)
aligner = systran_align.Aligner(forward, backward)
with open(links, "w") as file:
    found = aligner.align_batch([a for a, _ in pairs], [b for _, b in pairs])
    for pair in found:
        print(" ".join(f"{i}-{j}" for i, j in pair["alignments"]), file=file)
print(json.dumps({"version": version("systran-align"), "seconds": time.time() - begun}))
