"""S of a network of 1,000 classes: seconds and peak memory, for 5 ("auto") and 20 classes per sample.

python benchmarks/many_classes.py
"""

import argparse
import resource
import time

import keras
import numpy as np
from measuring import features

import fgf_keras


def peak_gb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--classes", nargs="+", default=["auto", "20"])
    args = parser.parse_args()
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2(
        (args.size, args.size, 3), weights=None, classes=1000, classifier_activation=None
    )
    shape = (args.images, args.size, args.size, 3)
    images = np.random.default_rng(0).uniform(size=shape).astype(np.float32)
    print(
        f"{args.images} images {args.size}×{args.size}, three features, no path; at first {peak_gb():.2f} GB"
    )
    for classes in args.classes:
        explainer = fgf_keras.Explainer(
            model,
            features=features(),
            flow=False,
            noise_draws=0,
            batch_size=args.batch,
            classes=classes if classes in ("auto", "all") else int(classes),
        )
        for call in ("first", "second"):
            start = time.perf_counter()
            explainer(images)
            seconds = time.perf_counter() - start
            print(
                f"classes {classes:>4}, {call:>6} call: {seconds:6.1f} s, peak {peak_gb():.2f} GB", flush=True
            )


if __name__ == "__main__":
    main()
