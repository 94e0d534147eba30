"""Trains CRFsuite for a task, tags with each model, and prints what it took as JSON."""

import gzip, json, resource, statistics, sys, time

import pycrfsuite

WORDS = [[-2], [-1], [0], [1], [2], [-1, 0], [0, 1]]
TAGS = [list(range(t, t + n)) for n in (1, 2, 3) for t in range(-2, 4 - n)]
TEMPLATES = [(f"w{at}=", 0, at) for at in WORDS] + [(f"pos{at}=", 1, at) for at in TAGS]
CHARACTERS = [[-2], [-1], [0], [1], [2], [-2, -1], [-1, 0], [0, 1], [1, 2], [-1, 1]]


def text(path):
    with gzip.open(path, "rt") if path.endswith(".gz") else open(path) as file:
        return file.read().strip()


def read_columns(path):
    """Returns sentences as lists of rows."""
    return [[line.split() for line in block.strip().splitlines()] for block in text(path).split("\n\n")]


def read_segmented(path):
    """Returns the same of characters and their labels."""
    word = lambda w: ["S"] if len(w) == 1 else ["B"] + ["M"] * (len(w) - 2) + ["E"]
    lines = [line.split() for line in text(path).splitlines() if line.strip()]
    return [[[c, l] for w in line for c, l in zip(w, word(w))] for line in lines]


def attributes_of_words(sentence):
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


def attributes_of_characters(sentence):
    """Returns the attributes of each character: ten templates, with padding at both ends."""
    padded = ["\2", "\2"] + [row[0] for row in sentence] + ["\3", "\3"]
    named = [(f"c{at}=", at) for at in CHARACTERS]
    tokens = range(2, len(padded) - 2)
    return [[name + "".join([padded[t + offset] for offset in at]) for name, at in named] for t in tokens]


class Trainer(pycrfsuite.Trainer):
    """Keeps the time of each pass that CRFsuite tells."""
    passes = []

    def message(self, message):
        if "Seconds required for this iteration:" in message:
            self.passes.append(float(message.rsplit(":", 1)[1]))


def main(task, train, test, tagged, model, algorithm, *passes):
    read, attributes = {"chunking": (read_columns, attributes_of_words),
                        "segmentation": (read_segmented, attributes_of_characters)}[task]
    start = time.perf_counter()
    trainer = Trainer()
    trainer.select(algorithm)
    for sentence in read(train):
        trainer.append(attributes(sentence), [row[-1] for row in sentence])
    append_seconds = time.perf_counter() - start
    runs = []
    for n in passes:
        trainer.set_params({"c2": 1.0, "max_iterations": int(n)})
        before, begun = len(Trainer.passes), time.perf_counter()
        trainer.train(model)
        seconds = time.perf_counter() - begun
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        tagger = pycrfsuite.Tagger()
        tagger.open(model)
        begun = time.perf_counter()
        sentences = read(test)
        ready = [attributes(sentence) for sentence in sentences]
        made = time.perf_counter()
        labels = [tagger.tag(attributes) for attributes in ready]
        tagged_at = time.perf_counter()
        with open(f"{tagged}-{n}", "w") as out:
            for rows, found in zip(sentences, labels):
                out.writelines(" ".join(row + [label]) + "\n" for row, label in zip(rows, found))
                out.write("\n")
        written = time.perf_counter()
        n_passes = len(Trainer.passes) - before
        runs.append({"passes": n_passes, "train_seconds": seconds,
                     "all_seconds": append_seconds + seconds, "tagged": f"{tagged}-{n}", "f1": None})
    n_tokens = sum(map(len, sentences))
    print(json.dumps({
        "version": pycrfsuite.CRFSUITE_VERSION, "seconds_a_pass": statistics.median(Trainer.passes),
        "runs": runs, "tag_tokens_per_second": n_tokens / (written - begun),
        "decode_tokens_per_second": n_tokens / (tagged_at - made), "peak_memory_bytes": memory,
    }))


main(*sys.argv[1:])
