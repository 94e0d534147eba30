"""Trains CRFsuite on a column file, tags another, and prints what it took as JSON."""

import gzip
import json
import resource
import sys
import time

import pycrfsuite

WINDOW = range(-2, 3)
WORDS = [[t] for t in WINDOW] + [[-1, 0], [0, 1]]
TAGS = [[t] for t in WINDOW] + [[t, t + 1] for t in range(-2, 2)] + [[t, t + 1, t + 2] for t in range(-2, 1)]
TEMPLATES = [("w", 0, offsets) for offsets in WORDS] + [("pos", 1, offsets) for offsets in TAGS]


def read(path):
    """Returns sentences as lists of rows."""
    with gzip.open(path, "rt") if path.endswith(".gz") else open(path) as file:
        blocks = file.read().strip().split("\n\n")
    return [[line.split() for line in block.strip().splitlines()] for block in blocks]


def attributes(sentence):
    """Returns the attributes of each token: 19 templates; none reaches over the ends."""
    found = []
    for t in range(len(sentence)):
        here = []
        for name, column, offsets in TEMPLATES:
            if 0 <= t + offsets[0] and t + offsets[-1] < len(sentence):
                values = "|".join(sentence[t + offset][column] for offset in offsets)
                here.append(f"{name}{offsets}={values}")
        found.append(here)
    found[0].append("__BOS__")
    found[-1].append("__EOS__")
    return found


class Trainer(pycrfsuite.Trainer):
    """Keeps the time of each pass that CRFsuite tells."""

    passes = []

    def message(self, message):
        if "Seconds required for this iteration:" in message:
            self.passes.append(float(message.rsplit(":", 1)[1]))


def main(train, test, tagged, model, algorithm, passes):
    start = time.perf_counter()
    trainer = Trainer()
    trainer.select(algorithm)
    trainer.set_params({"c2": 1.0} if algorithm == "lbfgs" else {"c2": 1.0, "max_iterations": int(passes)})
    for sentence in read(train):
        trainer.append(attributes(sentence), [row[-1] for row in sentence])
    appended = time.perf_counter()
    trainer.train(model)
    trained = time.perf_counter()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    tagger = pycrfsuite.Tagger()
    tagger.open(model)
    begun = time.perf_counter()
    with open(tagged, "w") as out:
        n_tokens = 0
        for sentence in read(test):
            for row, label in zip(sentence, tagger.tag(attributes(sentence))):
                out.write(" ".join(row + [label]) + "\n")
                n_tokens += 1
            out.write("\n")
    print(json.dumps({
        "version": pycrfsuite.CRFSUITE_VERSION, "passes": Trainer.passes,
        "train_seconds": trained - appended, "all_seconds": trained - start,
        "tag_tokens_per_second": n_tokens / (time.perf_counter() - begun), "peak_memory_bytes": memory,
    }))


main(*sys.argv[1:])
