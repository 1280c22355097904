"""The names of currencies and of their hundredth parts, by sign and by ISO code."""

from typing import NamedTuple


class Currency(NamedTuple):
    """One and several of it, one and several of its hundredth part (empty where there is none)."""

    one: str
    many: str
    small_one: str = ""
    small_many: str = ""


def _cents(one: str, many: str = "") -> Currency:
    return Currency(one, many or one + "s", "cent", "cents")


_DOLLAR = _cents("dollar")
_EURO = _cents("euro")
_POUND = Currency("pound", "pounds", "penny", "pence")
_YEN = Currency("yen", "yen")
_YUAN = Currency("yuan", "yuan")
_RUPEE = Currency("rupee", "rupees", "paisa", "paise")
_WON = Currency("won", "won")
_RUBLE = Currency("ruble", "rubles", "kopek", "kopeks")
_FRANC = Currency("Swiss franc", "Swiss francs", "centime", "centimes")
_ZLOTY = Currency("zloty", "zlotys", "grosz", "groszy")
_KRONE = Currency("krone", "kroner", "øre", "øre")
_KRONA = Currency("krona", "kronor", "öre", "öre")
_REAL = Currency("real", "reais", "centavo", "centavos")
_LIRA = Currency("lira", "lira", "kurus", "kurus")
_SHEKEL = Currency("shekel", "shekels", "agora", "agorot")
_HRYVNIA = Currency("hryvnia", "hryvnias", "kopiyka", "kopiykas")
_RAND = _cents("rand", "rand")
_PESO = Currency("peso", "pesos", "centavo", "centavos")


def _of(place: str, currency: Currency) -> Currency:
    return currency._replace(one=f"{place} {currency.one}", many=f"{place} {currency.many}")


SIGNS: dict[str, Currency] = {
    "$": _DOLLAR,
    "US$": _of("U S", _DOLLAR),
    "A$": _of("Australian", _DOLLAR),
    "AU$": _of("Australian", _DOLLAR),
    "C$": _of("Canadian", _DOLLAR),
    "CA$": _of("Canadian", _DOLLAR),
    "HK$": _of("Hong Kong", _DOLLAR),
    "NZ$": _of("New Zealand", _DOLLAR),
    "S$": _of("Singapore", _DOLLAR),
    "R$": _REAL,
    "€": _EURO,
    "£": _POUND,
    "¥": _YEN,
    "CN¥": _YUAN,
    "₹": _RUPEE,
    "Rs.": _RUPEE,
    "Rs": _RUPEE,
    "₩": _WON,
    "₽": _RUBLE,
    "₺": _LIRA,
    "₪": _SHEKEL,
    "₴": _HRYVNIA,
    "₦": Currency("naira", "naira", "kobo", "kobo"),
    "₱": _PESO,
    "₫": Currency("dong", "dong"),
    "₿": Currency("bitcoin", "bitcoins"),
    "฿": Currency("baht", "baht", "satang", "satang"),
    "kr": Currency("krone", "kroner"),
    "zł": _ZLOTY,
    "Kč": Currency("koruna", "korunas"),
}

CODES: dict[str, Currency] = {
    "USD": _of("U S", _DOLLAR),
    "AUD": _of("Australian", _DOLLAR),
    "CAD": _of("Canadian", _DOLLAR),
    "HKD": _of("Hong Kong", _DOLLAR),
    "NZD": _of("New Zealand", _DOLLAR),
    "SGD": _of("Singapore", _DOLLAR),
    "EUR": _EURO,
    "GBP": _of("British", _POUND),
    "JPY": _YEN,
    "CNY": _YUAN,
    "RMB": _YUAN,
    "INR": _of("Indian", _RUPEE),
    "KRW": _WON,
    "RUB": _RUBLE,
    "CHF": _FRANC,
    "SEK": _of("Swedish", _KRONA),
    "NOK": _of("Norwegian", _KRONE),
    "DKK": _of("Danish", _KRONE),
    "PLN": _ZLOTY,
    "CZK": Currency("Czech koruna", "Czech korunas"),
    "HUF": Currency("forint", "forints"),
    "TRY": _of("Turkish", _LIRA),
    "ILS": _SHEKEL,
    "ZAR": _RAND,
    "BRL": _REAL,
    "MXN": _of("Mexican", _PESO),
    "THB": Currency("baht", "baht", "satang", "satang"),
    "AED": Currency("dirham", "dirhams"),
    "SAR": Currency("riyal", "riyals"),
    "BTC": Currency("bitcoin", "bitcoins"),
    "ETH": Currency("ether", "ether"),
}

SCALES: dict[str, str] = {
    "K": "thousand",
    "k": "thousand",
    "M": "million",
    "m": "million",
    "MM": "million",
    "mm": "million",
    "mn": "million",
    "mln": "million",
    "mil": "million",
    "B": "billion",
    "b": "billion",
    "bn": "billion",
    "Bn": "billion",
    "BN": "billion",
    "T": "trillion",
    "tn": "trillion",
    "trn": "trillion",
    "Thousand": "thousand",
    "Million": "million",
    "Billion": "billion",
    "Trillion": "trillion",
    "lakh": "lakh",
    "crore": "crore",
    "thousand": "thousand",
    "million": "million",
    "billion": "billion",
    "trillion": "trillion",
}
