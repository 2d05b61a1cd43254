"""What the population share finds in scores whose law is known: the tables of docs/method.md.

First R² by ranks, bends and interactions of 120 patients with three normal features, means over draws; then
how often `p_own` finds a weak feature, and a feature that only varies with a used one, beside a strong one.

    python benchmarks/population.py [--draws 4] [--simulations 60]
"""

import argparse

import measuring
import numpy as np

from fgf_keras.results.population import population_share

NAMES = ("x1", "x2", "x3")
LAWS = {
    "noise": lambda x, noise: noise,
    "x1 + x2 + noise": lambda x, noise: x[:, 0] + x[:, 1] + 0.3 * noise,
    "|x1| + noise": lambda x, noise: np.abs(x[:, 0]) + 0.3 * noise,
    "x1·x2 + noise": lambda x, noise: x[:, 0] * x[:, 1] + 0.3 * noise,
    "x1 sign(x2) + x3 + noise": lambda x, noise: x[:, 0] * np.sign(x[:, 1]) + x[:, 2] + 0.3 * noise,
}


def of_law(law, draws):
    """Means over draws of R² by ranks, bends and interactions."""
    found = []
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        x, noise = rng.normal(size=(120, 3)), rng.normal(size=120)
        content = population_share(law(x, noise), x, NAMES, permutations=20, bootstrap=50)
        flexible = content["flexible"]
        shares = (content["ranks"]["joint"], flexible["bends"], flexible["interactions"])
        found.append([each["share"] for each in shares])
    return np.mean(found, axis=0)


def own_shares(simulations):
    """How often p_own ≤ 0.05 of a weak feature, and of one that varies with the strong one."""
    weak = follower = 0
    for seed in range(simulations):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(60, 3))
        x[:, 2] = 0.7 * x[:, 0] + 0.7 * rng.normal(size=60)
        score = 2 * x[:, 0] + 0.4 * x[:, 1] + 0.5 * rng.normal(size=60)
        ranks = population_share(score, x, NAMES, permutations=199, bootstrap=100)["ranks"]
        weak += ranks["x2"]["p_own"] <= 0.05
        follower += ranks["x3"]["p_own"] <= 0.05
    return weak, follower


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--simulations", type=int, default=60)
    options = parser.parse_args()
    rows = [[name, *(f"{v:.2f}" for v in of_law(law, options.draws))] for name, law in LAWS.items()]
    print(measuring.markdown_table(["score", "ranks: R²", "bends", "interactions"], rows))
    weak, follower = own_shares(options.simulations)
    print(f"\np_own ≤ 0.05 in {options.simulations} simulations: weak feature {weak}, follower {follower}")


if __name__ == "__main__":
    main()
