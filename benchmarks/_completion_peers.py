"""The methods that rankrise is compared with, by name."""

from _bayesian_cp import BAYESIAN_CP
from _cp_packages import PYTTB, TENSORLY
from _imputers import ITERATIVE, MEAN, NEIGHBOUR
from _lrtc_tnn import LRTC_TNN
from _ridge_als import RIDGE_ALS

PEERS = {
    peer.name: peer
    for peer in (
        RIDGE_ALS,
        TENSORLY,
        PYTTB,
        BAYESIAN_CP,
        LRTC_TNN,
        MEAN,
        NEIGHBOUR,
        ITERATIVE,
    )
}
