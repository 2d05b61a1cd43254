"""The phantom as a source of patients."""

from fgf_keras.data.cohort import Cohort
from fgf_keras.data.phantom.phantom import phantom_cohort
from fgf_keras.data.source import Source


class PhantomSource(Source):
    """Synthetic patients, drawn from `config.phantom_seed`."""

    def cohort(self) -> Cohort:
        """See `phantom_cohort`."""
        return phantom_cohort(
            self.data.phantom,
            size=self.data.size,
            window=self.data.window,
            spacing=self.data.spacing,
            seed=self.config.phantom_seed,
        )
