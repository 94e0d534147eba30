"""Trains a Bi-LSTM tagger with torch on words alone, and prints how fast it was as JSON.

The vocabulary is that of the whole training file; trained are its first sentences, some passes.
"""

import gzip, json, resource, statistics, sys, time
from collections import Counter

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence

ADAM = {"lr": 1e-3, "betas": (0.95, 0.95), "eps": 1e-4}
N_SENTENCES, N_PASSES, TAG_BATCH = 500, 3, 32


class Tagger(nn.Module):
    def __init__(self, n_words, n_labels, units, sparse):
        super().__init__()
        self.words = nn.Embedding(n_words, units, sparse=sparse)
        self.lstm = nn.LSTM(units, units, bidirectional=True)
        self.output = nn.Linear(2 * units, n_labels)

    def forward(self, words):
        """Returns the scores of labels for the words of a sentence or of a packed sequence of them."""
        if isinstance(words, torch.Tensor):
            return self.output(self.lstm(self.words(words))[0])
        vectors = PackedSequence(self.words(words.data), *words[1:])
        return self.output(self.lstm(vectors)[0].data)


def read(path):
    """Returns sentences as lists of pairs of word and label."""
    with gzip.open(path, "rt") if path.endswith(".gz") else open(path) as file:
        blocks = file.read().strip().split("\n\n")
    rows = [[line.split() for line in block.strip().splitlines()] for block in blocks]
    return [[(row[0].lower(), row[-1]) for row in sentence] for sentence in rows]


def ids(sentences, words, labels):
    """Returns the ids of words and labels, 0 for what is not known."""
    tensors = lambda at, table: [torch.tensor([table.get(pair[at], 0) for pair in s]) for s in sentences]
    return list(zip(tensors(0, words), tensors(1, labels)))


def pack(sentences):
    """Returns the words of one or more sentences, and the labels in the same order."""
    if len(sentences) == 1:
        return sentences[0]
    return [pack_sequence(list(side), enforce_sorted=False) for side in zip(*sentences)]


def optimizers(model, sparse):
    rest = [p for name, p in model.named_parameters() if not sparse or name != "words.weight"]
    found = [torch.optim.Adam(rest, fused=True, **ADAM)]
    return found + [torch.optim.SparseAdam([model.words.weight], **ADAM)] if sparse else found


def train(model, sentences, batch, sparse, barrier=None, times=None):
    """Makes the passes and notes how long each took, from barrier to barrier with several processes."""
    steps, loss = optimizers(model, sparse), nn.CrossEntropyLoss(reduction="sum")
    for seed in range(N_PASSES):
        order = torch.randperm(len(sentences), generator=torch.Generator().manual_seed(seed)).tolist()
        if barrier:
            barrier.wait()
        begun = time.perf_counter()
        for at in range(0, len(order), batch):
            words, labels = pack([sentences[i] for i in order[at:at + batch]])
            for step in steps:
                step.zero_grad()
            loss(model(words), labels.data).backward()
            for step in steps:
                step.step()
        if barrier:
            barrier.wait()
        if times is not None:
            times.append(time.perf_counter() - begun)


def train_by_processes(model, sentences, batch, sparse, n):
    """HogWild: processes with weights in common and moments of their own."""
    model.share_memory()
    context = torch.multiprocessing.get_context("fork")
    barrier, times = context.Barrier(n), []
    others = [context.Process(target=train, args=(model, sentences[k::n], batch, sparse, barrier))
              for k in range(1, n)]
    for other in others:
        other.start()
    train(model, sentences[::n], batch, sparse, barrier, times)
    for other in others:
        other.join()
    return times


@torch.no_grad()
def tag(model, sentences):
    """Tags sentences of like length together; returns tokens a second."""
    begun, n_tokens = time.perf_counter(), 0
    ordered = sorted(sentences, key=lambda sentence: len(sentence[0]))
    for at in range(0, len(ordered), TAG_BATCH):
        words, _ = pack(ordered[at:at + TAG_BATCH])
        n_tokens += len(model(words).argmax(1))
    return n_tokens / (time.perf_counter() - begun)


def main(train_file, test_file, units, batch, embeddings, processes):
    torch.set_num_threads(1)
    torch.manual_seed(1)
    corpus, sparse, processes = read(train_file), embeddings == "sparse", int(processes)
    counts = Counter(word for sentence in corpus for word, _ in sentence)
    words = {word: at for at, word in enumerate((w for w, n in counts.items() if n > 1), 1)}
    labels = {label: at for at, label in enumerate(sorted({l for s in corpus for _, l in s}))}
    sentences = ids(corpus[:N_SENTENCES], words, labels)
    model = Tagger(len(words) + 1, len(labels), int(units), sparse)
    if processes == 1:
        times = []
        train(model, sentences, int(batch), sparse, None, times)
    else:
        times = train_by_processes(model, sentences, int(batch), sparse, processes)
    n_tokens = sum(len(words) for words, _ in sentences)
    test = ids(read(test_file), words, labels)
    print(json.dumps({
        "version": torch.__version__.split("+")[0],
        "tokens_per_second": n_tokens / statistics.median(times),
        "tag_tokens_per_second": statistics.median(tag(model, test) for _ in range(3)),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }))


main(*sys.argv[1:])
