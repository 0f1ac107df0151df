"""Bodies that schemathesis does not know how to send: text is sent as it is."""

import schemathesis


@schemathesis.serializer("application/x-ndjson", "text/csv")
def text(_, value):
    return value if isinstance(value, bytes) else str(value).encode()
