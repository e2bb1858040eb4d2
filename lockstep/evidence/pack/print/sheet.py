"""Printed pages: text that cannot fail, a few shapes, tables that continue on the next page.

Only this module and `lettering`, which has the fonts, know the PDF library. The same calls give
the same bytes: no clock, no random id, no name of this machine. Lengths are points (1/72 inch),
measured from the lower left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

# The library carries no types.
from reportlab import rl_config  # type: ignore[import-untyped]
from reportlab.lib.pagesizes import A4, landscape  # type: ignore[import-untyped]
from reportlab.pdfgen.canvas import Canvas  # type: ignore[import-untyped]

from lockstep.evidence.pack.print.lettering import (
    first_font,
    fitted,
    printable,
    runs,
    text_width,
    wrapped,
)

WIDTH, HEIGHT = landscape(A4)
MARGIN = 36.0
LEFT, RIGHT = MARGIN, WIDTH - MARGIN
TOP, BOTTOM = HEIGHT - MARGIN, MARGIN + 14

Colour = tuple[float, float, float]
INK: Colour = (0.11, 0.15, 0.21)
GREY: Colour = (0.40, 0.44, 0.50)
PALE: Colour = (0.80, 0.83, 0.87)
WASH: Colour = (0.90, 0.92, 0.945)
WHITE: Colour = (1.0, 1.0, 1.0)
GOOD: Colour = (0.07, 0.43, 0.47)
BAD: Colour = (0.72, 0.16, 0.14)
FAIR: Colour = (0.71, 0.45, 0.05)

_LEADING = 1.28
_PADDING = 2.2
_PAGES = "page-count"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table; ``width`` in points."""

    title: str
    width: float
    right: bool = False


