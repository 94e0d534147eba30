"""Makes the golden files of CRFsuite here: python-crfsuite 0.9.12 on a made-up corpus of seed 7."""

import random

import pycrfsuite

WORDS = {"DT": ["the", "a:b", "an\\c"], "NN": ["dog", "cat", "tree", "日本"],
         "VB": ["runs", "sees"], "IN": ["in", "on"]}


def sentence(unseen):
    """Draws phrases as rows of word, tag and label; one word in ten is unseen."""
    tags = []
    for _ in range(random.randint(1, 4)):
        kind = random.random()
        if kind < 0.6:
            nouns = [("NN", "I-NP")] * random.choice([1, 1, 2])
            tags += [("DT", "B-NP"), *nouns]
        else:
            tags.append(("VB", "B-VP") if kind < 0.8 else ("IN", "O"))
    word = lambda tag: random.choice(WORDS[tag]) if random.random() < 0.9 else unseen
    return [(word(tag), tag, label) for tag, label in tags]


def attributes(rows):
    found = []
    for t, (word, tag, _) in enumerate(rows):
        here = ["w=" + word, "t=" + tag] if word != "mat" else ["w=" + word]
        here.append("t-1=" + rows[t - 1][1] if t else "__BOS__")
        here.append("t+1=" + rows[t + 1][1] if t + 1 < len(rows) else "__EOS__")
        # An attribute that is there twice counts twice.
        found.append(here + ["t=" + tag] * (word == "dog"))
    return found


random.seed(7)
trainer = pycrfsuite.Trainer(algorithm="l2sgd", params={"c2": 0.1, "max_iterations": 20}, verbose=False)
for _ in range(60):
    rows = sentence("dog")
    trainer.append(attributes(rows), [label for _, _, label in rows])
trainer.train("planted.crfsuite")

tagger = pycrfsuite.Tagger()
tagger.open("planted.crfsuite")
escape = lambda text: text.replace("\\", "\\\\").replace(":", "\\:")
with open("input.txt", "w") as given, open("golden.txt", "w") as golden:
    for _ in range(40):
        rows = sentence("mat")
        items = attributes(rows)
        labels = tagger.tag(items)
        for t, (row, item, label) in enumerate(zip(rows, items, labels)):
            given.write("\t".join([row[2], *map(escape, item)]) + "\n")
            golden.write(f"{row[2]}\t{label}\t{tagger.marginal(label, t):.4f}\n")
        given.write("\n")
        golden.write("\n")
