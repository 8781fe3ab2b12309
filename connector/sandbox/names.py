"""People, places and numbers of the seeded organisation: realistic, and nobody's.

Telephone numbers come from ranges set aside for fiction: 555-0100 to 555-0199 in North America, Ofcom's drama numbers
in the United Kingdom. Denmark has no such range: its numbers here start with 1, which no Danish subscriber number
does, so that the format is possible and nobody is ever called. E-mail domains are reserved ones (RFC 2606).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class City:
    """A city with what its addresses need; `prefix` is what the fictitious numbers there start with."""

    name: str
    region: str
    postal_code: str
    prefix: str


@dataclass(frozen=True)
class Country:
    """A country as Dataverse's address column spells it, with names and cities; `weight` is its share of the agents."""

    iso: str
    name: str
    weight: int
    cities: tuple[City, ...]
    streets: tuple[str, ...]
    first_names: tuple[str, ...]
    last_names: tuple[str, ...]
    digits: int
    """How many digits follow a city's prefix."""
    lease_cost: float
    currency: str = "USD"

    def numbers(self) -> Iterator[str]:
        """The fictitious numbers of the country in E.164, spread over its cities."""
        for serial in range(10**self.digits):
            for city in self.cities:
                yield f"{city.prefix}{serial:0{self.digits}d}"


def _cities(*rows: str) -> tuple[City, ...]:
    return tuple(City(*(part.strip() for part in row.split("|"))) for row in rows)


