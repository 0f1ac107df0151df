"""Makes the data files of this folder from airportsdata, OurAirports, iso3166 and CLDR. README.md says how to run it.

The same versions give the same bytes: files are sorted, numbers keep the digits of the source, nothing is random.
What the sources do not say stays absent. The judgements that a program cannot make are in by_hand.py.
"""

import copy
import csv
import gzip
import importlib.metadata
import importlib.resources
import json
import math
import re
import sys
import tarfile
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path

import by_hand

PYTHON_PACKAGES = {"airportsdata": "20260905", "iso3166": "3.0.0", "ourairports": "1.1.0.20221011"}
CLDR_PACKAGES = {"cldr-core": "48.2.0", "cldr-subdivisions-full": "48.2.0"}
FOLDER = Path(__file__).resolve().parent

# Who gives the codes that records are identified by.
ICAO, IATA, FAA = "https://icao.int/doc7910", "https://iata.org/codes", "https://faa.gov/lid"
ISO_3166 = "urn:iso:std:iso:3166:-1"


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
            faults.append(f"{name}: found {found}, need {wanted} (pip install --no-deps -r requirements.txt)")
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
    """Country code to record. Codes that ISO leaves to users (XK, Kosovo) are marked: they are no part of ISO 3166."""
    import iso3166

    def record(country):
        user_assigned = re.fullmatch(r"AA|Q[M-Z]|X[A-Z]|ZZ", country.alpha2)
        data = {
            "name": country.name,
            "alpha3": country.alpha3,
            "numeric": country.numeric,
            "status": "user-assigned" if user_assigned else "assigned",
        }
        codes = {"alpha-2": country.alpha2, "alpha-3": country.alpha3, "numeric": country.numeric}
        use = "usual" if user_assigned else "official"
        return {"data": data} | identified(use, {f"{ISO_3166}:{kind}": code for kind, code in codes.items()})

    return {country.alpha2: record(country) for country in iso3166.countries}


def read_subdivisions():
    """Subdivision code to record. CLDR writes `gbeng` for GB-ENG, and `GB` contains `gbeng` contains `gblnd`."""

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
            subdivisions[iso(code)] = {"data": data}
    if stale := by_hand.NAMES.keys() - subdivisions.keys():
        sys.exit(f"by_hand.NAMES has codes that CLDR has not: {sorted(stale)}")
    return subdivisions


def read_airports():
    """Airport id to record, from the CSV file: airportsdata.load() would put every number through a float."""
    path = importlib.resources.files("airportsdata") / "airports.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return dict(airport({key: " ".join(cell.split()) for key, cell in row.items()}) for row in csv.DictReader(file))


def airport(row):
    """One row as id and record. The source's key is an ICAO code, made from an FAA or IATA code, or a national one."""
    id, icao, id_source = row["icao"], "", ""
    if has_location_indicator(row):
        icao = id
    elif id.startswith("_"):  # an id of ours cannot start so
        id, id_source = f"IATA-{id[1:]}", "iata"
    elif row["lid"] and id in (row["lid"], "K" + row["lid"]):
        id_source = "faa"
    else:
        id_source = "other"
    lid = row["lid"] if re.fullmatch("[A-Z0-9]{3,4}", row["lid"]) else ""  # not TZ-0146, which is no FAA code
    data = {
        "name": row["name"],
        "icao": icao,
        "idSource": id_source,
        "iata": row["iata"],
        "lid": lid,
        "address": present({"city": row["city"], "state": row["subd"], "country": row["country"]}),
        "location": geopoint(row["lat"], row["lon"]),
        "elevationFeet": number(row["elevation"]),
        "timeZone": row["tz"],
    }
    return id, {"data": present(data)} | identified("official", {ICAO: icao, IATA: row["iata"], FAA: lid})


def has_location_indicator(row):
    """ICAO codes are four letters. The source also puts K before FAA codes of Alaska and the Pacific: not ICAO's."""
    in_range_of_k = row["country"] == "US" and row["subd"] not in ("Alaska", "Hawaii", "")
    return bool(re.fullmatch("[A-Z]{4}", row["icao"])) and (row["icao"][0] != "K" or in_range_of_k)


def present(data):
    return {key: value for key, value in data.items() if value not in ("", None)}


def identified(use, codes):
    """The part of a record that says which codes it is known by, to each who gives them the code."""
    identifiers = [{"use": use, "system": system, "value": code} for system, code in present(codes).items()]
    return {"meta": {"identifier": identifiers}} if identifiers else {}


def geopoint(latitude, longitude):
    return {"latitude": number(latitude), "longitude": number(longitude)} if latitude and longitude else None


def number(text):
    if text == "":
        return None
    value = json.loads(text)
    assert json.dumps(value) == text, f"{text} would change its digits"
    return value


# --- Runways of large airports ---------------------------------------------------------------------------------------

