"""The phantom as a source of patients."""

from fgf_keras.data.cohort import Cohort
from fgf_keras.data.phantom.phantom import phantom_cohort
from fgf_keras.data.phantom.volume_cohort import phantom_volumes
from fgf_keras.data.source import Source


class PhantomSource(Source):
    """Synthetic patients, drawn from `config.phantom_seed`."""

    def cohort(self) -> Cohort:
        """See `phantom_cohort` and `phantom_volumes`."""
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
