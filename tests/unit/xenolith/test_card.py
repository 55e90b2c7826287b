"""A card's figures are compared one by one with a second measurement."""

from xenolith.cli.generator.card import compare

CARD = {
    "name": "small",
    "base": {"n": 1000, "msun": 0.05, "msun_ci95": [0.03, 0.07], "sampler": {"steps": 50}},
    "autoencoder": {"match_rate": 0.99, "rmsd": 0.02, "n": 8900},
}


def test_every_number_measured_again_is_compared():
    compared = compare(CARD, CARD)
    assert {entry.name for entry in compared} == {
        "base.n", "base.msun", "base.sampler.steps", "autoencoder.match_rate", "autoencoder.rmsd"
    }  # fmt: skip
    assert all(entry.agrees for entry in compared)


def test_another_edition_of_the_data_may_have_more_crystals():
    measured = {"autoencoder": {"match_rate": 0.99, "rmsd": 0.02, "n": 9046}}
    assert all(entry.agrees for entry in compare(CARD, measured))


def test_a_figure_that_does_not_hold_is_named_with_both_values():
    measured = {"base": {"msun": 0.12}, "autoencoder": {"match_rate": 0.985}}
    wrong = [entry.sentence for entry in compare(CARD, measured) if not entry.agrees]
    assert wrong == ["base.msun is 0.05 on the card and measured 0.12"]
