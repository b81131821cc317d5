"""The words of titles and descriptions. No title, place or person is real."""

from __future__ import annotations

_LISTS = {
    "adjective": "Amber, Borrowed, Crooked, Forgotten, Midnight, Moonlit, Paper, Patient, Quiet, "
    "Salted, Second-Best, Silver, Unlikely, Velvet, Wandering, Winter",
    "thing": "Bell, Button, Clock, Compass, Ferry, Harbour, Kite, Lantern, Letter, Lighthouse, "
    "Orchard, Piano, Staircase, Teapot, Umbrella, Wheelbarrow",
    "things": "Bells, Chimneys, Clocks, Ferries, Keys, Kites, Lanterns, Lighthouses, Maps, "
    "Orchards, Rivers, Snowflakes, Staircases, Teacups, Umbrellas, Windows",
    "animal": "Badger, Fox, Goose, Hedgehog, Heron, Mole, Otter, Snail, Swan, Walrus",
    "food": "Barley, Butter, Cardamom, Chestnuts, Ginger, Honey, Leeks, Plums, Quinces, Rye",
    "plant": "Beans, Ferns, Foxgloves, Ivy, Lavender, Moss, Pumpkins, Roses, Thistles, Willows",
    "trade": "Bakers, Beekeepers, Bookbinders, Clockmakers, Glassblowers, Mapmakers, "
    "Piano-Tuners, Weavers",
    "place": "Amber Quay, Cold Pepper Hill, Greywater, Île-Claire, Lanternford, Low Barrow, "
    "Mossgate, Quillhaven, Saltmere, Süderwinkel, Thistle Island, Yonder",
    "season": "Autumn, Candlelight, Fog, Moonlight, Rain, Snow, Spring, Summer, Thunder, Winter",
}

WORDS: dict[str, list[str]] = {kind: words.split(", ") for kind, words in _LISTS.items()}

TITLES: dict[str, list[str]] = {
    "Adventure": [
        "The {adjective} {thing}",
        "The {thing} of {place}",
        "Across {place} with a {animal}",
        "Beyond {place}",
        "{things} Over {place}",
    ],
    "Children": [
        "The {animal} and the {adjective} {thing}",
        "Good Night, {adjective} {animal}",
        "The {animal} Who Collected {things}",
    ],
    "Cooking": [
        "{food} & {plant}",
        "Suppers for {season}",
        "{food}, {adjective} and Otherwise",
        "The {place} Cookbook",
    ],
    "Gardening": [
        "{plant} in {season}",
        "The {adjective} Garden",
        "A Year of {plant}",
        "What the {animal} Did to My {plant}",
    ],
    "History": [
        "The {trade} of {place}",
        "{things} & Their {trade}",
        "{place}: A History in {things}",
    ],
    "Mystery": [
        "Who Wound the {adjective} {thing}?",
        "The {animal} at {place}",
        "The {trade}' Secret",
        "The {thing} That Was Not There",
    ],
    "Poetry": [
        "{things} in {season}",
        "Songs for the {adjective} {thing}",
        "{adjective} {things}",
    ],
    "Travel": [
        "Slowly to {place}",
        "{season} in {place}",
        "{place} for Walkers & {trade}",
        "To {place} by {thing}",
    ],
}

OPENINGS: list[str] = [
    "It begins in {place}, with a {thing} that nobody remembers buying.",
    "A book for {season}, and for anyone who has ever waited for a {animal}.",
    "In {place} the {trade} have a saying about {plant}; this is the long version.",
    "Everything worth knowing about {things}, told by someone who owns too many of them.",
    "One {adjective} {thing}, two {trade}, and no way back to {place} before {season}.",
    "First printed in {place} on paper made of {plant}, and not out of print since.",
]

MIDDLES: list[str] = [
    "The chapter on {plant} alone is worth the price.",
    "Readers write to us about the {animal}; we cannot tell you more without spoiling it.",
    "With forty drawings, a folding map of {place} and a recipe for {food}.",
    "It is best read slowly, near a window, with {food} within reach.",
    "Nothing much happens, and by the last page nothing is the same.",
    "We have sold it to three {trade}, all of whom came back for a second copy.",
]

CLOSINGS: list[str] = [
    "Bound in {adjective} cloth.",
    "A favourite of the shop's own {animal}.",
    "Our copies smell faintly of {food}.",
    "Suitable for ages nine to ninety-nine.",
    "The sequel is said to be on its way from {place}.",
]
