"""Which weights of a training are kept: those of one epoch, or an average of several (`train.weights`)."""
