"""Trains spacy-pkuseg on segmented text, and prints what it took as JSON.

It scores the test after each pass itself; the time of that is left out.
"""

import contextlib, importlib.metadata, io, json, os, re, resource, statistics, sys, tempfile, time

import spacy_pkuseg


class Times(io.StringIO):
    """Notes when training begins."""
    begun = None

    def write(self, text):
        if "r: " in text and self.begun is None:
            self.begun = time.perf_counter()
        return super().write(text)


def main(train, test, passes):
    train, test = os.path.abspath(train), os.path.abspath(test)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        start, said = time.perf_counter(), Times()
        with contextlib.redirect_stdout(said):
            spacy_pkuseg.train(train, test, "model", train_iter=int(passes))
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        segmenter = spacy_pkuseg.pkuseg("model")
        with open(test) as file:
            lines = ["".join(line.split()) for line in file]
        begun = time.perf_counter()
        for line in lines:
            segmenter.cut(line)
        speed = sum(map(len, lines)) / (time.perf_counter() - begun)
        os.chdir("/")
    found = re.findall(r"train-time\(sec\)=([\d.]+)  f-score=([\d.]+)%", said.getvalue())
    times = [float(seconds) for seconds, _ in found]
    runs = [{"passes": n, "train_seconds": sum(times[:n]), "tagged": None, "f1": float(found[n - 1][1]),
             "all_seconds": said.begun - start + sum(times[:n])} for n in range(1, len(found) + 1)]
    print(json.dumps({
        "version": importlib.metadata.version("spacy-pkuseg"),
        "seconds_a_pass": statistics.median(times), "runs": runs, "tag_tokens_per_second": speed,
        "decode_tokens_per_second": None, "peak_memory_bytes": memory,
    }))


if __name__ == "__main__":
    main(*sys.argv[1:])
