"""Trains CRFsuite on a column file, tags another, and prints what it took as JSON."""

import gzip, json, resource, sys, time

import pycrfsuite

WORDS = [[-2], [-1], [0], [1], [2], [-1, 0], [0, 1]]
TAGS = [list(range(t, t + n)) for n in (1, 2, 3) for t in range(-2, 4 - n)]
TEMPLATES = [(f"w{at}=", 0, at) for at in WORDS] + [(f"pos{at}=", 1, at) for at in TAGS]


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
                here.append(name + "|".join([sentence[t + offset][column] for offset in offsets]))
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
    limit = {} if algorithm == "lbfgs" else {"max_iterations": int(passes)}
    trainer.set_params({"c2": 1.0} | limit)
    for sentence in read(train):
        trainer.append(attributes(sentence), [row[-1] for row in sentence])
    appended = time.perf_counter()
    trainer.train(model)
    trained = time.perf_counter()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    tagger = pycrfsuite.Tagger()
    tagger.open(model)
    begun = time.perf_counter()
    sentences = read(test)
    ready = [attributes(sentence) for sentence in sentences]
    made = time.perf_counter()
    labels = [tagger.tag(attributes) for attributes in ready]
    tagged_at = time.perf_counter()
    with open(tagged, "w") as out:
        for rows, found in zip(sentences, labels):
            out.writelines(" ".join(row + [label]) + "\n" for row, label in zip(rows, found))
            out.write("\n")
    n_tokens = sum(map(len, sentences))
    print(json.dumps({
        "version": pycrfsuite.CRFSUITE_VERSION, "passes": Trainer.passes,
        "train_seconds": trained - appended, "all_seconds": trained - start,
        "tag_tokens_per_second": n_tokens / (time.perf_counter() - begun),
        "decode_tokens_per_second": n_tokens / (tagged_at - made), "peak_memory_bytes": memory,
    }))


main(*sys.argv[1:])
