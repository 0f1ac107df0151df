"""A client made by openapi-python-client: it creates a source and a profile, sends a bulk request, waits for its task, and
reads receipts and a record. `python client.py URL`, with the folder of the client on the path."""

import sys

from granary_client import Client
from granary_client.api.bulk_requests import bulk_resources
from granary_client.api.profiles import put_profile
from granary_client.api.resources import read_resource
from granary_client.api.sources import put_source
from granary_client.api.tasks import list_receipts, read_task
from granary_client.models import (
    BulkAccepted,
    BulkRejected,
    Error,
    ProfileWrite,
    ReceiptStatus,
    ResourceBulkRequest,
    SourceWrite,
    TaskStatus,
)

SOURCE = "from-python"


def operations(*rows):
    return ResourceBulkRequest.from_dict({"operations": list(rows)})


def create(**payload):
    return {"action": "CREATE", "create": {"type": "provider", **payload}}


def main(url):
    client = Client(base_url=url)
    created = put_source.sync_detailed(SOURCE, client=client, body=SourceWrite.from_dict({"type": "registry"}))
    assert created.status_code == 201, created
    profile = ProfileWrite.from_dict(
        {"properties": {"name": {"type": "symbol", "rules": [{"required": True}]}, "practiceNumber": {"type": "integer"}}}
    )
    stored = put_profile.sync(SOURCE, "provider", client=client, body=profile)
    assert stored.revision == 1, stored

    rejected = bulk_resources.sync(SOURCE, client=client, body=operations(create(data={"nmae": "John Doe"})))
    assert isinstance(rejected, BulkRejected), rejected
    assert len(rejected.receipts[0].error.details) == 2, rejected

    accepted = bulk_resources.sync(
        SOURCE,
        client=client,
        idempotency_key="the-first",
        body=operations(
            create(id="john-doe", data={"name": "John Doe", "practiceNumber": 1020993}),
            create(id="john-doe", data={"name": "Another John"}),
        ),
    )
    assert isinstance(accepted, BulkAccepted), accepted
    task = read_task.sync(SOURCE, accepted.task_id, client=client, prefer="wait=30")
    assert task.status == TaskStatus.SUCCESS and task.counts.failure == 1, task

    receipts = list_receipts.sync(SOURCE, accepted.task_id, client=client, status=ReceiptStatus.FAILURE)
    assert [(one.index, one.error.type_) for one in receipts.data] == [(1, "ALREADY_EXISTS")], receipts

    record = read_resource.sync(SOURCE, "provider", "john-doe", client=client)
    assert record.data.to_dict() == {"name": "John Doe", "practiceNumber": 1020993}, record
    missing = read_resource.sync(SOURCE, "provider", "nobody", client=client)
    assert isinstance(missing, Error) and missing.type_ == "NOT_FOUND", missing
    print("the Python client did all it was to do")


main(sys.argv[1])