# How far apart the two sources may have an airport for it to be the same, in kilometres.
APART_MAX = 5
DESIGNATOR = re.compile("(0[1-9]|[12][0-9]|3[0-6])[LCRW]?")


def add_runways(airports):
    """Puts the runways that OurAirports knows into the airports that it calls large."""
    large = {row["ident"]: row for row in read_ourairports("airports") if row["type"] == "large_airport"}
    unused, runways = set(by_hand.SURFACES), defaultdict(list)
    for row in read_ourairports("runways"):
        record = airports.get(row["airport_ident"])
        if row["airport_ident"] not in large or row["closed"] == "1" or not record or "icao" not in record["data"]:
            continue
        at = large[row["airport_ident"]]
        if apart(geopoint(at["latitude_deg"], at["longitude_deg"]), record["data"]["location"]) > APART_MAX:
            continue
        if DESIGNATOR.fullmatch(row["le_ident"]) and DESIGNATOR.fullmatch(row["he_ident"]):  # not a helipad, H1
            unused.discard(row["surface"])
            runways[row["airport_ident"]].append(runway(row))
    for id, contained in runways.items():
        airports[id]["contained"] = {"runways": sorted(contained, key=lambda runway: runway["id"])}
    if unused:
        sys.exit(f"by_hand.SURFACES has surfaces that OurAirports has not: {sorted(unused)}")
    return sum(map(len, runways.values()))


def read_ourairports(name):
    """The rows of a table. It is read as a file, since importing the package takes what it depends on."""
    path = importlib.metadata.distribution("ourairports").locate_file(f"ourairports/data/{name}.csv.gz")
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def runway(row):
    low, high = row["le_ident"], row["he_ident"]
    if row["surface"] and row["surface"] not in by_hand.SURFACES:
        sys.exit(f"by_hand.SURFACES lacks {row['surface']!r}, of {row['airport_ident']} {low}/{high}")
    data = {
        "designation": f"{low}/{high}",
        "lengthFeet": number(row["length_ft"]),
        "widthFeet": number(row["width_ft"]),
        "surface": by_hand.SURFACES.get(row["surface"]),
        "lighted": row["lighted"] == "1",
    }
    ends = [runway_end(row, "le"), runway_end(row, "he")]
    return {"id": f"{low}-{high}", "type": "runway", "data": present(data), "contained": {"ends": ends}}


def runway_end(row, end):
    data = {
        "threshold": geopoint(row[f"{end}_latitude_deg"], row[f"{end}_longitude_deg"]),
        "elevationFeet": number(row[f"{end}_elevation_ft"]),
        "headingDegrees": number(row[f"{end}_heading_degT"]),
        "displacedFeet": number(row[f"{end}_displaced_threshold_ft"]),
    }
    return {"id": row[f"{end}_ident"], "type": "runway-end", "data": present(data)}


def apart(one, other):
    """About how many kilometres lie between two points that are not far from each other."""
    north = one["latitude"] - other["latitude"]
    east = (one["longitude"] - other["longitude"]) * math.cos(math.radians(one["latitude"]))
    return math.hypot(north, east) * 111.2


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
        for code, subdivision in subdivisions.items():
            data = subdivision["data"]
            self.by_name[data["countryCode"], folded(data["name"])].add(code)
        self.unused = {(country, name) for country, names in by_hand.SPELLINGS.items() for name in names}

    def find(self, country, name):
        if self.spelled_by_hand(country, name):
            self.unused.discard((country, name))
            rest = by_hand.SPELLINGS[country][name]
            return rest and self.known(f"{country}-{rest}")
        codes = self.by_name.get((country, folded(name)), set())
        # Where Dhaka is a district in a division of that name, the airport is in the division either way.
        outermost = [code for code in codes if self.subdivisions[code]["data"].get("parentCode") not in codes]
        return outermost[0] if len(outermost) == 1 else None

    def spelled_by_hand(self, country, name):
        return name in by_hand.SPELLINGS.get(country, ())

    def known(self, code):
        if code not in self.subdivisions:
            sys.exit(f"by_hand.SPELLINGS has a code that CLDR has not: {code}")
        return code


# --- Operations ------------------------------------------------------------------------------------------------------


def upsert(type, id, record):
    return {"action": "UPSERT", "upsert": {"id": id, "type": type, **record}}


def create(type, id, record):
    return {"action": "CREATE", "create": {"id": id, "type": type, **record}}


def connect(type, from_id, to_id, **data):
    from_type, to_type = type.split("-in-")
    edge = {"type": type, "from": {"id": from_id, "type": from_type}, "to": {"id": to_id, "type": to_type}}
    return {"action": "CREATE", "create": edge | ({"data": data} if data else {})}


