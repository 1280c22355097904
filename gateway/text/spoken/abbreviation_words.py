"""Abbreviations and their words, by where they may stand."""

from gateway.text.spoken.rule import word_set

# Always that word, before anything.
WORDS: dict[str, str] = {
    "Mr": "Mister",
    "Mrs": "Missus",
    "Ms": "Miz",
    "Drs": "Doctors",
    "Messrs": "Messieurs",
    "Prof": "Professor",
    "Gen": "General",
    "Capt": "Captain",
    "Cpt": "Captain",
    "Cmdr": "Commander",
    "Sgt": "Sergeant",
    "Lt": "Lieutenant",
    "Col": "Colonel",
    "Maj": "Major",
    "Cpl": "Corporal",
    "Pvt": "Private",
    "Adm": "Admiral",
    "Gov": "Governor",
    "Sen": "Senator",
    "Rep": "Representative",
    "Rev": "Reverend",
    "Hon": "Honorable",
    "Pres": "President",
    "Supt": "Superintendent",
    "Atty": "Attorney",
    "Det": "Detective",
    "Insp": "Inspector",
    "Amb": "Ambassador",
    "Mt": "Mount",
    "Ft": "Fort",
    "Jr": "Junior",
    "Sr": "Senior",
    "Esq": "Esquire",
    "Inc": "Incorporated",
    "Ltd": "Limited",
    "Corp": "Corporation",
    "Co": "Company",
    "Bros": "Brothers",
    "Assn": "Association",
    "Univ": "University",
    "Inst": "Institute",
    "Ave": "Avenue",
    "Blvd": "Boulevard",
    "Rd": "Road",
    "Ln": "Lane",
    "Ct": "Court",
    "Pl": "Place",
    "Pkwy": "Parkway",
    "Hwy": "Highway",
    "Sq": "Square",
    "Bldg": "Building",
    "dept": "department",
    "approx": "approximately",
    "appt": "appointment",
    "misc": "miscellaneous",
    "govt": "government",
    "est": "estimated",
    "avg": "average",
    "max": "maximum",
    "temp": "temperature",
    "tel": "telephone",
    "ext": "extension",
    "apt": "apartment",
    "ste": "suite",
    "vs": "versus",
    "etc": "et cetera",
    "cf": "compare",
    "ca": "circa",
    "resp": "respectively",
    "incl": "including",
    "excl": "excluding",
    "esp": "especially",
    "orig": "originally",
    "intl": "international",
    "natl": "national",
    "dist": "district",
    "div": "division",
    "ed": "edition",
    "eds": "editors",
    "trans": "translated",
    "viz": "namely",
    "ibid": "ibidem",
    "attn": "attention",
    "assoc": "associate",
    "asst": "assistant",
    "qty": "quantity",
    "tbsp": "tablespoon",
    "tsp": "teaspoon",
    "al": "al",
    "std": "standard",
    "wt": "weight",
    "yrs": "years",
    "hrs": "hours",
    "mins": "minutes",
    "WWI": "World War one",
    "WWII": "World War two",
    "secs": "seconds",
}
ANY_CASE = frozenset(word for word in WORDS if word.islower())
NO_DOT = word_set(
    """
    etc WWII WWI Mr Mrs Ms vs Jr Sr Inc Ltd dept govt approx Blvd Hwy Pkwy Sgt Capt Lt
    """
)
"""Read in full without their dot too."""
BEFORE_NAME = word_set(
    """
    Gen Col Maj Rep Hon Pres Sen Adm Mt Ft Gov Rev Lt Capt Prof Mr Mrs Ms Supt Atty Cpl Pvt
    """
)
BEFORE_CAPITAL = word_set("Gen Col Maj Rep Hon Pres Adm Mt Ft Det Insp Amb")
"""Words of their own unless a name follows."""
FIRST_NAMES = word_set("Max Ed")
"""Names with a capital, unless a number or a small letter follows."""
OPENERS = word_set(
    """
    The She He It They We I You A An In On At But And This That There My His Her
    """
)
"""Words that begin a sentence far more often than a name."""
LAST = word_set(
    """
    etc al Inc Ltd Corp Co Jr Sr Esq Ave Blvd Rd Ln Ct Pl Sq Bros est misc dept
    """
)
"""What may be the last word of a sentence."""
BEHIND_NAME = word_set("Ave Blvd Rd Ln Ct Pl Sq Co")

# Only before a number (or a letter that stands for one).
NUMBERED: dict[str, str] = {
    "no": "number",
    "nos": "numbers",
    "nr": "number",
    "p": "page",
    "pp": "pages",
    "pg": "page",
    "vol": "volume",
    "vols": "volumes",
    "fig": "figure",
    "figs": "figures",
    "ch": "chapter",
    "chap": "chapter",
    "sec": "section",
    "sect": "section",
    "art": "article",
    "eq": "equation",
    "ex": "example",
    "app": "appendix",
    "par": "paragraph",
    "v": "verse",
    "l": "line",
    "ll": "lines",
    "n": "note",
    "c": "circa",
    "min": "minimum",
    "ver": "version",
    "rm": "room",
    "tab": "table",
    "lvl": "level",
    "est": "established",
    "op": "opus",
    "ser": "series",
    "ph": "phone",
}
