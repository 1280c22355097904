"""PromQL of the dashboard: who is asked, and the forms that panels share."""

Query = tuple[str, str]
"""PromQL, and how Grafana names its lines."""

GATEWAY = 'instance=~"$gateway"'
GENERATOR = 'instance=~"$generator"'
TOKENIZER = 'instance=~"$tokenizer"'
ANY = 'instance=~"$gateway|$generator|$tokenizer"'


def rate(selector: str) -> str:
    """Increase a second."""
    return f"rate({selector}[$__rate_interval])"


def quantiles(
    metric: str, where: str, by: str = "", shares: tuple[int, ...] = (50, 95)
) -> list[Query]:
    """A histogram's quantiles in percent, apart by the labels `by`."""
    labels = f"le, {by}" if by else "le"
    return [
        (
            f"histogram_quantile({share / 100:g}, "
            f"sum by ({labels}) ({rate(f'{metric}_bucket{{{where}}}')}))",
            f"p{share} {_names(by)}".strip(),
        )
        for share in shares
    ]


def share(part: str, whole: str) -> str:
    """One sum of rates over another."""
    return f"sum({rate(part)}) / sum({rate(whole)})"


def by(labels: str, selector: str, legend: str = "") -> Query:
    """A counter's rates, apart by labels; the legend is theirs where none is given."""
    return f"sum by ({labels}) ({rate(selector)})", legend or _names(labels)


def total(selector: str, legend: str) -> Query:
    """A counter's rate, all together."""
    return f"sum({rate(selector)})", legend


def _names(labels: str) -> str:
    return " ".join(f"{{{{{label}}}}}" for label in labels.split(", ") if label)
