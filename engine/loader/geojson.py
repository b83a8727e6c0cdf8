"""A GeoJSON feature as a row: its properties are the columns, its geometry a store's place or an area's outline."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.http.decode import malformed, require_strict
from engine.http.problems import Fault, Problem


class _Feature(msgspec.Struct, frozen=True):
    """What of RFC 7946 matters here; foreign members are allowed there, and read over."""

    geometry: dict[str, Any] | None
    properties: dict[str, Any] | None
    type: str


_decode = msgspec.json.Decoder(_Feature).decode


def _feature(text: bytes, number: int) -> _Feature | list[Fault]:
    try:
        feature = _decode(text)
        require_strict(text)
    except msgspec.ValidationError:
        return [Fault("geojson", "not a GeoJSON Feature with geometry and properties", None, number)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return [Fault("malformed_json", malformed(error).detail or "not JSON", None, number)]
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
