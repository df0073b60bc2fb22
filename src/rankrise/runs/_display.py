"""Progress as a person sees it: a bar at a terminal or in a notebook, or lines."""

import html
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal, Protocol, get_args, runtime_checkable

from rankrise._errors import InputError, printable
from rankrise.runs._ending import Ending

ProgressKind = Literal["auto", "bar", "log", "none"]
ShowProgress = bool | ProgressKind | None

# Between two lines: so many seconds, and this share of the time so far, so that a
# night fills no more than a page or two.
_LINE_SECONDS, _LINE_SHARE = 30.0, 0.05
# Between two changes of what a notebook shows, and before a bar that none asked for.
_NOTEBOOK_SECONDS, _MOMENT = 0.25, 1.0
_MINUTE, _HOUR = 60.0, 3600.0


@runtime_checkable
class Report(Protocol):
    """How far something is."""

    @property
    def words(self) -> str:
        """Where it is, for a person to read."""

    @property
    def share(self) -> float | None:
        """What is done of it, from 0 to 1, as well as can be told."""


@runtime_checkable
class Screen(Protocol):
    """Something that progress is shown on."""

    def show(self, words: str, share: float | None, times: Callable[[], str]) -> None:
        """Show where a run is, what is done, and how long it takes as time goes on."""

    def close(self, words: str, outcome: str) -> None:
        """Show nothing more; the run came this far, and ended so."""


