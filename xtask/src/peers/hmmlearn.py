"""Trains a hidden Markov model on words with hmmlearn, and prints how fast it was as JSON.

Arguments: a column file whose first column are the words, the states, and the iterations.
"""

import json, resource, sys, time
from importlib.metadata import version

import numpy
from hmmlearn.hmm import CategoricalHMM

path, n_states, n_iterations = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with open(path) as file:
    blocks = file.read().strip().split("\n\n")
sentences = [[line.split()[0] for line in block.strip().splitlines()] for block in blocks]
sentences = [sentence for sentence in sentences if sentence]
numbers = {}
words = [numbers.setdefault(word, len(numbers)) for sentence in sentences for word in sentence]
lengths = [len(sentence) for sentence in sentences]
model = CategoricalHMM(
    n_components=n_states,
    n_features=len(numbers),
    implementation="scaling",
    n_iter=n_iterations,
    tol=-numpy.inf,
    random_state=1,
)
begun = time.time()
model.fit(numpy.array(words).reshape(-1, 1), lengths)
seconds = time.time() - begun
print(
    json.dumps(
        {
            "version": version("hmmlearn"),
            "n_tokens": len(words),
            "iterations": len(model.monitor_.history),
            "seconds": seconds,
            "log_likelihood": list(model.monitor_.history)[-1],
            "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
    )
)
