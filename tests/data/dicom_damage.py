"""What happens to files: bytes flipped, ends cut off, stretches lost, elements removed."""

from pydicom import dcmread


def variants(path, rng, count):
    """Damage a file `count` times, each time from its original bytes, which are put back in the end.

    Yields:
        Whether the file ends early. Four kinds take turns: bits flipped, the end cut off, a stretch cut out
        in the middle, elements removed.
    """
    whole = path.read_bytes()
    for i in range(count):
        data = bytearray(whole)
        kind = i % 4
        if kind == 0:
            for at in rng.integers(132, len(data), rng.integers(1, 4)):
                data[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            del data[int(rng.integers(len(data))) :]
        elif kind == 2:
            at = int(rng.integers(132, len(data)))
            del data[at : at + int(rng.integers(1, 40))]
        else:
            path.write_bytes(whole)
            dataset = dcmread(path)
            for holder in [dataset, *nested(dataset)]:
                tags = list(holder.keys())
                if tags and rng.random() < 0.15:
                    del holder[tags[int(rng.integers(len(tags)))]]
            try:
                dataset.save_as(path)
                data = path.read_bytes()
            except Exception:  # without the element the writer cannot tell how to write: nothing to test
                continue
        path.write_bytes(data)
        yield kind == 1
    path.write_bytes(whole)


def nested(dataset):
    """All items of its sequences, at any depth."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield item
                yield from nested(item)