def time_in_words(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 1.5 * _MINUTE:
        return f"{max(1, round(seconds))} s"
    if seconds < 1.5 * _HOUR:
        return f"{seconds / _MINUTE:.0f} minutes"
    return f"{seconds / _HOUR:.1f} hours"


# Parts of a whole that follow one another, outermost first: name, place, count.
_parts: ContextVar[tuple[tuple[str, int, int], ...]] = ContextVar("parts", default=())


@contextmanager
def as_part(name: str, place: int, count: int) -> Iterator[None]:
    """Within, progress is that of one part, the `place`th from 0, of `count`."""
    token = _parts.set((*_parts.get(), (name, place, count)))
    try:
        yield
    finally:
        _parts.reset(token)


class Display:
    """Shows each report, with an estimate of what remains.

    The last argument of a call is the report, whatever names come before it.
    """

    def __init__(self, screen: Screen) -> None:
        self.cut_off: Ending | None = None
        # Seconds until the run is cut off.
        self.seconds_allowed: Callable[[], float] | None = None
        self._screen = screen
        self._began = time.monotonic()
        # When the first report came, which compiling and loading went before, and the
        # share then, which is not zero where a run is resumed.
        self._first: tuple[float, float] | None = None
        self._share = 0.0
        self._end: float | None = None
        self._kind: type | None = None
        self._words = "beginning"

    def __call__(self, *report: Any) -> None:
        at: Report = report[-1]
        if type(at) is not self._kind:
            # Something else is done now, such as telling the rank after completing.
            self._kind, self._first, self._share = type(at), None, 0.0
        share, words = at.share, at.words
        for name, place, count in reversed(_parts.get()):
            share = None if share is None else (place + share) / count
            words = f"{name}: {words}" if name else words
        self._words = words
        if share is not None:
            # What is still to be done may turn out to be more than was thought.
            share = self._share = min(max(share, self._share), 1.0)
        self._estimate(share)
        self._screen.show(words, share, self.times)

    def times(self) -> str:
        """How long it has taken, and may still take."""
        now = time.monotonic()
        gone = time_in_words(now - self._began)
        if self._end is None:
            return gone
        return f"{gone}, about {time_in_words(self._end - now)} left"

    def _estimate(self, share: float | None) -> None:
        now, ends = time.monotonic(), []
        if share is not None:
            self._first = self._first or (now, share)
            since, earlier = now - self._first[0], share - self._first[1]
            if earlier > 0:
                ends.append(now + since * (1 - share) / earlier)
        if self.seconds_allowed is not None and all(n == 1 for *_, n in _parts.get()):
            ends.append(now + self.seconds_allowed())
        self._end = min(ends, default=None)

    def close(self, outcome: str) -> None:
        """The run ended so, after the words of its last report."""
        gone = time_in_words(time.monotonic() - self._began)
        if self.cut_off == Ending.TIME_LIMIT:
            outcome = "stopped at the time limit"
        elif self.cut_off is not None:
            outcome = self.cut_off.value
        self._screen.close(self._words, f"{outcome} after {gone}")


# The one that is open, and whether something is under way that says what is shown.
_open: Display | None = None
_is_within = False


def note_progress(at: Report) -> None:
    """Show this, where progress is shown."""
    if _open is not None:
        _open(at)


def note_cut_off(ending: Ending) -> None:
    """Tell the display, if there is one, that the run ends early."""
    if _open is not None:
        _open.cut_off = ending


def note_limit(seconds_allowed: Callable[[], float]) -> None:
    """Tell it how long the run may still take."""
    if _open is not None:
        _open.seconds_allowed = seconds_allowed


@contextmanager
def showing(
    progress: ShowProgress | Callable[..., None] = None,
) -> Iterator[Callable[..., None] | None]:
    """What a run reports its progress to; a function is given back as it is.

    None shows it in notebooks only, once it takes longer than a moment, and what runs
    within another one is shown with that.
    """
    global _open, _is_within
    outer, display = (_open, _is_within), None
    if progress is None and not _is_within and _is_notebook():
        display = Display(_Notebook(_MOMENT))
    elif isinstance(progress, bool | str):
        kind = "auto" if progress is True else progress or "none"
        if kind not in get_args(ProgressKind):
            raise _no_progress(progress)
        display = None if kind == "none" else Display(_screen(kind))
    elif progress is not None and not callable(progress):
        raise _no_progress(progress)
    report = progress if callable(progress) else display
    if display is not None:
        _open = display
    _is_within, outcome = True, "failed"
    try:
        yield report
        outcome = "done"
    except KeyboardInterrupt:
        outcome = "interrupted"
        raise
    finally:
        _open, _is_within = outer
        if display is not None:
            display.close(outcome)


def _no_progress(progress: object) -> InputError:
    return InputError(
        f"`progress` is {progress!r}; give True, 'auto', 'bar', 'log', 'none' or a "
        "function."
    )


def _screen(kind: ProgressKind) -> Screen:
    if kind == "log":
        return _Lines()
    if _is_notebook():
        return _Notebook()
    # A terminal that knows no control characters gets lines, and so does the output of
    # a command in a notebook, which keeps every state of a bar.
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    is_plain = os.environ.get("TERM") == "dumb" or "JPY_PARENT_PID" in os.environ
    if kind == "bar" or (is_terminal and not is_plain):
        return _Bar()
    return _Lines(_LINE_SECONDS)


def _is_notebook() -> bool:
    # A terminal's IPython has no kernel.
    python = sys.modules.get("IPython")
    return python is not None and hasattr(python.get_ipython(), "kernel")


class _Lines:
    """A line on stderr every so often, without control characters.

    The first comes after some seconds: what is done before then says nothing.
    """

    def __init__(self, wait: float = 0.0) -> None:
        self._began = time.monotonic()
        self._due = self._began + wait
        self._has_spoken = False

    def show(self, words: str, share: float | None, times: Callable[[], str]) -> None:
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + max(_LINE_SECONDS, _LINE_SHARE * (now - self._began))
        done = "" if share is None else f"{share:.0%} done, "
        self._say(f"{done}{times()}: {words}")

    def close(self, words: str, outcome: str) -> None:
        if self._has_spoken:
            self._say(f"{outcome}: {words}")

    def _say(self, line: str) -> None:
        self._has_spoken = True
        if sys.stderr is not None:
            print(f"rankrise: {printable(line)}", file=sys.stderr, flush=True)


class _Bar:
    """A bar on stderr, which goes away in the end."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
        from rich.text import Text

        class Times(TextColumn):
            """Seconds go on between two reports."""

            def render(self, task: Any) -> Text:
                times = task.fields["times"]()
                return Text(f"· {times}" if times else "")

        columns = (
            BarColumn(bar_width=20),
            TaskProgressColumn(),
            TextColumn("{task.fields[words]}", markup=False),
            Times(""),
        )
        console = Console(stderr=True, force_terminal=True)
        self._bar = Progress(*columns, console=console, transient=True)
        self._task = self._bar.add_task("", total=None, words="beginning", times=str)
        self._bar.start()

    def show(self, words: str, share: float | None, times: Callable[[], str]) -> None:
        self._bar.update(
            self._task,
            completed=share or 0.0,
            total=None if share is None else 1.0,
            words=printable(words),
            times=times,
        )

    def close(self, words: str, outcome: str) -> None:
        self._bar.stop()


class _Notebook:
    """A bar in the output of a cell, which stays there with how the run ended."""

    def __init__(self, wait: float = 0.0) -> None:
        self._handle: Any = None
        self._due = 0.0
        if wait:
            self._due = time.monotonic() + wait
        else:
            self._put(self._content("beginning", None, ""))

    def show(self, words: str, share: float | None, times: Callable[[], str]) -> None:
        now = time.monotonic()
        if now >= self._due:
            self._due = now + _NOTEBOOK_SECONDS
            self._put(self._content(words, share, times()))

    def close(self, words: str, outcome: str) -> None:
        share = 1.0 if outcome.startswith("done") else None
        if self._handle is not None:
            self._put(self._content(words, share, outcome, is_over=True))

    def _put(self, content: dict[str, str]) -> None:
        if self._handle is not None:
            self._handle.update(content, raw=True)
            return
        from IPython.display import display  # type: ignore[import-not-found]

        self._handle = display(content, raw=True, display_id=True)

    @staticmethod
    def _content(
        words: str, share: float | None, times: str, *, is_over: bool = False
    ) -> dict[str, str]:
        value = "" if share is None else f' value="{share:.3f}"'
        bar = f'<progress max="1"{value} style="width: 12em"></progress> '
        # A bar without a value would move for ever.
        bar = "" if is_over and share is None else bar
        told = ", ".join(each for each in (words, times) if each)
        return {
            "text/html": f"<div>{bar}{html.escape(told)}</div>",
            "text/plain": told,
        }
