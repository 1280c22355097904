"""Units of measure: the symbol, and the name of one and of several."""

from gateway.text.spoken.rule import word_set

_PREFIXED: dict[str, tuple[str, str]] = {
    "m": ("meter", "p n μ u m c d k"),
    "g": ("gram", "n μ u m k"),
    "l": ("liter", "μ u m c d"),
    "L": ("liter", "μ u m c d"),
    "s": ("second", "n μ u m"),
    "W": ("watt", "m k M G T"),
    "Wh": ("watt hour", "k M G T"),
    "V": ("volt", "m k M"),
    "A": ("amp", "m μ"),
    "Ah": ("amp hour", "m"),
    "J": ("joule", "m k M G"),
    "N": ("newton", "k M"),
    "Pa": ("pascal", "h k M G"),
    "Hz": ("hertz", "k M G T"),
    "eV": ("electron volt", "k M G T"),
    "B": ("byte", "k K M G T P E"),
    "b": ("bit", "k M G T"),
    "bit": ("bit", "k M G"),
    "bps": ("bit per second", "k K M G T"),
    "F": ("farad", "p n μ u m"),
    "H": ("henry", "n μ m"),
    "Ω": ("ohm", "m k M"),
    "mol": ("mole", "n μ m"),
    "t": ("ton", "k M"),
    "cal": ("calorie", "k"),
    "bar": ("bar", "m"),
    "Sv": ("sievert", "m μ"),
    "T": ("tesla", "m μ"),
    "pc": ("parsec", "k M G"),
}
_PREFIXES = {
    "p": "pico",
    "n": "nano",
    "μ": "micro",
    "u": "micro",
    "m": "milli",
    "c": "centi",
    "d": "deci",
    "h": "hecto",
    "k": "kilo",
    "K": "kilo",
    "M": "mega",
    "G": "giga",
    "T": "tera",
    "P": "peta",
    "E": "exa",
}
_INVARIANT = ("hertz", "henry")

_OTHERS: dict[str, tuple[str, str]] = {
    "KiB": ("kibibyte", "kibibytes"),
    "MiB": ("mebibyte", "mebibytes"),
    "GiB": ("gibibyte", "gibibytes"),
    "TiB": ("tebibyte", "tebibytes"),
    "kB": ("kilobyte", "kilobytes"),
    "gb": ("gigabyte", "gigabytes"),
    "mb": ("megabyte", "megabytes"),
    "kb": ("kilobyte", "kilobytes"),
    "tb": ("terabyte", "terabytes"),
    "hz": ("hertz", "hertz"),
    "khz": ("kilohertz", "kilohertz"),
    "KHz": ("kilohertz", "kilohertz"),
    "mhz": ("megahertz", "megahertz"),
    "ghz": ("gigahertz", "gigahertz"),
    "Ghz": ("gigahertz", "gigahertz"),
    "KM": ("kilometer", "kilometers"),
    "Km": ("kilometer", "kilometers"),
    "Kg": ("kilogram", "kilograms"),
    "KG": ("kilogram", "kilograms"),
    "kgs": ("kilogram", "kilograms"),
    "kms": ("kilometer", "kilometers"),
    "mL": ("milliliter", "milliliters"),
    "cc": ("cubic centimeter", "cubic centimeters"),
    "ha": ("hectare", "hectares"),
    "msec": ("millisecond", "milliseconds"),
    "sec": ("second", "seconds"),
    "secs": ("second", "seconds"),
    "min": ("minute", "minutes"),
    "mins": ("minute", "minutes"),
    "h": ("hour", "hours"),
    "hr": ("hour", "hours"),
    "hrs": ("hour", "hours"),
    "wk": ("week", "weeks"),
    "wks": ("week", "weeks"),
    "mo": ("month", "months"),
    "mos": ("month", "months"),
    "yr": ("year", "years"),
    "yrs": ("year", "years"),
    "mph": ("mile per hour", "miles per hour"),
    "kph": ("kilometer per hour", "kilometers per hour"),
    "kmph": ("kilometer per hour", "kilometers per hour"),
    "kmh": ("kilometer per hour", "kilometers per hour"),
    "mpg": ("mile per gallon", "miles per gallon"),
    "fps": ("frame per second", "frames per second"),
    "rpm": ("revolution per minute", "revolutions per minute"),
    "RPM": ("revolution per minute", "revolutions per minute"),
    "bpm": ("beat per minute", "beats per minute"),
    "wpm": ("word per minute", "words per minute"),
    "ft": ("foot", "feet"),
    "yd": ("yard", "yards"),
    "yds": ("yard", "yards"),
    "mi": ("mile", "miles"),
    "nmi": ("nautical mile", "nautical miles"),
    "lb": ("pound", "pounds"),
    "lbs": ("pound", "pounds"),
    "oz": ("ounce", "ounces"),
    "fl oz": ("fluid ounce", "fluid ounces"),
    "gal": ("gallon", "gallons"),
    "qt": ("quart", "quarts"),
    "pt": ("pint", "pints"),
    "tsp": ("teaspoon", "teaspoons"),
    "tbsp": ("tablespoon", "tablespoons"),
    "sq ft": ("square foot", "square feet"),
    "sq. ft": ("square foot", "square feet"),
    "sqft": ("square foot", "square feet"),
    "sq m": ("square meter", "square meters"),
    "sq km": ("square kilometer", "square kilometers"),
    "sq mi": ("square mile", "square miles"),
    "cu ft": ("cubic foot", "cubic feet"),
    "psi": ("pound per square inch", "pounds per square inch"),
    "hp": ("horsepower", "horsepower"),
    "dB": ("decibel", "decibels"),
    "dBA": ("decibel A", "decibels A"),
    "db": ("decibel", "decibels"),
    "lm": ("lumen", "lumens"),
    "lx": ("lux", "lux"),
    "px": ("pixel", "pixels"),
    "MP": ("megapixel", "megapixels"),
    "dpi": ("dot per inch", "dots per inch"),
    "ppm": ("part per million", "parts per million"),
    "ly": ("light year", "light years"),
    "AU": ("astronomical unit", "astronomical units"),
    "bp": ("basis point", "basis points"),
    "atm": ("atmosphere", "atmospheres"),
    "mmHg": ("millimeter of mercury", "millimeters of mercury"),
    "kn": ("knot", "knots"),
    "ct": ("carat", "carats"),
    "%": ("percent", "percent"),
    "‰": ("per mille", "per mille"),
    "pct": ("percent", "percent"),
    "°C": ("degree Celsius", "degrees Celsius"),
    "° C": ("degree Celsius", "degrees Celsius"),
    "°F": ("degree Fahrenheit", "degrees Fahrenheit"),
    "° F": ("degree Fahrenheit", "degrees Fahrenheit"),
    "°K": ("kelvin", "kelvin"),
    "°": ("degree", "degrees"),
    "Nm": ("newton meter", "newton meters"),
    "kcal": ("kilocalorie", "kilocalories"),
}

