"""Free and bounded paths of a trained model: how they end, how far they leave [0, 1], F, and what they cost.

The test patients of a run, on both supports; aggregates alone, as a Markdown table. F is the mean over the
patients who have it, then over those who have it with both kinds of path ("same patients"), and over those of
them whose free path ends with at most 10 % of the tumour's pixels outside ("inside").

    fgf train --config configs/phantom.yaml run.dir=runs/phantom
    python benchmarks/flow_range.py runs/phantom/latest [--patients 40]
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import fgf_keras
from fgf_keras.commands.evaluate_run import load_model, own_cohort
from fgf_keras.flow.settings import RANGES, Flow
from fgf_keras.flow.status import ENDED
from fgf_keras.results.alignment import OUTSIDE
from fgf_keras.run.folder import RunFolder


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", help="folder of a run")
    parser.add_argument("--patients", type=int, default=1000, help="at most this many of the test part")
    parser.add_argument("--support", nargs="+", default=["mask", "image"])
    arguments = parser.parse_args()
    folder = RunFolder.open(arguments.run)
    config = folder.load_config()
    cohort, splits = own_cohort(folder, config)
    cohort, model = cohort.select(np.sort(splits["test"])[: arguments.patients]), load_model(folder)
    print(f"{config.run.name}: {len(cohort)} test patients, {cohort.images.shape[1]} px\n")
    for support in arguments.support:
        explanations, seconds = {}, {}
        for kind in RANGES:
            start = time.perf_counter()
            explanations[kind] = fgf_keras.explain(
                model,
                cohort.images,
                cohort.masks,
                spacing=cohort.spacing,
                support=support,
                flow=Flow(range=kind),
                noise_draws=0,
                batch_size=config.evaluate.batch_size,
            )
            seconds[kind] = time.perf_counter() - start
        for kind, row in rows(explanations, seconds).items():
            print(f"| {support} | {kind} | " + " | ".join(row.values()) + " |", flush=True)
        print("columns:", " | ".join(row), "\n")


def rows(explanations, seconds):
    """The aggregates of each kind of path, as texts by column."""
    frames = {kind: explanation.to_frame() for kind, explanation in explanations.items()}
    both = np.logical_and.reduce([frame["F_joint"].notna() for frame in frames.values()])
    inside = both & (frames["free"]["outside"] <= OUTSIDE).to_numpy()
    names = [*explanations["free"].feature_names, "joint"]

    def means(frame, chosen):
        return ", ".join(f"{frame.loc[chosen, f'F_{name}'].mean():.3f}" for name in names)

    table = {}
    for kind, frame in frames.items():
        status = frame["status"].value_counts()
        ended = [name for name in status.index if name in {s.name.lower() for s in ENDED}]
        table[kind] = {
            "paths with F": f"{status[ended].sum()} of {len(frame)}",
            "others": ", ".join(f"{n} {name}" for name, n in status.drop(ended).items()) or "none",
            f"> {OUTSIDE:.0%} outside": f"{(frame['outside'] > OUTSIDE).mean():.0%}",
            "largest excess": f"{frame['outside_excess'].max():.2f}",
            "gradients, median": f"{np.median(explanations[kind].values['evaluations']):.0f}",
            f"F of {', '.join(names)}": means(frame, frame["F_joint"].notna()),
            f"same patients ({both.sum()})": means(frame, both),
            f"inside ({inside.sum()})": means(frame, inside),
            "s": f"{seconds[kind]:.0f}",
        }
    return table


if __name__ == "__main__":
    main()
