"""Names in figures: drawn letter by letter, whatever they hold."""

import io

import pytest

from plgg.report.drawing import as_png, as_svg, legend, letters, panel, save

ODD = [r"$\frac{$", "a$b$c", r"\$5", "$", "\x1b[31m\u202e", "脑瘤", "😀", "two\nlines", "{}^_%#"]


@pytest.mark.parametrize("name", ODD)
def test_any_name_can_be_drawn_everywhere_in_a_figure(name):
    figure, axes = panel(name, x=name, y=name)
    axes.plot([0, 1], [0, 1], label=name)
    axes.set_xticks([0, 1], [name, name])
    axes.annotate(name, (0, 0))
    legend(axes)
    assert as_svg(figure, "a figure").source.startswith("data:image/svg+xml")
    assert as_png(figure, "a figure").source.startswith("data:image/png")


def test_names_are_shown_as_they_are_and_a_logarithmic_axis_keeps_its_formulas():
    assert letters("a$b$") == r"a\$b\$"
    assert letters(letters("a$b$")) == letters("a$b$")
    assert letters("V600E – 0.5\nn = 4") == "V600E – 0.5\nn = 4"
    assert letters("\x1b") == r"\x1b"
    figure, axes = panel("t", x="x", y="y")
    axes.loglog([1, 1000], [1, 1000])
    save(figure, io.BytesIO(), format="svg")
    assert any("mathdefault" in tick.get_text() for tick in axes.get_xticklabels())
