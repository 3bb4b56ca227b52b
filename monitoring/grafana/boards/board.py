"""What a dashboard is made of, in the form that Grafana 12 reads."""
PROMETHEUS = {"type": "prometheus", "uid": "prometheus"}
LOKI = {"type": "loki", "uid": "loki"}
RUNBOOKS = "https://github.com/seawall/seawall/blob/main/docs/runbooks/"
# Our own; exporters and Prometheus itself are looked at elsewhere.
SERVICES = "gateway|order|inventory|notification|auth|image|worker|commander"
# Puts a name on what can't be told apart by its service. Whatever the environment calls a replica.
EACH = "{{job}} {{replica}}{{pod}} {{instance}}"
NAMESPACE = 'namespace=~"$namespace"'
OURS = f'{NAMESPACE},job=~"$service"'
# Probes aren't customers, and neither is the operator: as in prometheus/slos.yml.
CUSTOMERS = f'{NAMESPACE},job="gateway",route!~"/(health|ready)|/api/ops/.*"'
# 501 says that a client asked for what isn't there.
FAILED = 'status=~"5..",status!="501"'

GREEN, YELLOW, RED, BLUE = "green", "yellow", "red", "blue"


def query(expr, legend="", *, instant=False, exemplar=False, source=PROMETHEUS, heatmap=False):
    made = {"datasource": source, "expr": expr, "legendFormat": legend, "instant": instant, "range": not instant}
    if source is LOKI:
        return {**made, "queryType": "instant" if instant else "range"}
    return {**made, "exemplar": exemplar, "format": "heatmap" if heatmap else "time_series", "editorMode": "code"}


def steps(*limits):
    """(from, colour) pairs, the first one from below."""
    return [{"value": limit, "color": colour} for limit, colour in ((None, limits[0]), *limits[1:])]


def mapping(texts):
    """What a number is called, and its colour."""
    options = {
        value: {"text": text, "color": colour, "index": index} for index, (value, (text, colour)) in enumerate(texts.items())
    }
    return [{"type": "value", "options": options}]


OPTIONS = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "background", "graphMode": "area", "textMode": "auto", "orientation": "auto", "justifyMode": "auto",
    },
    "bargauge": {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "displayMode": "gradient", "orientation": "horizontal", "showUnfilled": True,
    },
    "gauge": {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "showThresholdLabels": False, "showThresholdMarkers": True,
    },
    "state-timeline": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False},
        "showValue": "never", "rowHeight": 0.8, "mergeValues": True, "tooltip": {"mode": "single"},
    },
    "heatmap": {
        "calculate": False, "cellGap": 1, "yAxis": {"unit": "s"}, "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64},
        "tooltip": {"mode": "single", "yHistogram": True}, "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "rowsFrame": {"layout": "auto"}, "cellValues": {"unit": "short"},
    },
    "table": {"showHeader": True, "cellHeight": "sm", "footer": {"show": False}},
    "logs": {
        "showTime": True, "wrapLogMessage": True, "enableLogDetails": True, "sortOrder": "Descending",
        "dedupStrategy": "none", "prettifyLogMessage": False, "showLabels": False,
    },
}


def panel(title, about, *queries, kind="timeseries", unit="short", limits=None, maps=None, width=8, height=8,
          stack=False, most=None, least=0, runbook=None):
    """One panel. `limits` are thresholds as `steps` takes them, `most` and `least` the ends of the axis."""
    custom = {}
    if kind == "timeseries":
        custom = {
            "drawStyle": "line", "lineWidth": 1, "fillOpacity": 25 if stack else 10, "showPoints": "never",
            "spanNulls": False, "stacking": {"mode": "normal" if stack else "none", "group": "A"},
            "thresholdsStyle": {"mode": "dashed" if limits else "off"}, "axisSoftMin": 0,
        }
    if kind == "state-timeline":
        custom = {"lineWidth": 0, "fillOpacity": 80}
    defaults = {
        "unit": unit, "custom": custom, "mappings": mapping(maps) if maps else [],
        "color": {"mode": "palette-classic" if kind == "timeseries" else "thresholds"},
        "thresholds": {"mode": "absolute", "steps": steps(*(limits or (BLUE if kind in ("stat", "bargauge") else GREEN,)))},
    }
    if least is not None:
        defaults["min"] = least
    if most is not None:
        defaults["max"] = most
    links = [{"title": f"Runbook {runbook}", "url": f"{RUNBOOKS}{runbook}.md", "targetBlank": True}] if runbook else []
    return {
        "type": kind, "title": title, "description": about, "datasource": queries[0]["datasource"], "links": links,
        "gridPos": {"w": width, "h": height},
        "targets": [{"refId": chr(ord("A") + index)} | each for index, each in enumerate(queries)],
        "fieldConfig": {"defaults": defaults, "overrides": []}, "options": OPTIONS[kind],
    }


def stat(title, about, expr, **more):
    """One number, three of them beside a graph's width."""
    return panel(title, about, query(expr), **({"kind": "stat", "width": 4, "height": 4} | more))


def row(title):
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"w": 24, "h": 1}}


def placed(panels):
    """Left to right, and down where a line is full; each has a number."""
    x = y = tallest = 0
    for number, each in enumerate(panels, 1):
        width, height = each["gridPos"]["w"], each["gridPos"]["h"]
        if x + width > 24:
            x, y, tallest = 0, y + tallest, 0
        yield each | {"id": number, "gridPos": {"x": x, "y": y, "w": width, "h": height}}
        x, tallest = x + width, max(tallest, height)


def variable(name, label, expr, *, source=PROMETHEUS, everything=".*"):
    """A choice among the values of a label; many may be chosen, and all are at first."""
    return {
        "type": "query", "name": name, "label": label, "datasource": source,
        "query": {"query": expr, "refId": name} if source is PROMETHEUS else expr, "definition": expr,
        "multi": True, "includeAll": True, "allValue": everything, "refresh": 2, "sort": 1, "hide": 0,
        "current": {"text": ["All"], "value": ["$__all"]}, "options": [], "skipUrlSync": False,
    }


NAMESPACES = variable("namespace", "Namespace", "label_values(http_requests_in_flight, namespace)")
SERVICE = variable(
    "service", "Service", 'label_values(http_requests_in_flight{namespace=~"$namespace"}, job)', everything=SERVICES
)


def annotation(name, expr, title, colour, text=""):
    return {
        "name": name, "datasource": PROMETHEUS, "enable": True, "iconColor": colour, "expr": expr, "step": "5s",
        "titleFormat": title, "textFormat": text, "useValueForTime": False,
    }


def board(uid, title, about, panels, *, variables=(NAMESPACES, SERVICE), annotations=(), span="now-30m"):
    grafana = {"type": "grafana", "uid": "-- Grafana --"}
    own = {
        "builtIn": 1, "name": "Annotations & Alerts", "type": "dashboard", "datasource": grafana, "enable": True,
        "hide": True, "iconColor": "rgba(0, 211, 255, 1)",
    }
    others = {
        "type": "dashboards", "title": "Seawall", "tags": ["seawall"], "asDropdown": True, "includeVars": True, "keepTime": True,
    }
    return {
        "uid": uid, "title": title, "description": about, "tags": ["seawall"], "schemaVersion": 41, "version": 1,
        "editable": True, "graphTooltip": 1, "refresh": "10s", "timezone": "browser", "links": [others],
        "time": {"from": span, "to": "now"}, "templating": {"list": list(variables)},
        "annotations": {"list": [own, *annotations]}, "panels": list(placed(panels)),
    }
