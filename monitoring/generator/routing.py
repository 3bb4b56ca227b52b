"""What Alertmanager reads in each environment, from one table of routes."""
import copy
import re

SECRETS = "/etc/alertmanager/secrets"


def receivers(route):
    yield route["receiver"]
    for child in route.get("routes", ()):
        yield from receivers(child)


def outside(wanted):
    """Slack and a webhook, whose addresses are in files."""
    made = {}
    if "slack" in wanted:
        made["slack_configs"] = [{
            "api_url_file": f"{SECRETS}/slack",
            "channel": wanted["slack"],
            "send_resolved": True,
            "color": '{{ template "seawall.color" . }}',
            "title": '{{ template "seawall.title" . }}',
            "title_link": '{{ template "seawall.link" . }}',
            "text": '{{ template "seawall.text" . }}',
        }]
    if "webhook" in wanted:
        made["webhook_configs"] = [{"url_file": f"{SECRETS}/{wanted['webhook']}", "send_resolved": True}]
    return made


def alertmanager(source, inbox, with_outside=False):
    """The configuration of an Alertmanager of its own."""
    wanted = source["outside"]
    unknown = set(wanted) - set(receivers(source["route"]))
    if unknown:
        raise ValueError(f"nothing is routed to {sorted(unknown)}")
    made = {}
    if with_outside:
        made["templates"] = ["templates/*.tmpl"]
    made["route"] = copy.deepcopy(source["route"])
    made["inhibit_rules"] = source["inhibit_rules"]
    made["receivers"] = []
    for name in dict.fromkeys(receivers(source["route"])):
        receiver = {"name": name}
        if name == "inbox":
            receiver["webhook_configs"] = [{"url": inbox, "send_resolved": True}]
        elif with_outside:
            receiver |= outside(wanted.get(name, {}))
        made["receivers"].append(receiver)
    return made


def matcher(text):
    name, how, value = re.fullmatch(r'(\w+)(=~|!~|!=|=)"(.*)"', text).groups()
    return {"name": name, "value": value, "matchType": how}


def camel(name):
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def operators_route(route):
    """A route as the Prometheus operator names its parts."""
    made = {}
    for key, value in route.items():
        if key == "matchers":
            value = [matcher(text) for text in value]
        elif key == "routes":
            value = [operators_route(child) for child in value]
        made[camel(key)] = value
    return made


def operators_config(source, inbox):
    """The AlertmanagerConfig of a cluster. Its operator adds the namespace to every route."""
    return {
        "apiVersion": "monitoring.coreos.com/v1alpha1",
        "kind": "AlertmanagerConfig",
        "metadata": {"name": "seawall"},
        "spec": {
            "route": operators_route(source["route"]),
            "inhibitRules": [
                {
                    "sourceMatch": [matcher(text) for text in rule["source_matchers"]],
                    "targetMatch": [matcher(text) for text in rule["target_matchers"]],
                    "equal": rule["equal"],
                }
                for rule in source["inhibit_rules"]
            ],
            "receivers": [
                {"name": name, "webhookConfigs": [{"url": inbox, "sendResolved": True}]} if name == "inbox" else {"name": name}
                for name in dict.fromkeys(receivers(source["route"]))
            ],
        },
    }
