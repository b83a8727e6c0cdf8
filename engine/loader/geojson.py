"""A GeoJSON feature as a row: its properties are the columns, its geometry a store's place or an area's outline."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.http.codec import JSON
from engine.http.problems import Fault, Problem
from engine.loader.faults import Unreadable


class _Feature(msgspec.Struct, frozen=True):
    """What of RFC 7946 matters here; foreign members are allowed there, and read over."""

    geometry: dict[str, Any] | None
    properties: dict[str, Any] | None
    type: str


_decode = msgspec.json.Decoder(_Feature).decode


_WGS84 = ("CRS84", "EPSG::4326", "EPSG:4326")


def require_collection(document: Any) -> None:
    """Raise `Unreadable` for what is no FeatureCollection in degrees of WGS 84, the one RFC 7946 knows."""
    if not isinstance(document, dict) or document.get("type") != "FeatureCollection":
        raise Unreadable("geojson", "GeoJSON is uploaded as a FeatureCollection")
    if (why := why_not_degrees(document)) is not None:
        raise Unreadable("geojson", why, column="crs")


def why_not_degrees(member: dict[str, Any]) -> str | None:
    """A sentence for a `crs` that says anything but WGS 84; it is no longer part of GeoJSON, but is still written."""
    if member.get("crs") is None or str(member["crs"]).rstrip("'}").endswith(_WGS84):
        return None
    return "positions are longitude and latitude in degrees of WGS 84, without another crs"


def why_not_closed(geometry: dict[str, Any]) -> str | None:
    """A sentence for a polygon with a ring that does not end where it began."""
    parts = geometry.get("coordinates")
    rings = parts if geometry.get("type") == "Polygon" else [ring for part in _lists(parts) for ring in _lists(part)]
    if any(len(ring) > 1 and ring[0] != ring[-1] for ring in map(_lists, _lists(rings))):
        return "a ring must end where it began: its last position is its first"
    return None


def _lists(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _feature(text: bytes, number: int) -> _Feature | list[Fault]:
    try:
        feature = _decode(text)
        JSON.require_strict(text)
    except msgspec.ValidationError:
        return [Fault("geojson", "not a GeoJSON Feature with geometry and properties", None, number)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return [Fault("malformed_json", JSON.malformed(error).detail or "not JSON", None, number)]
    except Problem as problem:
        return [Fault(problem.kind, problem.detail or problem.title, None, number)]
    return feature


def of_feature(text: bytes, number: int) -> bytes | list[Fault]:
    """The row's JSON, or its faults: a point gives lat and lng, anything else is the member `geometry`."""
    feature = _feature(text, number)
    if isinstance(feature, list):
        return feature
    if feature.type != "Feature" or feature.geometry is None:
        return [Fault("geojson", "not a GeoJSON Feature with a geometry", None, number)]
    row = dict(feature.properties or {})
    if feature.geometry.get("type") != "Point":
        return msgspec.json.encode(row | {"geometry": feature.geometry})
    position = feature.geometry.get("coordinates")
    if not isinstance(position, list) or len(position) not in (2, 3):
        return [Fault("geometry", "a point's coordinates are [longitude, latitude]", "geometry", number)]
    return msgspec.json.encode(row | {"lat": position[1], "lng": position[0]})
