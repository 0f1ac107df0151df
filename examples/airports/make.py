"""Makes the data files of this folder from airportsdata, iso3166 and CLDR. README.md says how to run it.

The same versions give the same bytes: files are sorted, numbers keep the digits of the source, nothing is random.
What the sources do not say stays absent. The judgements that a program cannot make are in by_hand.py.
"""

import csv
import importlib.metadata
import importlib.resources
import json
import re
import sys
import tarfile
import unicodedata
from collections import defaultdict
from pathlib import Path

import by_hand

PYTHON_PACKAGES = {"airportsdata": "20260905", "iso3166": "3.0.0"}
CLDR_PACKAGES = {"cldr-core": "48.2.0", "cldr-subdivisions-full": "48.2.0"}
FOLDER = Path(__file__).resolve().parent


# --- Sources ---------------------------------------------------------------------------------------------------------


def check_versions():
    """Stops unless every source is there in the pinned version, saying all that is wrong at once."""
    faults = []
    for name, wanted in PYTHON_PACKAGES.items():
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found = "none"
        if found != wanted:
            faults.append(f"{name}: found {found}, need {wanted} (pip install -r requirements.txt)")
    for name, wanted in CLDR_PACKAGES.items():
        if not tarball(name).exists():
            faults.append(f"{name}: no {tarball(name).name} here (npm pack {name}@{wanted})")
        elif (found := read_tarball(name, "package.json")["version"]) != wanted:
            faults.append(f"{name}: {tarball(name).name} holds {found}, need {wanted}")
    if faults:
        sys.exit("make.py cannot start:\n  " + "\n  ".join(faults))


def tarball(package):
    return FOLDER / f"{package}-{CLDR_PACKAGES[package]}.tgz"


def read_tarball(package, path):
    with tarfile.open(tarball(package)) as archive:
        return json.load(archive.extractfile(f"package/{path}"))


def read_countries():
    """Country code to data. Codes that ISO leaves to users (XK, Kosovo) are marked: they are no part of ISO 3166."""
    import iso3166

    user_assigned = re.compile(r"AA|Q[M-Z]|X[A-Z]|ZZ")
    return {
        country.alpha2: {
            "name": country.name,
            "alpha3": country.alpha3,
            "numeric": country.numeric,
            "status": "user-assigned" if user_assigned.fullmatch(country.alpha2) else "assigned",
        }
        for country in iso3166.countries
    }


def read_subdivisions():
    """Subdivision code to data. CLDR writes `gbeng` for GB-ENG, and `GB` contains `gbeng` contains `gblnd`."""

    def iso(code):
        return code.upper() if len(code) == 2 else f"{code[:2]}-{code[2:]}".upper()

    containment = read_tarball("cldr-core", "supplemental/subdivisionContainment.json")
    names = read_tarball("cldr-subdivisions-full", "subdivisions/en/en.json")
    names = names["subdivisions"]["localeDisplayNames"]["subdivisions"]
    subdivisions = {}
    for outer, inner in containment["supplemental"]["subdivisionContainment"].items():
        for code in inner["_contains"]:
            # The marks that CLDR appends to tell names apart are no part of the name.
            name = by_hand.NAMES.get(iso(code)) or re.sub(r" ?[²³†]$", "", names[code])
            data = {"name": name, "countryCode": code[:2].upper(), "level": 1}
            if len(outer) > 2:
                data |= {"level": 2, "parentCode": iso(outer)}
            subdivisions[iso(code)] = data
    if stale := by_hand.NAMES.keys() - subdivisions.keys():
        sys.exit(f"by_hand.NAMES has codes that CLDR has not: {sorted(stale)}")
    return subdivisions


def read_airports():
    """Airport id to data, from the CSV file: airportsdata.load() would put every number through a float."""
    path = importlib.resources.files("airportsdata") / "airports.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return dict(airport({key: " ".join(cell.split()) for key, cell in row.items()}) for row in csv.DictReader(file))