AMBIGUOUS = word_set("A F H T N J AU t b pt mo kn ct pc bp B")
"""Letters that mean something else as often: units only with a decimal fraction before them."""

PER: dict[str, str] = {
    "s": "second",
    "sec": "second",
    "second": "second",
    "min": "minute",
    "h": "hour",
    "hr": "hour",
    "hour": "hour",
    "d": "day",
    "day": "day",
    "week": "week",
    "month": "month",
    "yr": "year",
    "year": "year",
    "kg": "kilogram",
    "g": "gram",
    "m": "meter",
    "km": "kilometer",
    "cm": "centimeter",
    "ha": "hectare",
    "l": "liter",
    "L": "liter",
    "ml": "milliliter",
    "mL": "milliliter",
    "dl": "deciliter",
    "dL": "deciliter",
    "gal": "gallon",
    "lb": "pound",
    "ft": "foot",
    "in": "inch",
    "mol": "mole",
    "K": "kelvin",
    "person": "person",
    "100 km": "one hundred kilometers",
    "100km": "one hundred kilometers",
}
"""What may stand behind the stroke of a unit: km/h, mg/dL."""


POWERS = {"²": "square", "2": "square", "^2": "square", "³": "cubic", "3": "cubic", "^3": "cubic"}
"""What may stand behind a length: m², ft^3."""


def _plural(name: str) -> str:
    if name.endswith(_INVARIANT):
        return name
    first, per, rest = name.partition(" per ")
    return first + "s" + per + rest


def _names() -> dict[str, tuple[str, str]]:
    names: dict[str, tuple[str, str]] = {}
    for symbol, (name, prefixes) in _PREFIXED.items():
        names[symbol] = (name, _plural(name))
        for prefix in prefixes.split():
            whole = _PREFIXES[prefix] + name
            names[prefix + symbol] = (whole, _plural(whole))
    del names["bit"]
    return names | _OTHERS


NAMES: dict[str, tuple[str, str]] = _names()
"""The symbol as written to (the name of one, the name of several)."""