def connections(airports, subdivisions):
    """Every airport goes to its subdivision, or straight to its country where that is not known.

    Where by_hand.py led there, the edge says from which name of the source.
    """
    matcher = Matcher(subdivisions)
    edges = {"airport-in-subdivision": [], "airport-in-country": []}
    for id, airport in sorted(airports.items()):
        address = airport["data"]["address"]
        country, name = address["country"], address.get("state")
        if code := name and matcher.find(country, name):
            source = {"sourceName": name} if matcher.spelled_by_hand(country, name) else {}
            edges["airport-in-subdivision"].append(connect("airport-in-subdivision", id, code, **source))
        else:
            edges["airport-in-country"].append(connect("airport-in-country", id, country))
    if matcher.unused:
        sys.exit(f"by_hand.SPELLINGS has names that airportsdata has not: {sorted(matcher.unused)}")
    edges["subdivision-in-country"] = [
        connect("subdivision-in-country", code, subdivision["data"]["countryCode"])
        for code, subdivision in sorted(subdivisions.items())
    ]
    return edges


def changed(record, **data):
    return record | {"data": record["data"] | data}


def conflicts(airports):
    """Accepted, for nothing is wrong with it; then two of five operations fail on what is stored."""
    heron = {
        "name": "Heron Demonstration Airfield",
        "idSource": "other",
        "address": {"country": "AU"},
        "location": {"latitude": -23.4423, "longitude": 151.9148},
        "timeZone": "Australia/Brisbane",
    }
    assert "ZZZZ" not in airports and "X-HERON" not in airports
    return [
        create("airport", "EGLL", airports["EGLL"]),  # 409: is there
        {"action": "DELETE", "delete": {"type": "airport", "id": "ZZZZ"}},  # 404: is not
        upsert("airport", "EGPH", changed(airports["EGPH"], name="Edinburgh Turnhouse Airport")),
        upsert("airport", "KSEA", airports["KSEA"]),  # equal to what is stored: unchanged
        create("airport", "X-HERON", {"data": heron}),
    ]


def invalid(airports):
    """Rejected: three of eight operations do not fit the profile, each in several ways."""
    airports = {id: copy.deepcopy(airports[id]) for id in ("CYYZ", "EFHK", "EGLL", "EHAM", "FACT", "RJAA", "YSSY")}
    for id in airports.keys() - {"EHAM"}:
        del airports[id]["contained"]
    heathrow, schiphol, narita = (airports[id] for id in ("EGLL", "EHAM", "RJAA"))
    data = heathrow["data"]
    data["elevatonFeet"] = data.pop("elevationFeet")  # unknown, and close to a known one
    data["location"]["latitude"] = 95  # of no geopoint
    data["address"]["country"] = "gb"  # pattern
    heathrow["meta"]["identifier"].append(heathrow["meta"]["identifier"][0])  # twice the same
    data = schiphol["data"]
    del data["name"]  # required
    data["icao"] = "EH4M"  # pattern
    data["timeZone"] = 1  # wrong type
    [runway, *_] = schiphol["contained"]["runways"]
    schiphol["contained"]["runways"] = [runway]
    runway["data"]["surface"] = "tarmac"  # not in the enum
    runway["contained"]["ends"][1]["data"]["headingDegrees"] = 420.9  # above max
    data = narita["data"]
    data["idSource"] = "icao"  # not in the enum
    data["location"] = {"latitude": str(data["location"]["latitude"])}  # wrong type; longitude is required
    data["iata"] = "NRT "  # a code has no blank at its end; pattern
    narita["meta"]["identifier"][1]["use"] = "source"  # is the server's own
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
    runways = add_runways(airports)
    edges = connections(airports, subdivisions)
    resources = [("country", "countries", countries), ("subdivision", "subdivisions", subdivisions)]
    for type, name, records in [*resources, ("airport", "airports", airports)]:
        write_lines(f"{name}.ndjson", [create(type, id, record) for id, record in sorted(records.items())])
    for type, operations in edges.items():
        write_lines(f"{type}.ndjson", operations)
    write_lines("conflicts.ndjson", conflicts(airports))
    request = json.dumps({"operations": invalid(airports)}, ensure_ascii=False, indent=2)
    (FOLDER / "invalid.json").write_text(request + "\n", encoding="utf-8", newline="\n")
    report(airports, edges["airport-in-subdivision"], runways)


def report(airports, edges, runways):
    named = sum("state" in airport["data"]["address"] for airport in airports.values())
    spelled = sum("data" in edge["create"] for edge in edges)
    print(f"{named} of {len(airports)} airports name a subdivision")
    print(f"{len(edges)} of these ({len(edges) / named:.1%}) have an edge to it, {spelled} of them by by_hand.py")
    print(f"{runways} runways in {sum('contained' in airport for airport in airports.values())} airports")
    metas = [airport.get("meta", {}) for airport in airports.values()]
    identifiers = Counter(identifier["system"] for meta in metas for identifier in meta.get("identifier", ()))
    for system, count in sorted(identifiers.items()):
        print(f"{count} are identified by {system}")


if __name__ == "__main__":
    main()