def airport(row):
    """One row as id and data. The source's key is an ICAO code, or made from an FAA or IATA code, or a national one."""
    id, icao, id_source = row["icao"], "", ""
    if has_location_indicator(row):
        icao = id
    elif id.startswith("_"):  # an id of ours cannot start so
        id, id_source = f"IATA-{id[1:]}", "iata"
    elif row["lid"] and id in (row["lid"], "K" + row["lid"]):
        id_source = "faa"
    else:
        id_source = "other"
    data = {
        "name": row["name"],
        "icao": icao,
        "idSource": id_source,
        "iata": row["iata"],
        "lid": row["lid"] if re.fullmatch("[A-Z0-9]{3,4}", row["lid"]) else "",  # not TZ-0146, which is no FAA code
        "city": row["city"],
        "subdivisionName": row["subd"],
        "countryCode": row["country"],
        "location": {"latitude": number(row["lat"]), "longitude": number(row["lon"])},
        "elevationFeet": number(row["elevation"]),
        "timeZone": row["tz"],
    }
    return id, {key: value for key, value in data.items() if value != ""}


def has_location_indicator(row):
    """ICAO codes are four letters. The source also puts K before FAA codes of Alaska and the Pacific: not ICAO's."""
    in_range_of_k = row["country"] == "US" and row["subd"] not in ("Alaska", "Hawaii", "")
    return bool(re.fullmatch("[A-Z]{4}", row["icao"])) and (row["icao"][0] != "K" or in_range_of_k)


def number(text):
    value = json.loads(text)
    assert json.dumps(value) == text, f"{text} would change its digits"
    return value


# --- Which subdivision an airport is in ------------------------------------------------------------------------------

# Letters that Unicode does not decompose into a plain one and a mark.
LETTERS = str.maketrans({"ı": "i", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "ə": "a", "ǝ": "a"})
# Words that one source has in a name and the other has not.
UNIT_WORDS = set(
    "province region state oblast governorate county department prefecture district municipality territory krai "
    "republic island islands canton parish emirate atoll division voivodeship autonomous "
    "of the de del la le les du da do and y e et el al".split()
)


def folded(name):
    """What is left of a name that two sources should agree on: `Västra Götaland` and `Vaestra-Gotalands` are one."""
    name = unicodedata.normalize("NFKD", name.casefold().translate(LETTERS))
    name = "".join(letter for letter in name if not unicodedata.combining(letter))
    words = re.sub("[^a-z0-9]", " ", re.sub("['’‘ʻʼ]", "", name)).split()
    words = [word for word in words if word not in UNIT_WORDS] or words
    return re.sub("([aou])e", r"\1", " ".join(words))


class Matcher:
    """Finds the subdivision of an airport by its name; `None` where there is none, or more than one."""

    def __init__(self, subdivisions):
        self.subdivisions = subdivisions
        self.by_name = defaultdict(set)
        for code, data in subdivisions.items():
            self.by_name[data["countryCode"], folded(data["name"])].add(code)
        self.unused = {(country, name) for country, names in by_hand.SPELLINGS.items() for name in names}

    def find(self, country, name):
        if self.spelled_by_hand(country, name):
            self.unused.discard((country, name))
            rest = by_hand.SPELLINGS[country][name]
            return rest and self.known(f"{country}-{rest}")
        codes = self.by_name.get((country, folded(name)), set())
        # Where Dhaka is a district in a division of that name, the airport is in the division either way.
        outermost = [code for code in codes if self.subdivisions[code].get("parentCode") not in codes]
        return outermost[0] if len(outermost) == 1 else None

    def spelled_by_hand(self, country, name):
        return name in by_hand.SPELLINGS.get(country, ())

    def known(self, code):
        if code not in self.subdivisions:
            sys.exit(f"by_hand.SPELLINGS has a code that CLDR has not: {code}")
        return code


# --- Operations ------------------------------------------------------------------------------------------------------


def upsert(type, id, data):
    return {"action": "UPSERT", "upsert": {"id": id, "type": type, "data": data}}


def create(type, id, data):
    return {"action": "CREATE", "create": {"id": id, "type": type, "data": data}}


def connect(type, from_id, to_id, **data):
    from_type, to_type = type.split("-in-")
    edge = {"type": type, "from": {"id": from_id, "type": from_type}, "to": {"id": to_id, "type": to_type}}
    return {"action": "CREATE", "create": edge | ({"data": data} if data else {})}


