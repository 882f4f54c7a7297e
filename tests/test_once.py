"""What follows from a declaration is worked out once for each, and never taken for that of another."""

from models.once import MOST, Once


def counting():
    """A function of a list, and the lists that it was asked for."""
    asked = []

    def total(numbers):
        asked.append(numbers)
        return sum(numbers)

    return Once(total), asked


def test_it_is_worked_out_once_for_each():
    total, asked = counting()
    declared = [1, 2]
    assert [total(declared), total(declared)] == [3, 3]
    assert len(asked) == 1


def test_an_equal_declaration_is_another_one():
    total, asked = counting()
    first, second = [1, 2], [1, 2]
    assert total(first) == total(second) == 3
    assert len(asked) == 2


def test_those_asked_for_long_ago_are_forgotten_and_worked_out_again():
    total, asked = counting()
    declared = [[number] for number in range(2 * MOST)]
    assert [total(one) for one in declared] == [total(one) for one in declared] == list(range(2 * MOST))
    assert len(asked) == 4 * MOST
