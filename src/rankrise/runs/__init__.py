"""One long run: its clock, its state on disk, how it ended."""

from rankrise.runs._checkpoint import Arrays as Arrays
from rankrise.runs._checkpoint import Checkpoint as Checkpoint
from rankrise.runs._checkpoint import check_checkpoint as check_checkpoint
from rankrise.runs._checkpoint import read_checkpoint as read_checkpoint
from rankrise.runs._checkpoint import write_checkpoint as write_checkpoint
from rankrise.runs._display import ProgressKind as ProgressKind
from rankrise.runs._display import ShowProgress as ShowProgress
from rankrise.runs._display import as_part as as_part
from rankrise.runs._display import note_progress as note_progress
from rankrise.runs._display import showing as showing
from rankrise.runs._display import time_in_words as time_in_words
from rankrise.runs._ending import Ending as Ending
from rankrise.runs._interrupts import keeping_interrupted as keeping_interrupted
from rankrise.runs._pool import Finished as Finished
from rankrise.runs._pool import PartsProgress as PartsProgress
from rankrise.runs._pool import Pool as Pool
from rankrise.runs._pool import ThisProcess as ThisProcess
from rankrise.runs._progress import Progress as Progress
from rankrise.runs._watch import Watch as Watch
from rankrise.runs._watch import counting_seconds as counting_seconds
from rankrise.runs._watch import is_counting as is_counting
