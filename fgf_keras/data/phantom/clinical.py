"""Clinical columns of the phantom's patients, as text like that of a table."""

import numpy as np

from fgf_keras.data.cohort import Cohort

# Change of the hidden severity of a patient by the label, and by the latent extent.
OF_LABEL, OF_EXTENT = 1.2, 0.6
STAGES, CUTS = ("T1", "T2", "T3", "T4"), (-0.5, 0.5, 1.5)
SITES = ("larynx", "oropharynx", "hypopharynx")
# Share of patients whose age is missing.
AGE_MISSING = 0.1


def phantom_columns(cohort: Cohort, seed: int) -> dict[str, list[str]]:
    """The columns stage, volume, age and site of each patient.

    `stage` T1 to T4 is a severity 1.2 label + 0.6 u + noise in four ranges, u the latent extent: it says
    something about the label that the image does not. `volume` (mm³) is that of a ball of about that extent;
    `age` (years, some missing) and `site` say nothing.

    Args:
        cohort: of `phantom_cohort` or `phantom_volumes`.
        seed: of the phantom.
    """
    extent = np.array(cohort.provenance["latents"]["extent"])
    columns: dict[str, list[str]] = {name: [] for name in ("stage", "volume", "age", "site")}
    for number, (label, size) in enumerate(zip(cohort.labels, extent)):
        # A stream of its own: images and labels are the same with and without these columns.
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2, number)))
        noise, ball, age = rng.standard_normal(3)
        severity = OF_LABEL * label + OF_EXTENT * size + noise
        columns["stage"].append(STAGES[int(np.searchsorted(CUTS, severity))])
        columns["volume"].append(f"{9000 * np.exp(0.5 * size + 0.2 * ball):.1f}")
        columns["age"].append("" if rng.random() < AGE_MISSING else f"{62 + 10 * age:.0f}")
        columns["site"].append(SITES[rng.integers(len(SITES))])
    return columns
