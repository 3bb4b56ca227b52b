"""Every rule on every rendered folder."""
import environments
import network
import pods
import references

RULES = [*pods.RULES, *references.RULES, *network.RULES, *environments.RULES]


def findings(rendered, facts):
    """Rule and text. The base is no platform yet, and experiments of Chaos Mesh stand alone: only schemas are for them."""
    if rendered.environment not in environments.TABLE:
        return
    for rule in RULES:
        yield from rule(rendered, facts)
