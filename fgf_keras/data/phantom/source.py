"""The phantom as a source of patients."""

import dataclasses

from fgf_keras.data.clinical_table import clinical_table
from fgf_keras.data.cohort import Cohort
from fgf_keras.data.phantom.clinical import phantom_columns
from fgf_keras.data.phantom.phantom import phantom_cohort
from fgf_keras.data.phantom.volume_cohort import phantom_volumes
from fgf_keras.data.source import Source


class PhantomSource(Source):
    """Synthetic patients, drawn from `config.phantom_seed`."""

    def cohort(self) -> Cohort:
        """See `phantom_cohort` and `phantom_volumes`; clinical columns are those of `phantom_columns`."""
        cohort = self._drawn()
        if not self.data.clinical:
            return cohort
        cells = phantom_columns(cohort, self.config.phantom_seed)
        clinical = clinical_table(self.data.clinical, cells, cohort.patient_id, "The phantom's table")
        return dataclasses.replace(cohort, clinical=clinical)

    def _drawn(self) -> Cohort:
        if self.data.dimension == 3:
            return phantom_volumes(
                self.data.phantom,
                shape=self.data.shape,
                window=self.data.window,
                spacing=self.data.spacing,
                seed=self.config.phantom_seed,
            )
        return phantom_cohort(
            self.data.phantom,
            size=self.data.edge,
            window=self.data.window,
            spacing=self.data.spacing,
            seed=self.config.phantom_seed,
        )
