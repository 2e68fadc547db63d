"""What is in doubt is said once, however many looked at it."""

from plgg.predict.describe import unique_warnings


def test_two_who_say_the_same_are_heard_once_and_in_order():
    assert unique_warnings(("cut off", "too large", "cut off")) == ("cut off", "too large")


def test_of_two_the_fuller_is_kept():
    short, full = "a brain of 90 mL is implausible", "a brain of 90 mL is implausible at 9 years"
    assert unique_warnings((short, "no tumour was found", full)) == ("no tumour was found", full)


def test_nothing_is_lost_that_is_said_of_something_else():
    both = ("a brain of 90 mL is implausible", "a brain of 91 mL is implausible at 9 years")
    assert unique_warnings(both) == both
