"""Computes the loss of small Bi-LSTM taggers and its gradient with torch in double precision.

Prints what `softmax.txt` and `crf.txt` beside this file hold: the loss, then the derivatives with
respect to all weights, in the order in which `Weights.take` hands them out. Usage:

    python bilstm.py softmax > softmax.txt
    python bilstm.py crf > crf.txt
"""

import math, sys

import numpy as np
import torch

HIDDEN, CHARACTER_HIDDEN, LABELS = 3, 2, 4
COLUMNS, CHARACTERS = [(9, 5), (4, 3)], (7, 4)
# A token is the ids of its columns, its characters, and its label.
SENTENCE = [([3, 1], [2, 5], 1), ([8, 0], [], 0), ([3, 3], [6], 3), ([0, 2], [1, 1, 4], 3), ([5, 1], [3, 2], 2)]


class Weights:
    def __init__(self):
        self.taken = []

    def take(self, *shape):
        """Returns the next weights: number n of all is 0.7 sin(n + 1) in single precision."""
        begun = sum(w.numel() for w in self.taken)
        n = begun + 1 + np.arange(math.prod(shape))
        values = np.array([0.7 * math.sin(i) for i in n]).astype(np.float32).astype(np.float64)
        self.taken.append(torch.tensor(values.reshape(shape), requires_grad=True))
        return self.taken[-1]


def lstm(weights, n_inputs, hidden):
    """Takes the weights of both directions, whose columns are the gates i, f, g, o."""
    layer = torch.nn.LSTM(n_inputs, hidden, bidirectional=True, dtype=torch.float64)
    taken = {}
    for suffix in ("", "_reverse"):
        taken["weight_ih_l0" + suffix] = weights.take(n_inputs, 4 * hidden).T
        taken["weight_hh_l0" + suffix] = weights.take(hidden, 4 * hidden).T
        taken["bias_ih_l0" + suffix] = weights.take(4 * hidden)
        taken["bias_hh_l0" + suffix] = torch.zeros(4 * hidden, dtype=torch.float64)
    return lambda items: torch.func.functional_call(layer, taken, (items,))


def main(output):
    weights = Weights()
    columns = [weights.take(*shape) for shape in COLUMNS]
    characters = weights.take(*CHARACTERS)
    spell = lstm(weights, CHARACTERS[1], CHARACTER_HIDDEN)
    n_inputs = sum(width for _, width in COLUMNS) + 2 * CHARACTER_HIDDEN
    layers = [lstm(weights, n, HIDDEN) for n in (n_inputs, 2 * HIDDEN)]
    matrix, bias = weights.take(2 * HIDDEN, LABELS), weights.take(LABELS)
    transitions = weights.take(LABELS, LABELS) if output == "crf" else torch.zeros(LABELS, LABELS)

    items = []
    for ids, letters, _ in SENTENCE:
        word = torch.zeros(2 * CHARACTER_HIDDEN, dtype=torch.float64)
        if letters:
            word = torch.cat(tuple(spell(characters[letters])[1][0]))
        items.append(torch.cat([table[id] for table, id in zip(columns, ids)] + [word]))
    states = torch.stack(items)
    for layer in layers:
        states = layer(states)[0]
    scores = states @ matrix + bias

    gold = [label for _, _, label in SENTENCE]
    score, forward = scores[0, gold[0]], scores[0]
    for at in range(1, len(gold)):
        score = score + transitions[gold[at - 1], gold[at]] + scores[at, gold[at]]
        forward = torch.logsumexp(forward[:, None] + transitions, 0) + scores[at]
    loss = torch.logsumexp(forward, 0) - score
    loss.backward()
    print(repr(loss.item()))
    for taken in weights.taken:
        for derivative in taken.grad.flatten().tolist():
            print(f"{derivative:.9e}")


main(*sys.argv[1:])