class Sheet:
    """A document that is drawn from top to bottom; ``y`` is where the next thing begins."""

    def __init__(self, title: str, *, header: str, footer: str) -> None:
        rl_config.useA85 = 0  # streams as they are: text around them makes a pack a fifth larger
        self._buffer = BytesIO()
        self._canvas: Any = Canvas(
            self._buffer,
            pagesize=(WIDTH, HEIGHT),
            invariant=1,  # no date, no random id
            lang="en",
            initialFontName=first_font(),  # or a font that is not embedded is named in the file
        )
        self._canvas.setTitle(title)
        self._canvas.setAuthor("Lockstep")
        self._canvas.setCreator("Lockstep")
        self._header, self._footer = header, footer
        self._page = 1
        self._ink: Colour | None = None
        self.y = TOP

    def finish(self) -> bytes:
        """Close the last page; the whole document."""
        self._close_page()
        self._canvas.beginForm(_PAGES, 0, 0, WIDTH, HEIGHT)
        self._ink = None
        self.text(RIGHT - 12, MARGIN - 8, str(self._page), size=7, colour=GREY)
        self._canvas.endForm()
        self._canvas.save()
        return self._buffer.getvalue()

    def next_page(self) -> None:
        """Go on at the top of a new page, under the running header."""
        self._close_page()
        self._canvas.showPage()
        self._ink = None
        self._page += 1
        self.text(LEFT, TOP - 8, self._header, size=8, colour=GREY)
        self.line(LEFT, TOP - 14, RIGHT, TOP - 14, colour=PALE)
        self.y = TOP - 26

    def need(self, height: float) -> None:
        """Begin a new page unless ``height`` is left on this one."""
        if self.y - height < BOTTOM:
            self.next_page()

    def _close_page(self) -> None:
        self.line(LEFT, MARGIN + 4, RIGHT, MARGIN + 4, colour=PALE)
        self.text(LEFT, MARGIN - 8, fitted(self._footer, 620, 7), size=7, colour=GREY)
        label = f"page {self._page} of "
        self.text(RIGHT - 14, MARGIN - 8, label, size=7, colour=GREY, right=True)
        self._canvas.doForm(_PAGES)  # the number of pages is known only at the end

    def _fill(self, colour: Colour) -> None:
        """Say the colour of text and shapes where it changes; each word of it costs time."""
        if colour != self._ink:
            self._canvas.setFillColorRGB(*colour)
            self._ink = colour

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = 8,
        bold: bool = False,
        colour: Colour = INK,
        right: bool = False,
        middle: bool = False,
    ) -> None:
        """Write one line with its baseline at ``y``; ``x`` is its left end, end or middle."""
        self._fill(colour)
        shown = printable(text)
        (font, _), *more = parts = runs(shown, bold=bold)
        if more:
            width = text_width(shown, size, bold=bold)
            self._write(x - width * (1.0 if right else 0.5 if middle else 0.0), y, parts, size)
            return
        self._canvas.setFont(font, size)
        draw = self._canvas.drawString
        if right:
            draw = self._canvas.drawRightString
        elif middle:
            draw = self._canvas.drawCentredString
        draw(x, y, shown)

    def _write(self, x: float, y: float, parts: Sequence[tuple[str, str]], size: float) -> None:
        """Write pieces of text, each in its font, one behind the other from ``x``."""
        pen = self._canvas.beginText(x, y)
        for font, part in parts:
            pen.setFont(font, size)
            pen.textOut(part)
        self._canvas.drawText(pen)

    def line(
        self,
        x1: float,
        y1: float,
        x2: float,
        y2: float,
        *,
        colour: Colour = INK,
        width: float = 0.5,
        dash: tuple[float, ...] = (),
    ) -> None:
        """Draw a line; ``dash`` gives lengths of ink and gap in turn."""
        self._canvas.setStrokeColorRGB(*colour)
        self._canvas.setLineWidth(width)
        self._canvas.setDash(list(dash))
        self._canvas.line(x1, y1, x2, y2)
        self._canvas.setDash([])

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        *,
        fill: Colour | None = None,
        stroke: Colour | None = None,
    ) -> None:
        """Draw a rectangle from its lower left corner."""
        if fill is not None:
            self._fill(fill)
        if stroke is not None:
            self._canvas.setStrokeColorRGB(*stroke)
            self._canvas.setLineWidth(0.7)
        self._canvas.rect(
            x, y, width, height, stroke=int(stroke is not None), fill=int(fill is not None)
        )

    def shape(
        self,
        points: Sequence[tuple[float, float]],
        *,
        fill: Colour | None = None,
        stroke: Colour | None = None,
    ) -> None:
        """Draw a closed polygon."""
        if fill is not None:
            self._fill(fill)
        if stroke is not None:
            self._canvas.setStrokeColorRGB(*stroke)
            self._canvas.setLineWidth(0.8)
        path = self._canvas.beginPath()
        path.moveTo(*points[0])
        for point in points[1:]:
            path.lineTo(*point)
        path.close()
        self._canvas.drawPath(path, stroke=int(stroke is not None), fill=int(fill is not None))

    def dot(
        self, x: float, y: float, radius: float, *, fill: Colour, stroke: Colour | None = None
    ) -> None:
        self._fill(fill)
        if stroke is not None:
            self._canvas.setStrokeColorRGB(*stroke)
            self._canvas.setLineWidth(0.8)
        self._canvas.circle(x, y, radius, stroke=int(stroke is not None), fill=1)

    def hatch(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        *,
        colour: Colour,
        step: float = 3.5,
        slope: float = 1.0,
    ) -> None:
        """Fill a rectangle with slanted lines, so that it differs without colour too."""
        self._canvas.saveState()
        path = self._canvas.beginPath()
        path.rect(x, y, width, height)
        self._canvas.clipPath(path, stroke=0, fill=0)
        self._canvas.setStrokeColorRGB(*colour)
        self._canvas.setLineWidth(0.7)
        at = x - height
        while at < x + width + height:
            self._canvas.line(at, y, at + height * slope, y + height)
            at += step
        self._canvas.restoreState()

    def heading(self, text: str, note: str = "") -> None:
        """A heading that stays with the first rows of what follows it."""
        self.need(64)
        self.y -= 11
        self.text(LEFT, self.y, text, size=10.5, bold=True)
        if note:
            x = LEFT + text_width(printable(text), 10.5, bold=True) + 8
            self.text(x, self.y, note, size=7, colour=GREY)
        self.y -= 4

    def paragraph(self, text: str, *, size: float = 7.5) -> None:
        for line in wrapped(text, RIGHT - LEFT, size):
            self.need(size * _LEADING)
            self.y -= size * _LEADING
            self.text(LEFT, self.y, line, size=size, colour=GREY)
        self.y -= 4

    def table(
        self, columns: Sequence[Column], rows: Iterable[Sequence[str]], *, size: float = 6.8
    ) -> None:
        """A table under repeated column titles; a row that is too tall goes on overleaf."""
        leading = size * _LEADING
        self._titles(columns, size)
        for row in rows:
            cells = [
                wrapped(text, column.width - 6, size)
                for column, text in zip(columns, row, strict=True)
            ]
            while any(cells):
                room = int((self.y - BOTTOM - _PADDING) // leading)
                tallest = max(len(lines) for lines in cells)
                if room < min(tallest, 40):  # 40 lines: more than half of an empty page
                    self.next_page()
                    self._titles(columns, size)
                    continue
                self._row(columns, [lines[:room] for lines in cells], size)
                cells = [lines[room:] for lines in cells]
        self.y -= 5

    def _titles(self, columns: Sequence[Column], size: float) -> None:
        self.need(3 * size * _LEADING)
        height = size * _LEADING + _PADDING
        self.box(LEFT, self.y - height, RIGHT - LEFT, height, fill=WASH)
        self._row(columns, [[column.title] for column in columns], size, bold=True)

    def _row(
        self,
        columns: Sequence[Column],
        cells: Sequence[Sequence[str]],
        size: float,
        *,
        bold: bool = False,
    ) -> None:
        leading = size * _LEADING
        x = LEFT
        for column, lines in zip(columns, cells, strict=True):
            edge = x + column.width - 3 if column.right else x + 3
            for number, line in enumerate(lines, 1):
                y = self.y - number * leading
                self.text(edge, y, line, size=size, bold=bold, right=column.right)
            x += column.width
        self.y -= max(len(lines) for lines in cells) * leading + _PADDING
        self.line(LEFT, self.y, RIGHT, self.y, colour=PALE, width=0.4)
