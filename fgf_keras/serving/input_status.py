"""The statuses of samples that are sent to a served model."""

from fgf_keras.flow.status import Status


class InputStatus(Status):
    """Whether a sample could be measured, and if not, why."""

    OK = 0, "The sample was measured."
    IMAGE_NOT_FINITE = 1, "The image has pixels that are NaN or infinite; repair or drop it."
    MASK_NOT_BINARY = 2, "The mask has values other than 0 and 1; send mask > 0 if it counts."
    MASK_EMPTY = 3, "The mask marks no pixel; send a slice that the tumour crosses."
    SPACING_NOT_POSITIVE = 4, "The spacing is not two positive numbers in mm; send 1, 1 if unknown."
    SCORE_NOT_FINITE = 5, "The score overflows; map intensities to the range of training."
    IMAGE_OUT_OF_RANGE = (
        6,
        "The image has values outside [0, 1] in the tumour, where no bounded path can start; map intensities "
        "to the range of training.",
    )
    INPUT_NOT_FINITE = 7, "Another input of the classifier is NaN or infinite; repair or drop the sample."
