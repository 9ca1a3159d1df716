"""What RO-Crate 1.1, Workflow RO-Crate 1.0, Process Run Crate 0.5 and Workflow Run Crate 0.5 demand of a crate."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import Any

Entity = dict[str, Any]
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5",
    "https://w3id.org/ro/wfrun/workflow/0.5",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0",
}
PROGRAMS = {"SoftwareApplication", "SoftwareSourceCode", "ComputationalWorkflow"}
USABLE = {"File", "Dataset", "Collection", "CreativeWork", "PropertyValue"}


def problems(crate: Entity) -> list[str]:
    """Everything that the profiles forbid, empty for a crate that conforms."""
    graph = crate["@graph"]
    entities = defaultdict(dict, {entity["@id"]: entity for entity in graph})
    found = ["an @id stands twice"] if len(entities) != len(graph) else []
    found += [f"{entity['@id']} has no @type" for entity in graph if not kinds(entity)]
    lost = references(graph) - set(entities)
    found += [f"nothing is {name}" for name in sorted(lost) if not name.startswith("http")]
    found += _root(crate, entities)
    found += _workflow(entities)
    for entity in graph:
        if kinds(entity) & {"CreateAction"}:
            found += _action(entity, entities)
    return found


def kinds(entity: Entity) -> set[str]:
    """Types of an entity."""
    value = entity.get("@type", [])
    return {value} if isinstance(value, str) else set(value)


def ids(value: Any) -> list[str]:
    """The ids that a property refers to."""
    return [one["@id"] for one in (value if isinstance(value, list) else [value]) if value]


def references(value: Any) -> set[str]:
    """All ids that JSON-LD refers to, but not those that it defines."""
    if isinstance(value, list):
        return set().union(*map(references, value))
    if not isinstance(value, dict):
        return set()
    if set(value) == {"@id"}:
        return {value["@id"]}
    return set().union(*(references(inner) for inner in value.values()))


def _root(crate: Entity, entities: dict[str, Entity]) -> Iterator[str]:
    if "https://w3id.org/ro/crate/1.1/context" not in crate["@context"]:
        yield "the context of RO-Crate 1.1 is missing"
    descriptor, root = entities["ro-crate-metadata.json"], entities["./"]
    if "https://w3id.org/ro/crate/1.1" not in ids(descriptor["conformsTo"]) or ids(descriptor["about"]) != ["./"]:
        yield "the metadata file does not say what it is"
    if kinds(root) != {"Dataset"} or not all(root.get(name) for name in ("name", "description", "license")):
        yield "the root is no Dataset with name, description and license"
    if not _time(root.get("datePublished")):
        yield "the root has no date"
    said = {profile for profile in ids(root.get("conformsTo")) if kinds(entities[profile]) == {"CreativeWork"}}
    if said != PROFILES:
        yield f"the root conforms to {said}"
    files = {name for name, entity in entities.items() if "File" in kinds(entity)}
    if set(ids(root["hasPart"])) != files:
        yield f"not the root's parts: {sorted(files ^ set(ids(root['hasPart'])))}"
    yield from (f"{name} is no path in the crate" for name in files if name.startswith(("/", "#")) or ".." in name)


def _workflow(entities: dict[str, Entity]) -> Iterator[str]:
    (main,) = ids(entities["./"]["mainEntity"])
    workflow = entities[main]
    if not kinds(workflow) >= {"File", "SoftwareSourceCode", "ComputationalWorkflow"}:
        yield "the main entity is no workflow"
    (language,) = ids(workflow["programmingLanguage"])
    if kinds(entities[language]) != {"ComputerLanguage"}:
        yield "the workflow's language is none"
    if sum(ids(entity.get("instrument")) == [main] for entity in entities.values()) != 1:
        yield "not one action is the workflow's run"


def _action(action: Entity, entities: dict[str, Entity]) -> Iterator[str]:
    name = action["@id"]
    if not ids(action.get("instrument")):
        yield f"{name} has no instrument"
    yield from (
        f"{name} ran by {tool}" for tool in ids(action.get("instrument")) if not kinds(entities[tool]) & PROGRAMS
    )
    if not ids(action.get("result")) or "object" not in action:
        yield f"{name} has no object or no result"
    for file in ids(action.get("object")) + ids(action.get("result")):
        if not kinds(entities[file]) & USABLE:
            yield f"{name} uses {file}, which is no data"
    start, end = _time(action.get("startTime")), _time(action.get("endTime"))
    if not start or not end or start > end:
        yield f"{name} has no time"
    if name not in ids(entities["./"]["mentions"]):
        yield f"the root does not mention {name}"


def _time(text: Any) -> datetime | None:
    """A time of ISO 8601 with its zone."""
    try:
        time = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return time if time.tzinfo else None
