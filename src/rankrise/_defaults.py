"""Default numbers of the library and the command line, whose help must not need JAX."""

# Of Razin et al. (2021), Section 5.
LEARNING_RATE = 5e-4
EPOCHS = 10_000
BATCH_SIZE = 5000
INIT_STD = 1e-3

# Of Levenberg-Marquardt.
SECOND_ORDER_STEPS = 40