def connections(airports, subdivisions):
    """Every airport goes to its subdivision, or straight to its country where that is not known.

    The source's name of the subdivision stays where it says more than the edge: on the edge if by_hand.py led there,
    on the airport if nothing did.
    """
    matcher = Matcher(subdivisions)
    edges = {"airport-in-subdivision": [], "airport-in-country": []}
    for id, data in sorted(airports.items()):
        country, name = data["countryCode"], data.get("subdivisionName")
        if code := name and matcher.find(country, name):
            del data["subdivisionName"]
            source = {"sourceName": name} if matcher.spelled_by_hand(country, name) else {}
            edges["airport-in-subdivision"].append(connect("airport-in-subdivision", id, code, **source))
        else:
            edges["airport-in-country"].append(connect("airport-in-country", id, country))
    if matcher.unused:
        sys.exit(f"by_hand.SPELLINGS has names that airportsdata has not: {sorted(matcher.unused)}")
    edges["subdivision-in-country"] = [
        connect("subdivision-in-country", code, data["countryCode"]) for code, data in sorted(subdivisions.items())
    ]
    return edges


def conflicts(airports):
    """Accepted, for nothing is wrong with it; then two of five operations fail on what is stored."""
    heron = {
        "name": "Heron Demonstration Airfield",
        "idSource": "other",
        "countryCode": "AU",
        "location": {"latitude": -23.4423, "longitude": 151.9148},
        "timeZone": "Australia/Brisbane",
    }
    assert "ZZZZ" not in airports and "X-HERON" not in airports
    return [
        create("airport", "EGLL", airports["EGLL"]),  # 409: is there
        {"action": "DELETE", "delete": {"type": "airport", "id": "ZZZZ"}},  # 404: is not
        upsert("airport", "EGPH", airports["EGPH"] | {"name": "Edinburgh Turnhouse Airport"}),
        upsert("airport", "KSEA", airports["KSEA"]),  # equal to what is stored: unchanged
        create("airport", "X-HERON", heron),
    ]


def invalid(airports):
    """Rejected: three of eight operations do not fit the profile, each in several ways."""
    heathrow, schiphol, narita = (dict(airports[id]) for id in ("EGLL", "EHAM", "RJAA"))
    heathrow["elevatonFeet"] = heathrow.pop("elevationFeet")  # unknown, and close to a known one
    heathrow["location"] = heathrow["location"] | {"latitude": 95}  # above max
    heathrow["countryCode"] = "gb"  # pattern
    del schiphol["name"]  # required
    schiphol["icao"] = "EH4M"  # pattern
    schiphol["timeZone"] = 1  # wrong type
    narita["idSource"] = "icao"  # not in the enum
    narita["location"] = {"latitude": str(narita["location"]["latitude"])}  # wrong type; longitude is required
    narita["iata"] = "NRT "  # a code has no blank at its end; pattern
    return [
        create("airport", "CYYZ", airports["CYYZ"]),
        create("airport", "EGLL", heathrow),
        create("airport", "EFHK", airports["EFHK"]),
        upsert("airport", "EHAM", schiphol),
        create("airport", "FACT", airports["FACT"]),
        {"action": "DELETE", "delete": {"type": "airport", "id": "SBGR"}},
        upsert("airport", "RJAA", narita),
        upsert("airport", "YSSY", airports["YSSY"]),
    ]


def write_lines(name, operations):
    lines = [json.dumps(operation, ensure_ascii=False, separators=(",", ":")) + "\n" for operation in operations]
    (FOLDER / name).write_text("".join(lines), encoding="utf-8", newline="\n")
    print(f"{name}: {len(lines)}")


def main():
    check_versions()
    countries, subdivisions, airports = read_countries(), read_subdivisions(), read_airports()
    edges = connections(airports, subdivisions)
    resources = [("country", "countries", countries), ("subdivision", "subdivisions", subdivisions)]
    for type, name, records in [*resources, ("airport", "airports", airports)]:
        write_lines(f"{name}.ndjson", [create(type, id, data) for id, data in sorted(records.items())])
    for type, operations in edges.items():
        write_lines(f"{type}.ndjson", operations)
    write_lines("conflicts.ndjson", conflicts(airports))
    request = json.dumps({"operations": invalid(airports)}, ensure_ascii=False, indent=2)
    (FOLDER / "invalid.json").write_text(request + "\n", encoding="utf-8", newline="\n")
    report(airports, edges["airport-in-subdivision"])


def report(airports, edges):
    named = len(edges) + sum("subdivisionName" in data for data in airports.values())
    spelled = sum("data" in edge["create"] for edge in edges)
    print(f"{named} of {len(airports)} airports name a subdivision")
    print(f"{len(edges)} of these ({len(edges) / named:.1%}) have an edge to it, {spelled} of them by by_hand.py")


if __name__ == "__main__":
    main()