_US = Country(
    "US", "United States", 50,
    _cities(
        "Washington | DC | 20004 | +120255501", "Seattle | WA | 98101 | +120655501", "Denver | CO | 80202 | +130355501",
        "Chicago | IL | 60602 | +131255501", "Atlanta | GA | 30303 | +140455501", "Austin | TX | 78701 | +151255501",
        "Phoenix | AZ | 85004 | +160255501", "Boston | MA | 02108 | +161755501", "Columbus | OH | 43215 | +161455501",
        "Nashville | TN | 37219 | +161555501", "Houston | TX | 77002 | +171355501",
        "Las Vegas | NV | 89101 | +170255501",
        "Salt Lake City | UT | 84111 | +180155501", "Tampa | FL | 33602 | +181355501",
        "Memphis | TN | 38103 | +190155501",
        "Charlotte | NC | 28202 | +170455501", "Portland | OR | 97204 | +150355501", "Omaha | NE | 68102 | +140255501",
        "Raleigh | NC | 27601 | +191955501", "Miami | FL | 33130 | +130555501", "Detroit | MI | 48226 | +131355501",
        "Minneapolis | MN | 55401 | +161255501", "St. Louis | MO | 63101 | +131455501",
        "Tulsa | OK | 74103 | +191855501",
    ),
    ("Maple Avenue", "Pine Street", "Market Street", "Lakeview Drive", "Union Street", "Jefferson Avenue", "Mill Road"),
    ("James", "Maria", "Robert", "Linda", "Michael", "Aaliyah", "David", "Susan", "Andre", "Karen", "Wei", "Emily",
     "Jamal", "Priya", "Daniel", "Rosa", "Kevin", "Megan", "Luis", "Hannah"),
    ("Smith", "Johnson", "Williams", "Garcia", "Miller", "Davis", "Nguyen", "Martinez", "Anderson", "Taylor", "Moore",
     "Jackson", "Lee", "Thompson", "White", "Patel", "Clark", "Lewis", "Young", "O'Brien"),
    2, 1.00,
)  # fmt: skip
_GB = Country(
    "GB", "United Kingdom", 20,
    _cities(
        "London | Greater London | EC2V 7HN | +4420794600", "Leeds | West Yorkshire | LS1 4AP | +4411349600",
        "Manchester | Greater Manchester | M2 5DB | +4416149600", "Birmingham | West Midlands | B3 3DH | +4412149600",
        "Edinburgh | Midlothian | EH2 4AD | +4413149600", "Glasgow | Lanarkshire | G2 1AL | +4414149600",
        "Bristol | Avon | BS1 5TR | +4411749600", "Cardiff | South Glamorgan | CF10 3NQ | +4429201800",
        "Sheffield | South Yorkshire | S1 2HH | +4411449600", "Newcastle | Tyne and Wear | NE1 5DW | +4419149800",
        "Alderbrook | Cumbria | CA3 8PX | +4416329600",
    ),
    ("High Street", "Station Road", "Church Lane", "Victoria Road", "Mill Lane", "Queen Street", "Albert Terrace"),
    ("Oliver", "Amelia", "Harry", "Isla", "George", "Olivia", "Arjun", "Sophie", "Callum", "Fiona", "Gareth", "Zainab",
     "Rhys", "Niamh", "Thomas", "Grace"),
    ("Jones", "Taylor", "Brown", "Evans", "Wilson", "Thomas", "Roberts", "Khan", "Walker", "Wright", "Robinson",
     "Campbell", "Stewart", "Hughes", "Edwards", "MacLeod"),
    2, 1.00,
)  # fmt: skip
_CA = Country(
    "CA", "Canada", 15,
    _cities(
        "Toronto | ON | M5H 2N2 | +141655501", "Vancouver | BC | V6C 1S4 | +160455501",
        "Montréal | QC | H2Y 1C6 | +151455501",
        "Calgary | AB | T2P 2M5 | +140355501", "Ottawa | ON | K1P 1J1 | +161355501",
        "Halifax | NS | B3J 1V7 | +190255501",
        "Winnipeg | MB | R3C 4A5 | +120455501", "Québec | QC | G1R 4S9 | +141855501",
    ),
    ("King Street West", "Rue Sainte-Catherine", "Granville Street", "Centre Street", "Bank Street",
     "Barrington Street"),
    ("Liam", "Charlotte", "Noah", "Chloé", "William", "Zoé", "Étienne", "Mackenzie", "Gurpreet", "Sophie", "Logan",
     "Amélie"),
    ("Tremblay", "Gagnon", "Roy", "MacDonald", "Singh", "Campbell", "Bouchard", "Gauthier", "Wong", "Morrison", "Côté"),
    2, 1.00,
)  # fmt: skip
_DK = Country(
    "DK", "Denmark", 10,
    _cities(
        "København | Hovedstaden | 1550 | +45100000", "Aarhus | Midtjylland | 8000 | +45100100",
        "Odense | Syddanmark | 5000 | +45100200", "Aalborg | Nordjylland | 9000 | +45100300",
        "Roskilde | Sjælland | 4000 | +45100400",
    ),
    ("Vestergade", "Østergade", "Nørregade", "Algade", "Skolegade", "Havnevej"),
    ("Lars", "Mette", "Søren", "Kirsten", "Jens", "Anne", "Rasmus", "Ida", "Mikkel", "Freja", "Bjørn", "Åse"),
    ("Nielsen", "Jensen", "Hansen", "Andersen", "Pedersen", "Christensen", "Larsen", "Sørensen", "Møller",
     "Østergaard"),
    2, 0.82,
)  # fmt: skip
_PR = Country(
    "PR", "Puerto Rico", 5,
    _cities(
        "San Juan | PR | 00901 | +178755501", "Ponce | PR | 00730 | +193955501",
    ),
    ("Calle San Francisco", "Avenida Ponce de León", "Calle Marina", "Calle del Cristo"),
    ("Luis", "Carmen", "José", "Ana", "Ángel", "Marisol", "Carlos", "Ivette", "Héctor", "Yolanda"),
    ("Rivera", "Rodríguez", "Santiago", "Colón", "Ortiz", "Vega", "Figueroa", "Nieves", "Meléndez"),
    2, 1.00,
)  # fmt: skip

COUNTRIES = (_US, _GB, _CA, _DK, _PR)
BY_ISO = {country.iso: country for country in COUNTRIES}

_PLAIN = str.maketrans({
    "æ": "ae", "ø": "oe", "å": "aa", "é": "e", "è": "e", "É": "e", "ó": "o", "í": "i", "ñ": "n", "ô": "o", "Á": "a",
    "á": "a", "ú": "u", "Å": "aa", "Æ": "ae", "Ø": "oe", "'": None, " ": None,
})  # fmt: skip


def mail_name(first: str, last: str) -> str:
    """A name as the local part of an e-mail address."""
    return f"{first}.{last}".translate(_PLAIN).lower()
