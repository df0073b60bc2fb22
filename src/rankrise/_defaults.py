"""Default numbers of the library and the command line, whose help must not need JAX."""

# Of Razin et al. (2021), Section 5.
LEARNING_RATE = 5e-4
EPOCHS = 10_000
BATCH_SIZE = 5000
INIT_STD = 1e-3

# A component below this share of the largest did not rise: those of the paper's runs
# that stay near zero end below a thousandth, the smallest that rises at a third.
RISEN_SHARE = 0.01

# Steps of Levenberg-Marquardt, and epochs of Adam in small batches.
SECOND_ORDER_STEPS = 40
QUICK_EPOCHS = 700
